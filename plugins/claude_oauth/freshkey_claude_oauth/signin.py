"""Signs the user in: by browser redirect or pasted code, whichever comes first, or on another device."""

from __future__ import annotations

from freshkey.oauth import OAuthClient, TokenAnswer, authorize, device_sign_in
from freshkey.plugin import Interaction, Profile
from freshkey_claude_oauth import endpoints, oauth_client
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import with_profile
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.token_response import make_token


def sign_in(profile: Profile, interaction: Interaction) -> ClaudeToken:
    """Have the user sign in and return the token, with as much of the user's identity as the server provides.

    Args:
        profile: The profile.
        interaction: How to reach the user.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may already have been used; start over.
        LoginRequired: There is no user to sign in, or the user declined.
        ProviderRefused: Signing in is impossible with these settings.
    """
    settings = profile.settings_as(ClaudeSettings)
    by_device = settings.flow == "device"
    look_for = (oauth_client.REVOCATION, *((oauth_client.DEVICE,) if by_device else ()))
    client = oauth_client.client(profile, look_for=look_for)
    interaction.require_attended()
    start = _by_device if by_device else _by_browser
    answer = start(client, profile, interaction)
    flaw = answer.unusable()
    if flaw is not None:
        raise flaw
    token = make_token(answer, client=client, profile=profile, scopes=settings.scopes)
    token, trouble = with_profile(token, endpoints.profile_url(settings), profile.send)
    if trouble:
        interaction.notice(f"Signed in, but could not look up the account's plan: {trouble}")
    return token


def _by_browser(client: OAuthClient, profile: Profile, interaction: Interaction) -> TokenAnswer:
    settings = profile.settings_as(ClaudeSettings)
    grant = authorize(
        profile,
        client,
        interaction,
        scopes=settings.scopes,
        redirect_path=settings.redirect_path,
        redirect_host=settings.redirect_host,
        paste_redirect_uri=endpoints.paste_redirect_url(settings),
        extra=settings.authorize_parameters,
    )
    # Anthropic's token endpoint responds with 400 without `state`; others ignore it (RFC 6749, section 3.2).
    return client.exchange(grant, extra={"state": grant.state})


def _by_device(client: OAuthClient, profile: Profile, interaction: Interaction) -> TokenAnswer:
    return device_sign_in(profile, client, interaction, scopes=profile.settings_as(ClaudeSettings).scopes)
