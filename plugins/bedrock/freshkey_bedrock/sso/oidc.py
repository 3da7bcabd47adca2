"""Signs in with IAM Identity Center, in a browser or with a device code, and renews the session.

Source: botocore's model ``sso-oidc``, 2019-06-10, and AWS CLI 2 (``awscli/customizations/sso/utils.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final, Literal

from attrs import evolve, frozen

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, frameless
from freshkey.oauth import (
    DEVICE_GRANT,
    Encode,
    Fields,
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
from freshkey.plugin import (
    Interaction,
    Profile,
    Request,
    Response,
    Secret,
    json_body,
    parse_json_object,
    utc_time,
)
from freshkey_bedrock.sso.messages import encode, translated
from freshkey_bedrock.sso.session import Registration, SsoSession


Flow = Literal["browser", "device"]

CLIENT_NAME: Final = "freshkey"
SCOPE: Final = "sso:account:access"
REDIRECT_PATH: Final = "/oauth/callback"

REDIRECT_URI: Final = f"http://127.0.0.1{REDIRECT_PATH}"
"""Registered without a port, because each sign-in uses any free one (RFC 8252, section 7.3)."""

TIMEOUT: Final = 600.0
"""Seconds that the user has to sign in with the browser, as in AWS CLI 2."""

DEFAULT_LIFETIME: Final = 3600.0
"""Lifetime of an access token in seconds if the response does not state it."""

_CLIENT_ENDED: Final = frozenset({"invalid_client", "unauthorized_client"})


@frozen(kw_only=True)
class IdentityCenter:
    """An instance of IAM Identity Center, and how to reach it.

    Attributes:
        oidc: URL of its SSO-OIDC service.
        start_url: URL of the access portal.
        profile: The profile, which sends the requests and has the time.
    """

    oidc: str
    start_url: str
    profile: Profile


def server(oidc: str) -> Server:
    """Return the authorization server at a URL."""
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
    """Have the user sign in, with a client registered only for this sign-in.

    Args:
        center: Where to sign in.
        flow: ``browser`` (authorization code with PKCE) or ``device`` (RFC 8628).
        interaction: The user.
        random: Returns the given number of random bytes.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may have been used; start over.
        LoginRequired: No user is present, the user declined, or the sign-in timed out.
        ProviderRefused: IAM Identity Center rejects the client or the start URL.
    """
    interaction.progress("Registering a client with IAM Identity Center")
    registration = register(center, flow)
    answer = (
        _by_device(center, registration, interaction)
        if flow == "device"
        else _by_browser(center, registration, interaction, random)
    )
    flaw = answer.unusable()
    if flaw is not None:
        raise flaw
    return _session(answer, center, registration, None)


@frameless
def register(center: IdentityCenter, flow: Flow) -> Registration:
    """Register a public client (``RegisterClient``).

    Raises:
        TransientError: Temporary failure; try again later.
        OutcomeUnknown: No usable response; registering again is harmless.
        ProviderRefused: IAM Identity Center rejects the client.
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
    response = center.profile.send(json_body(f"{center.oidc}/client/register", wanted))
    return _read_registration(response, center.profile.clock.now().wall)


@frameless
def renewed(session: SsoSession, center: IdentityCenter) -> SsoSession:
    """Return a session with a new access token; the refresh token is sent once, which may use it up.

    If nobody can use the access token, the session has the new refresh token, and its access token has expired.

    Raises:
        LoginRequired: It cannot be renewed: there is no refresh token, or it or its client is no longer accepted.
        TransientError: The refresh token was not used up; try again later.
        OutcomeUnknown: The refresh token was sent, but no usable response was received.
        ProviderRefused: The request was rejected.
    """
    if session.refresh_token is None:
        raise LoginRequired(
            "the IAM Identity Center session has expired, and it has no refresh token", code="sign-in-ended"
        )
    client = session.client
    if not session.is_renewable(center.profile.clock.now().wall):
        ended = utc_time(client.expires)
        raise LoginRequired(
            f"the client registration with IAM Identity Center expired at {ended:%Y-%m-%d %H:%M:%S} UTC",
            unsent=True,  # the clock may be wrong
            code="bedrock-sso-registration-expired",
        )
    request = refresh_request(
        server(center.oidc),
        client_id=client.client_id,
        refresh_token=session.refresh_token,
        encode=_writer(center, client),
    )
    requested = center.profile.clock.now()
    response = translated(center.profile.send)(request)
    if read_refusal(response).code in _CLIENT_ENDED:
        # Not a configuration error: the client was accepted before, so its registration has expired.
        raise LoginRequired(
            "IAM Identity Center no longer recognizes this client", code="bedrock-sso-registration-expired"
        )
    answer = evolve(read_token(response, center.profile.clock.now().wall), requested=requested)
    return _session(answer, center, client, session.refresh_token)


def _by_browser(
    center: IdentityCenter, registration: Registration, interaction: Interaction, random: Callable[[int], bytes]
) -> TokenAnswer:
    client = _client(center, registration)
    grant = authorize(
        center.profile,
        client,
        interaction,
        scopes=(),
        extra={"scopes": SCOPE},  # this server's name for scope
        redirect_path=REDIRECT_PATH,
        timeout=TIMEOUT,
        random=random,
    )
    return client.exchange(grant)


def _by_device(center: IdentityCenter, registration: Registration, interaction: Interaction) -> TokenAnswer:
    return device_sign_in(center.profile, _client(center, registration), interaction, scopes=())


def _client(center: IdentityCenter, registration: Registration) -> OAuthClient:
    """Return the client of a registration, which speaks as this server does."""
    return OAuthClient.of(
        center.profile,
        server(center.oidc),
        registration.client_id,
        send=translated(center.profile.send),
        encode=_writer(center, registration),
    )


def _writer(center: IdentityCenter, client: Registration) -> Encode:
    """Return an encoder that adds the client secret, and the start URL when a device sign-in starts.

    They are added here rather than passed down, so that no traceback contains the secret.
    """
    begin = server(center.oidc).device_authorization_endpoint

    def write(url: str, fields: Fields, headers: Mapping[str, str]) -> Request:
        named = {"start_url": center.start_url} if url == begin else {}
        return encode(url, {**fields, **named, "client_secret": client.client_secret.reveal()}, headers)

    return write


def _session(
    answer: TokenAnswer, center: IdentityCenter, client: Registration, refresh_token: Secret | None
) -> SsoSession:
    lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
    requested = answer.requested or center.profile.clock.now()
    return SsoSession(
        start_url=center.start_url,
        access_token=answer.access_token,
        expires=requested.wall + (lifetime if answer.unusable() is None else 0.0),
        refresh_token=answer.refresh_token or refresh_token,
        client=client,
    )


def _read_registration(response: Response, now: float) -> Registration:
    if not 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        error = refusal_error(response, now)
        if isinstance(error, LoginRequired):
            raise ProviderRefused(
                f"IAM Identity Center refused to register a client: {read_refusal(response)}",
                hint="Check sso_start_url and sso_region",
                code="bedrock-sso-registration-refused",
            )
        raise error
    facts = parse_json_object(response.body)
    client_id, client_secret, expires = (
        facts.get(name) for name in ("clientId", "clientSecret", "clientSecretExpiresAt")
    )
    if not (isinstance(client_id, str) and client_id and isinstance(client_secret, str) and client_secret):
        raise ProtocolError("the IAM Identity Center response contains no valid client")
    if type(expires) is not int or expires <= 0:
        raise ProtocolError("the IAM Identity Center response does not state when the client expires")
    return Registration(client_id=client_id, client_secret=Secret(client_secret), expires=float(expires))
