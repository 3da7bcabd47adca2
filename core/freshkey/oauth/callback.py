"""Reads the authorization response from a redirect or a paste, and accepts only the one that belongs to this attempt.

`ProtocolError` here means "not the response to this attempt": the attempt continues. Any other error ends it.

A code must be beyond doubt. An error only ends the attempt, so it has to have the state of this attempt, and what else
a server puts next to it does not matter. In a redirect, the state alone is an error, too: some servers say no with it.
"""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import Final, Literal, NoReturn
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth.error_response import HINTS, clean_code, shown_code
from freshkey.oauth.protocol import Server
from freshkey.secret import Secret, is_token


MAX_PASTE: Final = 4096
"""Maximum length of pasted text, in characters."""

_CONFIGURATION_CODES: Final = frozenset(
    {"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_target"}
)
"""Authorization errors that signing in again cannot fix (RFC 6749, section 4.1.2.1; RFC 8707)."""

Unproven = Literal["error-without-state", "other-state", "other-issuer", "nothing"]
"""What is wrong with a request that is not the response to this attempt."""

_OWN: Final = frozenset({"code", "error", "state", "iss"})
_OTHER_ERRORS: Final = ("error_code", "errorCode")  # Facebook; many others
_NO_CODES: Final = frozenset({"null", "undefined"})


def read_callback(query: str, *, state: str, server: Server) -> Secret:
    """Return the authorization code in the query of a redirect (RFC 6749, section 4.1.2).

    Args:
        query: The raw query, still percent-encoded.
        state: The state of this attempt.
        server: The authorization server of this attempt; ``iss``, if present, must be its issuer, and a server that
            requires it must send it with a code (RFC 9207, section 2.4).

    Raises:
        ProtocolError: It is not the response to this attempt: the state or ``iss`` is wrong or missing, a parameter
            is repeated, or there are both code and error.
        LoginRequired: The user declined, or the server could not sign them in. The redirect has an error, or neither a
            code nor an error.
        ProviderRefused: The server rejected the request.
    """
    bare = _own_of(query) or {}
    return _read(query, state=state, server=server, ended="state" in bare and "code" not in bare)


def _read(query: str, *, state: str, server: Server, ended: bool = False) -> Secret:
    """Return the code of a redirect or a pasted URL; `ended` if it ends the attempt without an error, too."""
    error = _stated_error(query)
    if error is None and ended:
        error = _own_of(query)
    if error is not None:
        _check_state(error.get("state"), state)
        _check_issuer(error.get("iss"), server)
        _raise_error(error.get("error"))
    parameters = _parameters(query)
    _check_state(parameters.get("state"), state)
    _check_issuer(parameters.get("iss"), server, required=server.iss_required)
    if "error" in parameters or "code" not in parameters:
        raise ProtocolError("the sign-in response must contain either a code or an error", code="invalid-redirect")
    return _code(parameters["code"])


def read_pasted(text: str, *, state: str, server: Server, bare_code: bool) -> Secret:
    """Return the authorization code in the text that the user pasted.

    Args:
        text: The full URL from the browser's address bar, or ``code#state`` as some providers display it.
        state: The state of this attempt.
        server: The authorization server of this attempt. If it requires ``iss`` (`Server.iss_required`), only a full
            URL can be accepted.
        bare_code: Also accept a code without a state, for providers whose page shows nothing else.

    An error in a pasted URL counts without a state as well: the user vouches for it, and it gives nothing away.

    Raises:
        ProtocolError: It is not the response to this attempt; ask again.
        LoginRequired: The user declined, or the server could not sign them in.
        ProviderRefused: The server rejected the request.
    """
    text = text.strip()
    if len(text) > MAX_PASTE:
        raise ProtocolError(f"the pasted text is longer than {MAX_PASTE} characters", code="invalid-pasted-response")
    if text.startswith(("http://", "https://")):
        query = _query_of(text)
        error = _stated_error(query)
        if error is not None and "state" not in error:
            _check_issuer(error.get("iss"), server)
            _raise_error(error["error"])
        # The state alone ends nothing here: the URL of the sign-in page, pasted by mistake, has it too.
        return _read(query, state=state, server=server)
    _check_issuer(None, server, required=server.iss_required)
    code, separator, pasted_state = text.partition("#")
    if separator:
        _check_state(pasted_state, state)
    elif not bare_code:
        raise ProtocolError(
            "the pasted text is neither a full URL nor a code followed by # and its state",
            code="invalid-pasted-response",
        )
    return _code(code)


def unproven(query: str, error: ProtocolError) -> Unproven:
    """Return why `read_callback` did not accept a query, given what it raised."""
    if error.code == "redirect-state-mismatch":
        return "error-without-state" if "state" not in (_stated_error(query) or {"state": ""}) else "other-state"
    return "other-issuer" if error.code in {"redirect-issuer-mismatch", "redirect-issuer-missing"} else "nothing"


def _query_of(address: str) -> str:
    """Return the query of a pasted URL, or its fragment if only that has an error, as some servers send it."""
    with suppress(ValueError):
        parts = urlsplit(address)
        in_fragment = _stated_error(parts.query) is None and _stated_error(parts.fragment) is not None
        return parts.fragment if in_fragment and "code=" not in parts.query else parts.query
    raise ProtocolError("the pasted text is not a valid URL", code="invalid-pasted-response")


def _stated_error(query: str) -> dict[str, str] | None:
    """Return ``error``, ``state`` and ``iss`` of an error response; None for anything else."""
    found = _own_of(query) or {}
    return found if "error" in found and "code" not in found else None


def _own_of(query: str) -> dict[str, str] | None:
    """Return ``code``, ``error``, ``state`` and ``iss`` in a query; None if one is there with two values.

    Descriptions are free text, and servers encode and repeat them as they like, so only these are read. An empty code
    or ``iss`` says nothing, and neither does the same value once more, or "null" as the code beside an error.
    """
    found: dict[str, str] = {}
    others: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, encoded = pair.partition("=")
        value = unquote_plus(encoded)
        if name in _OTHER_ERRORS:
            others.setdefault(name, value)
        if name not in _OWN or (name in {"code", "iss"} and not value):
            continue
        if found.setdefault(name, value) != value:
            return None  # repeated: not ours (RFC 6749, section 3.1)
    for name in _OTHER_ERRORS if "code" not in found else ():
        if name in others:
            found.setdefault("error", others[name])
    if "error" in found and found.get("code") in _NO_CODES:
        del found["code"]
    return found


def _raise_error(error: str | None) -> NoReturn:
    refusal = clean_code(error)
    shown = "the response has neither a code nor an error" if error is None else shown_code(refusal)
    if refusal in _CONFIGURATION_CODES:
        every = "Check the client ID, the scopes and the redirect URI in the provider's settings"
        hint = HINTS.get(refusal or "", every)
        raise ProviderRefused(
            f"the authorization server refused the sign-in: {shown}", hint=hint, code="sign-in-refused"
        )
    raise LoginRequired(
        f"the sign-in was not completed: {shown}", hint="Start the sign-in again", code="sign-in-not-completed"
    )


def _parameters(query: str) -> dict[str, str]:
    """Parse a query strictly: no parameter may be repeated (RFC 6749, section 3.1)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=32)
    except ValueError:
        pairs = []
    found = dict(pairs)
    if not pairs or len(found) != len(pairs):
        raise ProtocolError(
            "this is not a sign-in response: its parameters are missing, malformed, or repeated",
            code="invalid-redirect",
        )
    return found


def _check_state(given: str | None, expected: str) -> None:
    # In constant time: another program on this machine may send guesses to the redirect.
    if given is None or not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
        raise ProtocolError(
            "this response does not belong to this sign-in (state mismatch)", code="redirect-state-mismatch"
        )


def _check_issuer(given: str | None, server: Server, *, required: bool = False) -> None:
    """Compare ``iss`` as RFC 9207 (section 2.4) requires; if the issuer is unknown, there is nothing to compare."""
    # Many servers promise it and leave it out of errors. With the right state such an error is ours.
    # See docs/decisions.md, "An error ends a sign-in without its issuer".
    if given is None:
        if required:
            raise ProtocolError(
                "the response does not name its authorization server (iss); paste the full URL instead",
                code="redirect-issuer-missing",
            )
    elif server.issuer is not None and given != server.issuer:
        raise ProtocolError(
            "this response comes from another authorization server (iss mismatch)", code="redirect-issuer-mismatch"
        )


def _code(value: str | None) -> Secret:
    if not is_token(value, 8192):
        raise ProtocolError("this sign-in response has no valid code", code="invalid-redirect")
    return Secret(value)
