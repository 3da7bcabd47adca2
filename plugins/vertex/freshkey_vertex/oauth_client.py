"""From a profile to the OAuth client that speaks for it, and only to the server that its tokens belong to."""

from __future__ import annotations

import functools

from freshkey import plugin
from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.oauth import OAuthClient, Server
from freshkey.plugin import Clock, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import allowed_hosts


def oauth_client(profile: Profile, clock: Clock) -> OAuthClient:
    """Return the OAuth client of a profile.

    Raises:
        ProviderRefused: No client id is set.
    """
    settings = profile.settings_as(VertexSettings)
    if not settings.client_id:
        raise ProviderRefused(
            "signing in needs the client id of your own OAuth application, and none is set",
            profile=profile.name,
            hint=f'Write client_id = "…" and client_secret under [profiles.{profile.name}] in config.toml, '
            "or run gcloud auth application-default login",
        )
    return OAuthClient(
        server=Server(authorization_endpoint=settings.authorize_url, token_endpoint=settings.token_url),
        client_id=settings.client_id,
        send=functools.partial(
            plugin.send, hosts=allowed_hosts(settings), allow_insecure_loopback=settings.allow_insecure_loopback
        ),
        clock=clock,
    )


def client_authentication(settings: VertexSettings) -> dict[str, str]:
    """Return the fields by which the client shows who it is; Google wants a desktop app's secret as well."""
    return {"client_secret": settings.client_secret.reveal()} if settings.client_secret else {}


def bound_client(profile: Profile, credential: GoogleCredential, clock: Clock) -> OAuthClient:
    """Return the client, if it is the one that the credential belongs to.

    Raises:
        LoginRequired: The settings name another server or client.
        ProviderRefused: No client id is set.
    """
    client = oauth_client(profile, clock)
    if (client.server.token_endpoint, client.client_id) != (credential.token_endpoint, credential.client_id):
        raise LoginRequired(
            "the stored sign-in belongs to another client or server than is set up now",
            profile=profile.name,
            hint=f"Restore the settings, or run: {sign_in_command(profile.name)}",
        )
    return client
