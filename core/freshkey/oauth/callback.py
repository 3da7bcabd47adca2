"""Reads what a browser or a person brings back from the authorization endpoint, and believes only our own attempt's.

`ProtocolError` here means "not the answer to this attempt": the attempt goes on. The other errors are the answer.
"""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth.error_response import clean_code, shown_code
from freshkey.oauth.protocol import Server
from freshkey.secret import Secret, is_token


MAX_PASTE: Final = 4096
"""Characters."""

_CONFIGURATION_CODES: Final = frozenset(
    {"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_target"}
)
"""Errors of the authorization endpoint that no person can sign away (RFC 6749, section 4.1.2.1; RFC 8707)."""


def read_callback(query: str, *, state: str, server: Server) -> Secret:
    """Return the authorization code in the query of a redirect (RFC 6749, section 4.1.2).

    Args:
        query: The query as it arrived, still percent-encoded.
        state: The state of our attempt.
        server: Whom we asked; ``iss`` must be its issuer where one is given (RFC 9207, section 2.4).

    Raises:
        ProtocolError: It is not the answer to this attempt: wrong or missing state or ``iss``, a parameter twice,
            neither code nor error.
        LoginRequired: The person declined, or the server could not let them in.
        ProviderRefused: The server does not accept the request.
    """
    parameters = _parameters(query)
    _check_state(parameters.get("state"), state)
    _check_issuer(parameters.get("iss"), server)
    code, error = parameters.get("code"), parameters.get("error")
    if (code is None) == (error is None):
        raise ProtocolError("an answer to a sign-in has either a code or an error")
    if error is None:
        return _code(code)
    refusal = clean_code(error)
    shown = shown_code(refusal)
    if refusal in _CONFIGURATION_CODES:
        hint = "Check the client id, the scopes and the redirect address of the provider's settings"
        raise ProviderRefused(f"the authorization server refused the sign-in: {shown}", hint=hint)
    raise LoginRequired(f"the sign-in was not completed: {shown}", hint="Start it again to try once more")


def read_pasted(text: str, *, state: str, server: Server, bare_code: bool) -> Secret:
    """Return the authorization code in what a person pasted.

    Args:
        text: The full address that the browser ended at, or ``code#state`` as some providers' pages show it.
        state: The state of our attempt.
        server: Whom we asked. One that must name itself (`Server.iss_required`) can do so in a full address only.
        bare_code: Also accept a code alone, for providers whose page shows nothing else.

    Raises:
        ProtocolError: It is not the answer to this attempt; ask again.
        LoginRequired: The person declined, or the server could not let them in.
        ProviderRefused: The server does not accept the request.
    """
    text = text.strip()
    if len(text) > MAX_PASTE:
        raise ProtocolError(f"what was pasted is longer than {MAX_PASTE} characters")
    if text.startswith(("http://", "https://")):
        return read_callback(_query_of(text), state=state, server=server)
    _check_issuer(None, server)
    code, separator, pasted_state = text.partition("#")
    if separator:
        _check_state(pasted_state, state)
    elif not bare_code:
        raise ProtocolError("what was pasted is neither a full address nor a code with its state")
    return _code(code)


def _query_of(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).query
    raise ProtocolError("what was pasted is no address")


def _parameters(query: str) -> dict[str, str]:
    """Split a query strictly: no parameter may come twice (RFC 6749, section 3.1)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=32)
    except ValueError:
        pairs = []
    found = dict(pairs)
    if not pairs or len(found) != len(pairs):
        raise ProtocolError("this is no answer to a sign-in: its parameters are missing, unreadable or repeated")
    return found


def _check_state(given: str | None, expected: str) -> None:
    if given is None or not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
        raise ProtocolError("this is the answer to another sign-in, or to none: its state is not ours")


def _check_issuer(given: str | None, server: Server) -> None:
    """Compare ``iss`` as RFC 9207 (section 2.4) asks; without an issuer of our own there is nothing to compare."""
    if given is None:
        if server.iss_required:
            raise ProtocolError("the answer does not name the server it comes from; paste the full address instead")
    elif server.issuer is not None and given != server.issuer:
        raise ProtocolError("this answer comes from another authorization server")


def _code(value: str | None) -> Secret:
    if not is_token(value, 8192):
        raise ProtocolError("this answer to a sign-in has no readable code")
    return Secret(value)
