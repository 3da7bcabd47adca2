"""OAuth 2.0 as a public client speaks it: what is kept for one sign-in, and every request, without any I/O.

Clients authenticate in different ways (not at all, by a secret, by a signed assertion): each request takes
``extra`` fields and ``headers`` for that, and `Encode` for servers that want JSON instead of a form.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from attrs import Attribute, field, frozen

from freshkey._http.messages import Request, form
from freshkey.errors import ConfigurationError, frameless
from freshkey.secret import Secret


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Encode = Callable[[str, Mapping[str, str], Mapping[str, str]], Request]
"""Makes a POST of a URL, fields and headers: `freshkey.plugin.form`, as RFC 6749 asks, or `json_body`."""

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

ASSERTION_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_RANDOM_BYTES: Final = 32
"""256 bits, as RFC 7636 (section 7.1) recommends for the verifier; the state gets as many."""


def _needs_issuer(server: Server, attribute: Attribute[bool], required: bool) -> None:  # noqa: ARG001  attrs
    if required and server.issuer is None:
        raise ConfigurationError("an authorization server that names itself in its answers needs an issuer")


@frozen(kw_only=True)
class Server:
    """An authorization server, as its documentation or its metadata describes it (RFC 8414, section 2).

    Attributes:
        authorization_endpoint: Where a person signs in; may have a query of its own.
        token_endpoint: Where codes and refresh tokens are exchanged.
        issuer: Its identifier, compared as an exact string.
        revocation_endpoint: Where tokens are ended (RFC 7009).
        device_authorization_endpoint: Where a device sign-in begins (RFC 8628).
        iss_required: It names itself in every authorization response; one without ``iss`` is not its own (RFC 9207).
    """

    authorization_endpoint: str
    token_endpoint: str
    issuer: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    iss_required: bool = field(default=False, validator=_needs_issuer)


# --- one sign-in ---------------------------------------------------------------------------------------------------


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@frozen(kw_only=True)
class Pkce:
    """The proof that whoever brings the code is whoever asked for it (RFC 7636), always by S256.

    Attributes:
        verifier: Kept in memory until the code is exchanged.
        challenge: Its digest, which travels through the browser.
    """

    verifier: Secret
    challenge: str

    @classmethod
    def create(cls, random: Callable[[int], bytes] = secrets.token_bytes) -> Pkce:
        """Return a new pair (RFC 7636, sections 4.1 and 4.2); `random` returns that many random bytes."""
        verifier = _base64url(random(_RANDOM_BYTES))
        return cls(verifier=Secret(verifier), challenge=_base64url(hashlib.sha256(verifier.encode()).digest()))


def new_state(random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return a value that ties an authorization response to its request (RFC 6749, section 10.12)."""
    return _base64url(random(_RANDOM_BYTES))


@frozen(kw_only=True)
class Grant:
    """An authorization code with everything its one exchange must repeat (RFC 6749, section 4.1.3).

    Attributes:
        code: The authorization code.
        redirect_uri: The one that the code was issued for, byte for byte.
        pkce: The pair whose challenge was sent.
        state: The state of the attempt; a few servers want it again.
    """

    code: Secret
    redirect_uri: str
    pkce: Pkce
    state: str = field(repr=False)


# --- requests ------------------------------------------------------------------------------------------------------


def authorization_url(
    server: Server,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    state: str,
    pkce: Pkce,
    extra: Mapping[str, str] = NOTHING,
) -> str:
    """Return the address at which a person signs in (RFC 6749, section 4.1.1; RFC 7636, section 4.3).

    It can be seen in a process list, so `extra` may not hold a secret.

    Raises:
        ConfigurationError: `extra` repeats a parameter of the protocol.
    """
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        **_scope(scopes),
        "state": state,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    endpoint = server.authorization_endpoint
    return endpoint + ("&" if "?" in endpoint else "?") + urlencode(_merged(fields, extra), quote_via=quote)


@frameless
def code_request(
    server: Server,
    *,
    client_id: str,
    code: Secret,
    pkce: Pkce,
    redirect_uri: str,
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that exchanges an authorization code (RFC 6749, section 4.1.3; RFC 7636, section 4.5)."""
    fields = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "client_id": client_id,
        "code_verifier": pkce.verifier.reveal(),
    }
    return encode(server.token_endpoint, _merged(fields, extra), headers)


@frameless
def refresh_request(
    server: Server,
    *,
    client_id: str,
    refresh_token: Secret,
    scopes: tuple[str, ...] = (),
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that renews an access token (RFC 6749, section 6); no scopes asks for the same again."""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        "client_id": client_id,
        **_scope(scopes),
    }
    return encode(server.token_endpoint, _merged(fields, extra), headers)


@frameless
def assertion_request(
    token_endpoint: str,
    *,
    assertion: Secret,
    scopes: tuple[str, ...] = (),
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that exchanges a signed statement of who one is for a token (RFC 7523, section 2.1).

    A client need not name itself along with it (RFC 7521, section 4.1); where it does, ``client_id`` is a field of
    `extra`. Such an exchange can be repeated as long as the assertion is valid, so there is no refresh token. The
    assertion is a JSON Web Token, made by an issuer that the server trusts; no scopes leaves them to the server.
    """
    fields = {"grant_type": ASSERTION_GRANT, "assertion": assertion.reveal(), **_scope(scopes)}
    return encode(token_endpoint, _merged(fields, extra), headers)


@frameless
def revocation_request(
    server: Server,
    *,
    client_id: str,
    token: Secret,
    hint: str,
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that ends a token, and what came from a refresh token with it (RFC 7009, section 2.1).

    The hint is ``refresh_token`` or ``access_token``.

    Raises:
        ConfigurationError: The server has no revocation endpoint.
    """
    endpoint = _endpoint(server.revocation_endpoint, "revocation")
    fields = {"token": token.reveal(), "token_type_hint": hint, "client_id": client_id}
    return encode(endpoint, _merged(fields, extra), headers)


@frameless
def device_request(
    server: Server,
    *,
    client_id: str,
    scopes: tuple[str, ...],
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that begins a device sign-in (RFC 8628, section 3.1).

    Raises:
        ConfigurationError: The server has no device authorization endpoint.
    """
    endpoint = _endpoint(server.device_authorization_endpoint, "device authorization")
    return encode(endpoint, _merged({"client_id": client_id, **_scope(scopes)}, extra), headers)


@frameless
def device_token_request(
    server: Server,
    *,
    client_id: str,
    device_code: Secret,
    extra: Mapping[str, str] = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that asks whether the person has approved (RFC 8628, section 3.4)."""
    fields = {"grant_type": DEVICE_GRANT, "device_code": device_code.reveal(), "client_id": client_id}
    return encode(server.token_endpoint, _merged(fields, extra), headers)


def _scope(scopes: tuple[str, ...]) -> dict[str, str]:
    """Return the field for scopes; an empty one is no valid scope (RFC 6749, section 3.3), so it is left out."""
    return {"scope": " ".join(scopes)} if scopes else {}


def _endpoint(url: str | None, purpose: str) -> str:
    if url is None:
        raise ConfigurationError(f"this authorization server has no {purpose} endpoint")
    return url


def _merged(fields: dict[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    repeated = sorted(fields.keys() & extra.keys())
    if repeated:
        raise ConfigurationError(f"{', '.join(repeated)} cannot be set again: the protocol decides it")
    return {**fields, **extra}
