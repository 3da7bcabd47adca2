"""Builds a profile's OAuth client, and makes sure that tokens are sent only to the server they belong to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from attrs import evolve

from freshkey import plugin
from freshkey.errors import (
    LoginRequired,
    ProviderRefused,
    TransientError,
    sign_in_command,
)
from freshkey.oauth import OAuthClient, Server, discover
from freshkey.plugin import OAuthToken, Profile
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth import settings as defaults
from freshkey_claude_oauth.settings import ClaudeSettings, sign_in_setup
from freshkey_claude_oauth.stored_api_key import SOURCE


REVOCATION: Final = "revocation_endpoint"
DEVICE: Final = "device_authorization_endpoint"

_OF_THE_SERVER: Final = frozenset({"metadata-issuer-mismatch", "invalid-metadata"})
"""Codes of metadata that can be read but must not be used."""

_ON_THE_WAY: Final = "Check whether the network asks you to log in, the proxy (HTTPS_PROXY), and the issuer"


def server(profile: Profile, look_for: Collection[str] = (), *, bound: str | None = None) -> Server:
    """Return the authorization server, from its metadata if an issuer is set.

    Args:
        profile: The profile.
        look_for: The optional endpoints to look for in the issuer's metadata.
        bound: The token endpoint that a stored sign-in is bound to; the issuer's metadata could be read then.

    Raises:
        TransientError: The metadata could not be fetched; no token was sent, so it is safe to try again.
        ProviderRefused: The metadata is unusable, or is another issuer's.
    """
    settings = profile.settings_as(ClaudeSettings)
    if settings.issuer is None:
        return Server(
            authorization_endpoint=settings.authorize_url or defaults.AUTHORIZE_URL,
            token_endpoint=settings.token_url or defaults.TOKEN_URL,
            revocation_endpoint=endpoints.revoke_url(settings),
            device_authorization_endpoint=settings.device_url,
        )
    configured = {REVOCATION: settings.revoke_url, DEVICE: settings.device_url}
    needed = [name for name in look_for if configured[name] is None]
    found = _metadata(profile, settings.issuer, needed, bound=bound)
    return evolve(
        found,
        authorization_endpoint=settings.authorize_url or found.authorization_endpoint,
        token_endpoint=settings.token_url or found.token_endpoint,
        revocation_endpoint=settings.revoke_url or found.revocation_endpoint,
        device_authorization_endpoint=settings.device_url or found.device_authorization_endpoint,
        # A request that was pushed to the issuer means nothing to another server.
        pushed_authorization_request_endpoint=(
            None if settings.authorize_url else found.pushed_authorization_request_endpoint
        ),
    )


def _metadata(profile: Profile, issuer: str, look_for: Collection[str], *, bound: str | None) -> Server:
    """Fetch the metadata; what is wrong with them at a renewal is probably not theirs."""
    settings = profile.settings_as(ClaudeSettings)
    try:
        return discover(
            profile,
            issuer,
            hosts=settings.hosts,
            look_for=look_for,
            token_endpoint=bound if settings.token_url is None else None,
        )
    except ProviderRefused as error:
        if bound is None or error.code in _OF_THE_SERVER:
            raise
        # It worked before: the page of a network or a web filter is what this process sees, and no one else.
        message = error.message
    raise TransientError(message, local=True, hint=_ON_THE_WAY, code="metadata-unavailable")


def client(profile: Profile, *, look_for: Collection[str] = (), bound: str | None = None) -> OAuthClient:
    """Return the OAuth client of a profile; `look_for` and `bound` as in `server`.

    Raises:
        ProviderRefused: client_id is not set.
        TransientError: The issuer's metadata could not be fetched.
    """
    settings = profile.settings_as(ClaudeSettings)
    if not settings.client_id:
        raise ProviderRefused(
            "client_id is not set; signing in requires the client ID of your own OAuth application",
            profile=profile.name,
            hint=f"{sign_in_setup(profile)}{_or_a_key(profile)}",
            code="client-id-missing",
        )
    encode = plugin.json_body if settings.encoding == "json" else plugin.form
    return OAuthClient.of(profile, server(profile, look_for, bound=bound), settings.client_id, encode=encode)


def for_renewals(client: OAuthClient, settings: ClaudeSettings) -> OAuthClient:
    """Return the client for renewals and revocation: Anthropic's own clients send JSON there, RFC 6749 says form.

    The beta header belongs to renewals; it must not be sent with a code exchange.
    """
    as_json = settings.encoding == "json" or (settings.encoding is None and settings.issuer is None)
    return evolve(client, encode=plugin.json_body if as_json else plugin.form, headers=settings.beta_headers)


def _or_a_key(profile: Profile) -> str:
    """Return the end of a hint that names the way without a client ID, if the profile may use an API key."""
    if profile.source is not None or SOURCE in profile.skip:
        return ""
    return f". Or use an API key: set ANTHROPIC_API_KEY, or run: {sign_in_command(profile.word)} --api-key"


def bound_client(profile: Profile, credential: OAuthToken, *, look_for: Collection[str] = ()) -> OAuthClient:
    """Return the client for renewals, if it is the client that the credential was issued to; `look_for` as in `server`.

    A token is only ever sent to the server it came from, even if settings or metadata have changed.

    Raises:
        LoginRequired: The settings or the issuer's metadata now specify a different server or client.
        ProviderRefused: client_id is not set.
        TransientError: The issuer's metadata could not be fetched.
    """
    found = client(profile, look_for=look_for, bound=credential.token_endpoint)
    here = {
        "issuer": found.server.issuer,
        "token endpoint": found.server.token_endpoint,
        "client ID": found.client_id,
    }
    there = (credential.issuer, credential.token_endpoint, credential.client_id)
    changed = [name for (name, value), bound in zip(here.items(), there, strict=True) if value != bound]
    if REVOCATION in look_for and _revokes_elsewhere(found.server, credential, profile.settings_as(ClaudeSettings)):
        changed.append("revocation endpoint")
    if changed:
        raise LoginRequired(
            f"the stored sign-in was issued for a different {' and '.join(changed)}",
            unsent=True,
            profile=profile.name,
            hint=f"Restore the profile's previous settings, or run: {sign_in_command(profile.word)}",
            code="sign-in-settings-changed",
        )
    return for_renewals(found, profile.settings_as(ClaudeSettings))


def _revokes_elsewhere(server: Server, credential: OAuthToken, settings: ClaudeSettings) -> bool:
    """Return whether an issuer's metadata name another revocation endpoint than at the sign-in.

    If none was known then, it must be where the refresh token goes anyway. The core compares what the settings name.
    """
    there, bound = server.revocation_endpoint, credential.revocation_endpoint
    if there is None or settings.issuer is None or settings.revoke_url is not None:
        return False
    if bound is not None:
        return there != bound
    return urlsplit(there)[:2] not in {urlsplit(url)[:2] for url in (server.token_endpoint, settings.issuer)}
