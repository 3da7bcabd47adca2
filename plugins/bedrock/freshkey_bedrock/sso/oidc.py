"""A user's sign-in at IAM Identity Center, in a browser or with a code on another device, and its renewal.

Source: botocore's model ``sso-oidc``, 2019-06-10, and AWS CLI 2 (``awscli/customizations/sso/utils.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from attrs import frozen

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, frameless
from freshkey.oauth import (
    DEVICE_GRANT,
    Encode,
    OAuthClient,
    Server,
    TokenAnswer,
    authorize,
    device_sign_in,
    read_refusal,
    read_token,
    refresh_request,
    refusal_error,
)
from freshkey.plugin import SYSTEM, Clock, Interaction, Request, Response, Secret, Send, json_body, parse_json_object
from freshkey_bedrock.sso.messages import encode, translated
from freshkey_bedrock.sso.session import Registration, SsoSession


Flow = Literal["browser", "device"]

CLIENT_NAME: Final = "freshkey"
SCOPE: Final = "sso:account:access"
REDIRECT_PATH: Final = "/oauth/callback"

REDIRECT_URI: Final = f"http://127.0.0.1{REDIRECT_PATH}"
"""As it is registered: without the port, which is a free one at each sign-in (RFC 8252, section 7.3)."""

TIMEOUT: Final = 600.0
"""Seconds that the user has in the browser: as AWS CLI 2."""

DEFAULT_LIFETIME: Final = 3600.0
"""Seconds, where the answer says nothing of the end."""

_CLIENT_ENDED: Final = frozenset({"invalid_client", "unauthorized_client"})


@frozen(kw_only=True)
class IdentityCenter:
    """An instance of IAM Identity Center, and how to reach it.

    Attributes:
        oidc: Address of SSO-OIDC.
        start_url: The access portal, as users know it.
        send: Does the I/O.
        clock: Tells the time.
        insecure: Addresses on loopback may do without TLS, for tests.
    """

    oidc: str
    start_url: str
    send: Send
    clock: Clock = SYSTEM
    insecure: bool = False


def server(oidc: str) -> Server:
    """Return the authorization server at an address."""
    return Server(
        authorization_endpoint=f"{oidc}/authorize",
        token_endpoint=f"{oidc}/token",
        device_authorization_endpoint=f"{oidc}/device_authorization",
    )


def sign_in(
    center: IdentityCenter,
    flow: Flow,
    interaction: Interaction,
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> SsoSession:
    """Have the user sign in, with a client that is registered for this sign-in alone.

    Args:
        center: Where.
        flow: ``browser`` (authorization code with PKCE) or ``device`` (RFC 8628).
        interaction: The user.
        random: Returns that many random bytes.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: No one is there, the user declined, or nothing came in time.
        ProviderRefused: The directory does not accept the client or the start URL.
    """
    interaction.progress("Registering at IAM Identity Center")
    registration = register(center, flow)
    answer = (
        _by_device(center, registration, interaction)
        if flow == "device"
        else _by_browser(center, registration, interaction, random)
    )
    return _session(answer, center, registration, None)


@frameless
def register(center: IdentityCenter, flow: Flow) -> Registration:
    """Register a public client (``RegisterClient``).

    Raises:
        TransientError: Not now.
        OutcomeUnknown: No usable answer; registering once more does no harm.
        ProviderRefused: The directory does not accept it.
    """
    grants = [DEVICE_GRANT] if flow == "device" else ["authorization_code"]
    wanted: dict[str, object] = {
        "clientName": CLIENT_NAME,
        "clientType": "public",
        "scopes": [SCOPE],
        "grantTypes": [*grants, "refresh_token"],
        "issuerUrl": center.start_url,
    }
    if flow == "browser":
        wanted["redirectUris"] = [REDIRECT_URI]
    return _read_registration(center.send(json_body(f"{center.oidc}/client/register", wanted)), center.clock.now().wall)


@frameless
def renewed(session: SsoSession, center: IdentityCenter) -> SsoSession:
    """Return a session with a new access token; the refresh token is sent once, and may be spent by that.

    Raises:
        LoginRequired: It cannot be renewed: there is no refresh token, or it or its client is no longer accepted.
        TransientError: Certainly not acted upon.
        OutcomeUnknown: Sent, no usable answer.
        ProviderRefused: The request is refused.
    """
    if session.refresh_token is None:
        raise LoginRequired("the sign-in at IAM Identity Center has ended, and came without a refresh token")
    client = session.client
    if not session.is_renewable(center.clock.now().wall):
        ended = datetime.fromtimestamp(client.expires, UTC)
        raise LoginRequired(f"this client's registration at IAM Identity Center ended at {ended:%Y-%m-%d %H:%M:%S} UTC")
    request = refresh_request(
        server(center.oidc),
        client_id=client.client_id,
        refresh_token=session.refresh_token,
        encode=_writer(center, client),
    )
    response = translated(center.send)(request)
    if read_refusal(response).code in _CLIENT_ENDED:
        # Not a mistake of the configuration: a client that was accepted before has ended.
        raise LoginRequired("IAM Identity Center does not know this client any more")
    return _session(read_token(response, center.clock.now().wall), center, client, session.refresh_token)


def _by_browser(
    center: IdentityCenter, registration: Registration, interaction: Interaction, random: Callable[[int], bytes]
) -> TokenAnswer:
    there = server(center.oidc)
    grant = authorize(
        there,
        client_id=registration.client_id,
        scopes=(),
        extra={"scopes": SCOPE},  # this server's name for them
        interaction=interaction,
        redirect_path=REDIRECT_PATH,
        timeout=TIMEOUT,
        random=random,
        clock=center.clock,
        allow_insecure_loopback=center.insecure,
    )
    client = OAuthClient(
        server=there,
        client_id=registration.client_id,
        send=translated(center.send),
        encode=_writer(center, registration),
        clock=center.clock,
    )
    return client.exchange(grant)


def _by_device(center: IdentityCenter, registration: Registration, interaction: Interaction) -> TokenAnswer:
    return device_sign_in(
        server(center.oidc),
        client_id=registration.client_id,
        scopes=(),
        interaction=interaction,
        send=translated(center.send),
        clock=center.clock,
        encode=_writer(center, registration),
        allow_insecure_loopback=center.insecure,
    )


def _writer(center: IdentityCenter, client: Registration) -> Encode:
    """Return how fields are written: the client's secret goes along, and where a device sign-in begins the directory.

    Both are added here, and not handed down, so that no traceback shows the secret.
    """
    begin = server(center.oidc).device_authorization_endpoint

    def write(url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Request:
        named = {"start_url": center.start_url} if url == begin else {}
        return encode(url, {**fields, **named, "client_secret": client.client_secret.reveal()}, headers)

    return write


def _session(
    answer: TokenAnswer, center: IdentityCenter, client: Registration, refresh_token: Secret | None
) -> SsoSession:
    if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
        raise ProtocolError(f"IAM Identity Center issued a token of type {answer.token_type}")
    lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
    return SsoSession(
        start_url=center.start_url,
        access_token=answer.access_token,
        expires=center.clock.now().wall + lifetime,
        refresh_token=answer.refresh_token or refresh_token,
        client=client,
    )


def _read_registration(response: Response, now: float) -> Registration:
    if not 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        error = refusal_error(response, now)
        if isinstance(error, LoginRequired):
            raise ProviderRefused(f"IAM Identity Center registers no client: {read_refusal(response)}")
        raise error
    facts = parse_json_object(response.body)
    client_id, client_secret, expires = (
        facts.get(name) for name in ("clientId", "clientSecret", "clientSecretExpiresAt")
    )
    if not (isinstance(client_id, str) and client_id and isinstance(client_secret, str) and client_secret):
        raise ProtocolError("IAM Identity Center's answer has no readable client")
    if type(expires) is not int or expires <= 0:
        raise ProtocolError("IAM Identity Center's answer does not say when the client ends")
    return Registration(client_id=client_id, client_secret=Secret(client_secret), expires=float(expires))
