"""From a profile to the OAuth client that speaks for it, and only to the server that its tokens belong to."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import evolve

from freshkey import plugin
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
    sign_in_command,
)
from freshkey.oauth import OAuthClient, Server, discover
from freshkey.plugin import SYSTEM, Clock, OAuthToken, Profile, Send
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth import settings as defaults
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.transport import sender


def server(settings: ClaudeSettings, send: Send) -> Server:
    """Return the authorization server, from its metadata where an issuer is set.

    Raises:
        TransientError: The metadata could not be had; nothing that matters was sent, so asking again is harmless.
        ProviderRefused: They are not those of this issuer.
    """
    if settings.issuer is None:
        return Server(
            authorization_endpoint=settings.authorize_url or defaults.AUTHORIZE_URL,
            token_endpoint=settings.token_url or defaults.TOKEN_URL,
            revocation_endpoint=endpoints.revoke_url(settings),
            device_authorization_endpoint=settings.device_url,
        )
    return _discovered(settings, settings.issuer, send)


def _discovered(settings: ClaudeSettings, issuer: str, send: Send) -> Server:
    found = _metadata(settings, issuer, send)
    return evolve(
        found,
        authorization_endpoint=settings.authorize_url or found.authorization_endpoint,
        token_endpoint=settings.token_url or found.token_endpoint,
        revocation_endpoint=settings.revoke_url or found.revocation_endpoint,
        device_authorization_endpoint=settings.device_url or found.device_authorization_endpoint,
    )


def _metadata(settings: ClaudeSettings, issuer: str, send: Send) -> Server:
    """Discover; an unknown outcome is none here, as no token was sent yet."""
    host = urlsplit(issuer).hostname
    try:
        return discover(issuer, send, hosts=settings.hosts, allow_insecure_loopback=settings.allow_insecure_loopback)
    except ProtocolError as error:
        failure: FreshkeyError = ProviderRefused(f"the issuer {host} cannot be used: {error.message}")
    except OutcomeUnknown:
        failure = TransientError(f"the metadata of {host} did not arrive")
    raise failure


def client(profile: Profile, *, clock: Clock = SYSTEM) -> OAuthClient:
    """Return the OAuth client of a profile.

    Raises:
        ProviderRefused: No client id is set.
        TransientError: The issuer's metadata could not be had.
    """
    settings = profile.settings_as(ClaudeSettings)
    if not settings.client_id:
        raise ProviderRefused(
            "signing in needs the client id of your own OAuth application, and none is set",
            profile=profile.name,
            hint=f'Write client_id = "…" under [profiles.{profile.name}] in config.toml, or set ANTHROPIC_API_KEY',
        )
    send = sender(settings)
    return OAuthClient(
        server=server(settings, send),
        client_id=settings.client_id,
        send=send,
        encode=plugin.json_body if settings.encoding == "json" else plugin.form,
        clock=clock,
    )


def for_renewals(client: OAuthClient, settings: ClaudeSettings) -> OAuthClient:
    """Return the client as it renews and revokes: the vendor's own clients write JSON there, RFC 6749 asks for a form.

    The beta header belongs to renewals; with the exchange of a code it must not be sent.
    """
    as_json = settings.encoding == "json" or (settings.encoding is None and settings.issuer is None)
    return evolve(client, encode=plugin.json_body if as_json else plugin.form, headers=settings.beta_headers)


def bound_client(profile: Profile, credential: OAuthToken, *, clock: Clock = SYSTEM) -> OAuthClient:
    """Return the client for renewals, if it is the one that the credential belongs to.

    A refresh token is never sent to another place than it came from, whatever settings or metadata say by now.

    Raises:
        LoginRequired: The settings or the issuer's metadata name another server or client.
        ProviderRefused: No client id is set.
        TransientError: The issuer's metadata could not be had.
    """
    found = client(profile, clock=clock)
    here = {
        "issuer": found.server.issuer,
        "token endpoint": found.server.token_endpoint,
        "client id": found.client_id,
    }
    there = (credential.issuer, credential.token_endpoint, credential.client_id)
    changed = [name for (name, value), bound in zip(here.items(), there, strict=True) if value != bound]
    if changed:
        raise LoginRequired(
            f"the stored sign-in belongs to another {' and '.join(changed)} than is set up now",
            profile=profile.name,
            hint=f"Restore the settings, or run: {sign_in_command(profile.name)}",
        )
    return for_renewals(found, profile.settings_as(ClaudeSettings))
