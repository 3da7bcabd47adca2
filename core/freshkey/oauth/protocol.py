"""OAuth 2.0: the state of a sign-in and all requests, without any I/O.

Client authentication varies (none, a secret, a signed assertion): `freshkey.oauth.authentication`. Each request takes
``extra`` fields and ``headers``, and an `Encode` for servers that expect JSON instead of a form.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from attrs import Attribute, field, frozen

from freshkey._http.messages import Fields, form
from freshkey.errors import ConfigurationError, frameless
from freshkey.model.exchange import Request
from freshkey.secret import Secret


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Encode = Callable[[str, Fields, Mapping[str, str]], Request]
"""Builds a POST from a URL, fields and headers: `freshkey.plugin.form`, which RFC 6749 requires, or `json_body`."""

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

ASSERTION_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  a name

JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
"""The type of a token that is a JSON Web Token of any kind (RFC 8693, section 3)."""

_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3

_RANDOM_BYTES: Final = 32
"""256 bits, which RFC 7636 (section 7.1) recommends for the verifier; the state has the same size."""


def _needs_issuer(server: Server, attribute: Attribute[bool], required: bool) -> None:  # noqa: ARG001  attrs
    if required and server.issuer is None:
        raise ConfigurationError("an authorization server with iss_required must have an issuer", code="invalid-issuer")


@frozen(kw_only=True)
class Server:
    """An authorization server, from its documentation or its metadata (RFC 8414, section 2).

    Attributes:
        authorization_endpoint: Where the user signs in; may contain a query. None if no grant type of the server uses
            one: client credentials, device sign-ins.
        token_endpoint: Where codes and refresh tokens are exchanged.
        issuer: Its identifier, compared as an exact string.
        revocation_endpoint: Where tokens are revoked (RFC 7009).
        device_authorization_endpoint: Where a device sign-in starts (RFC 8628).
        pushed_authorization_request_endpoint: Where an authorization request is pushed (RFC 9126).
        userinfo_endpoint: Returns the claims about the user of an access token (OpenID Connect Core 1.0, section 5.3).
        jwks_uri: Publishes the keys that it signs ID tokens with, as a JWK Set (RFC 7517, section 5).
        authentication_methods: How clients may authenticate at the token endpoint, by the names of OpenID Connect Core
            1.0, section 9; empty if it does not say, which means ``client_secret_basic`` (RFC 8414, section 2).
        par_required: Whether it accepts no other authorization requests.
        iss_required: Whether it sends ``iss`` in every authorization response, so that responses without it are
            rejected (RFC 9207).
    """

    authorization_endpoint: str | None = None
    token_endpoint: str
    issuer: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    authentication_methods: tuple[str, ...] = ()
    par_required: bool = False
    iss_required: bool = field(default=False, validator=_needs_issuer)


# --- one sign-in ---------------------------------------------------------------------------------------------------


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@frozen(kw_only=True)
class Pkce:
    """Proof that the client that redeems a code is the one that requested it (RFC 7636), always with S256.

    Attributes:
        verifier: The secret half, which stays in memory until the code is exchanged.
        challenge: Its SHA-256 digest, which is sent through the browser.
    """

    verifier: Secret
    challenge: str

    @classmethod
    def create(cls, random: Callable[[int], bytes] = secrets.token_bytes) -> Pkce:
        """Return a new pair (RFC 7636, sections 4.1 and 4.2); `random(n)` returns n random bytes."""
        verifier = _base64url(random(_RANDOM_BYTES))
        return cls(verifier=Secret(verifier), challenge=_base64url(hashlib.sha256(verifier.encode()).digest()))


def new_state(random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return a random state, which ties an authorization response to its request (RFC 6749, section 10.12)."""
    return _base64url(random(_RANDOM_BYTES))


@frozen(kw_only=True)
class Grant:
    """An authorization code and everything needed to exchange it (RFC 6749, section 4.1.3).

    Attributes:
        code: The authorization code.
        redirect_uri: The redirect URI of the authorization request, byte for byte.
        pkce: The pair whose challenge was sent.
        state: The state of the attempt; some servers require it in the exchange.
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
    extra: Fields = NOTHING,
) -> str:
    """Return the URL where the user signs in (RFC 6749, section 4.1.1; RFC 7636, section 4.3).

    Programs that are given the URL may show it in the process list, so `extra` must not contain secrets.

    Raises:
        ConfigurationError: `extra` contains a parameter that the protocol sets, or the server has no authorization
            endpoint.
    """
    fields = authorization_fields(
        client_id=client_id, redirect_uri=redirect_uri, scopes=scopes, state=state, pkce=pkce, extra=extra
    )
    return authorization_address(server, fields)


def authorization_fields(
    *,
    client_id: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    state: str,
    pkce: Pkce,
    extra: Fields = NOTHING,
) -> dict[str, str | Sequence[str]]:
    """Return the parameters of `authorization_url`, to push them to the server. Raises like that function."""
    if extra.get("response_mode", "query") != "query":
        raise ConfigurationError(
            "response_mode must be query: in a form or a fragment, the response does not reach this program",
            hint="Remove it from the extra parameters",
            code="reserved-parameter",
        )
    if not re.fullmatch("[0-9]{1,9}", str(extra.get("max_age", 0))):
        raise ConfigurationError("max_age must be a number of seconds", code="invalid-setting")
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        **_scope(scopes),
        "state": state,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    return _merged(fields, extra)


def authorization_address(server: Server, fields: Fields) -> str:
    """Return the authorization endpoint, which may contain a query, with more parameters (RFC 6749, section 3.1).

    Raises:
        ConfigurationError: The server has no authorization endpoint.
    """
    endpoint = _endpoint(server.authorization_endpoint, "authorization")
    return endpoint + ("&" if "?" in endpoint else "?") + urlencode(fields, doseq=True, quote_via=quote)


@frameless
def code_request(
    server: Server,
    *,
    client_id: str,
    code: Secret,
    pkce: Pkce,
    redirect_uri: str,
    extra: Fields = NOTHING,
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
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that renews an access token (RFC 6749, section 6); without `scopes`, keep the granted ones."""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        "client_id": client_id,
        **_scope(scopes),
    }
    return encode(server.token_endpoint, _merged(fields, extra), headers)


@frameless
def client_credentials_request(
    server: Server,
    *,
    client_id: str,
    scopes: tuple[str, ...] = (),
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request for a token of the client itself (RFC 6749, section 4.4.2); without `scopes`, the default."""
    fields = {"grant_type": "client_credentials", "client_id": client_id, **_scope(scopes)}
    return encode(server.token_endpoint, _merged(fields, extra), headers)


@frameless
def assertion_request(
    token_endpoint: str,
    *,
    assertion: Secret,
    scopes: tuple[str, ...] = (),
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that exchanges a signed identity assertion for a token (RFC 7523, section 2.1).

    The assertion is a JSON Web Token from an issuer that the server trusts. The exchange can be repeated while the
    assertion is valid, so there is no refresh token. A client ID is optional (RFC 7521, section 4.1); put it into
    `extra` as ``client_id``. Without `scopes`, the server decides.
    """
    fields = {"grant_type": ASSERTION_GRANT, "assertion": assertion.reveal(), **_scope(scopes)}
    return encode(token_endpoint, _merged(fields, extra), headers)


@frameless
def token_exchange_request(
    token_endpoint: str,
    *,
    subject_token: Secret,
    subject_token_type: str = JWT_TYPE,
    scopes: tuple[str, ...] = (),
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that exchanges a token from elsewhere for one of this server (RFC 8693, section 2.1).

    The exchange can be repeated while the subject token is valid. What else the server wants (``audience``,
    ``resource``, ``requested_token_type``, ``client_id``) goes into `extra`. Without `scopes`, the server decides.
    """
    fields = {
        "grant_type": TOKEN_EXCHANGE_GRANT,
        "subject_token": subject_token.reveal(),
        "subject_token_type": subject_token_type,
        **_scope(scopes),
    }
    return encode(token_endpoint, _merged(fields, extra), headers)


@frameless
def revocation_request(
    server: Server,
    *,
    client_id: str,
    token: Secret,
    hint: str,
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that revokes a token and, for a refresh token, its access tokens (RFC 7009, section 2.1).

    `hint` is ``refresh_token`` or ``access_token``.

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
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that starts a device sign-in (RFC 8628, section 3.1).

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
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
    encode: Encode = form,
) -> Request:
    """Return the request that polls for the user's approval (RFC 8628, section 3.4)."""
    fields = {"grant_type": DEVICE_GRANT, "device_code": device_code.reveal(), "client_id": client_id}
    return encode(server.token_endpoint, _merged(fields, extra), headers)


def _scope(scopes: tuple[str, ...]) -> dict[str, str]:
    """Return the scope field, or nothing: an empty scope is not valid (RFC 6749, section 3.3).

    One item with several scopes would be the same request, but whoever looks for one of them would not find it.
    """
    if not all(map(_SCOPE.fullmatch, scopes)):
        raise ConfigurationError(
            "a scope is empty, or has a space or another character that scopes cannot have",
            hint='Write each scope as an item of its own: scopes = ["openid", "email"]',
            code="invalid-setting",
        )
    return {"scope": " ".join(scopes)} if scopes else {}


def _endpoint(url: str | None, purpose: str) -> str:
    if url is None:
        raise ConfigurationError(
            f"this authorization server has no {purpose} endpoint",
            hint="If the provider documents one, set it in the profile",
            code="endpoint-missing",
        )
    return url


def _merged(fields: Mapping[str, str], extra: Fields) -> dict[str, str | Sequence[str]]:
    repeated = sorted(fields.keys() & extra.keys())
    if repeated:
        message = f"cannot override parameters that the protocol sets: {', '.join(repeated)}"
        raise ConfigurationError(message, hint="Remove them from the extra parameters", code="reserved-parameter")
    return {**fields, **extra}
