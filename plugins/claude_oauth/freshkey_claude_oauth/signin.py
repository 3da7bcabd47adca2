"""Signs the user in: by browser redirect or pasted code, whichever comes first, or on another device."""

from __future__ import annotations

from freshkey.oauth import OAuthClient, TokenAnswer, authorize, device_sign_in
from freshkey.plugin import SYSTEM, Clock, Interaction, Profile
from freshkey_claude_oauth import endpoints, oauth_client
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import PROFILE_TIMEOUT, with_profile
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.token_response import make_token
from freshkey_claude_oauth.transport import sender


def sign_in(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> ClaudeToken:
    """Have the user sign in and return the token, with as much of the user's identity as the server provides.

    Args:
        profile: The profile.
        interaction: How to reach the user.
        clock: Provides the time.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may already have been used; start over.
        LoginRequired: There is no user to sign in, or the user declined.
        ProviderRefused: Signing in is impossible with these settings.
    """
    settings = profile.settings_as(ClaudeSettings)
    by_device = settings.flow == "device"
    look_for = (oauth_client.REVOCATION, *((oauth_client.DEVICE,) if by_device else ()))
    client = oauth_client.client(profile, clock=clock, look_for=look_for)
    interaction.require_attended()
    start = _by_device if by_device else _by_browser
    answer = start(client, profile, interaction, clock)
    flaw = answer.unusable()
    if flaw is not None:
        raise flaw
    token = make_token(answer, client=client, settings=settings, clock=clock, scopes=settings.scopes)
    send = sender(settings, deadline=PROFILE_TIMEOUT)
    token, trouble = with_profile(token, endpoints.profile_url(settings), send)
    if trouble:
        interaction.notice(f"Signed in, but could not look up the account's plan: {trouble}")
    return token


def _by_browser(client: OAuthClient, profile: Profile, interaction: Interaction, clock: Clock) -> TokenAnswer:
    settings = profile.settings_as(ClaudeSettings)
    grant = authorize(
        client.server,
        client_id=client.client_id,
        scopes=settings.scopes,
        interaction=interaction,
        redirect_path=settings.redirect_path,
        redirect_host=settings.redirect_host,
        redirect_port=profile.redirect_port,
        paste_redirect_uri=endpoints.paste_redirect_url(settings),
        extra=settings.authorize_parameters,
        push=client.push,
        clock=clock,
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )
    # Anthropic's token endpoint responds with 400 without `state`; others ignore it (RFC 6749, section 3.2).
    return client.exchange(grant, extra={"state": grant.state})


def _by_device(client: OAuthClient, profile: Profile, interaction: Interaction, clock: Clock) -> TokenAnswer:
    settings = profile.settings_as(ClaudeSettings)
    return device_sign_in(
        client.server,
        client_id=client.client_id,
        scopes=settings.scopes,
        interaction=interaction,
        send=client.send,
        clock=clock,
        encode=client.encode,
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )
