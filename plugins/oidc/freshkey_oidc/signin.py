"""Signs the user in, in a browser or on another device."""

from __future__ import annotations

from attrs import evolve

from freshkey.oauth import OAuthClient, TokenAnswer, authorize, device_sign_in, new_state
from freshkey.plugin import Interaction, Profile
from freshkey_oidc import identity, issuer, tokens
from freshkey_oidc.client import client as client_of
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import SIGN_IN_SCOPES, OidcSettings


def sign_in(profile: Profile, interaction: Interaction) -> OidcToken:
    """Have the user sign in and return the token.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may already have been used; start over.
        LoginRequired: There is no user to sign in, or the user declined.
        ProviderRefused: Signing in is impossible with these settings.
        ProtocolError: The ID token is not one of this sign-in.
    """
    interaction.require_attended()
    settings = profile.settings_as(OidcSettings)
    scopes = SIGN_IN_SCOPES if settings.scopes is None else settings.scopes
    openid = ("jwks_uri", "userinfo_endpoint") if "openid" in scopes else ()
    device = ("device_authorization_endpoint",) if settings.flow == "device" else ()
    client = client_of(profile, issuer.server(profile, ("revocation_endpoint", *openid, *device)))
    nonce = new_state() if openid and not device else None
    if device:
        answer = device_sign_in(profile, client, interaction, scopes=scopes, extra=settings.addressed())
    else:
        answer = _by_browser(profile, client, interaction, scopes, nonce)
    if answer.refresh_token is None and answer.expires_in is not None:
        how = 'Request offline_access; some issuers also want authorization_parameters = { prompt = "consent" }'
        interaction.notice(f"There is no refresh token, so the sign-in ends with its access token. {how}")
    whose, subject = identity.of_sign_in(answer, client, profile, interaction, nonce=nonce)
    if openid and whose.account is None:
        interaction.notice("The issuer does not say who signed in: there is no ID token that can be verified")
    token = tokens.issued(answer, client, profile, scopes=scopes, identity=whose, automatic=False)
    return evolve(token, subject=subject)


def _by_browser(
    profile: Profile, client: OAuthClient, interaction: Interaction, scopes: tuple[str, ...], nonce: str | None
) -> TokenAnswer:
    settings = profile.settings_as(OidcSettings)
    # A nonce ties the ID token to this sign-in (OpenID Connect Core 1.0, section 3.1.2.1): no setting replaces it.
    more = {"login_hint": profile.account if settings.login_hint else None, **settings.authorization_parameters}
    named = {name: value for name, value in (more | {"nonce": nonce}).items() if value is not None}
    grant = authorize(
        profile,
        client,
        interaction,
        scopes=scopes,
        redirect_path=settings.redirect_path,
        redirect_host=settings.redirect_host,
        extra={**settings.addressed(), **named},
    )
    return client.exchange(grant, extra={"resource": settings.resource} if settings.resource else {})
