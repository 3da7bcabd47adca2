"""The OAuth client of a profile, and makes sure that tokens are sent only to the server they belong to."""

from __future__ import annotations

from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.oauth import OAuthClient, Server
from freshkey.plugin import Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.settings import VertexSettings, sign_in_setup


def oauth_client(profile: Profile) -> OAuthClient:
    """Return the OAuth client of a profile.

    Raises:
        ProviderRefused: client_id is not set.
    """
    settings = profile.settings_as(VertexSettings)
    if not settings.client_id:
        raise ProviderRefused(
            "client_id is not set; signing in requires the client ID of your own OAuth application",
            profile=profile.name,
            hint=sign_in_setup(profile),
            code="client-id-missing",
        )
    server = Server(authorization_endpoint=settings.authorize_url, token_endpoint=settings.token_url)
    return OAuthClient.of(profile, server, settings.client_id)


def client_authentication(settings: VertexSettings) -> dict[str, str]:
    """Return the fields that authenticate the client; Google requires the secret even of desktop apps."""
    return {"client_secret": settings.client_secret.reveal()} if settings.client_secret else {}


def bound_client(profile: Profile, credential: GoogleCredential) -> OAuthClient:
    """Return the client, if the credential belongs to it.

    Raises:
        LoginRequired: The configured server or client is a different one.
        ProviderRefused: client_id is not set.
    """
    client = oauth_client(profile)
    if (client.server.token_endpoint, client.client_id) != (credential.token_endpoint, credential.client_id):
        raise LoginRequired(
            "the stored sign-in was issued for a different client ID or token endpoint",
            profile=profile.name,
            hint=f"Restore the profile's previous settings, or run: {sign_in_command(profile.word)}",
            code="sign-in-settings-changed",
        )
    return client
