"""Revokes a sign-in at Google."""

from __future__ import annotations

from freshkey import plugin
from freshkey.errors import ProviderRefused
from freshkey.oauth import read_refusal, read_revocation
from freshkey.plugin import Credential, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.oauth_client import bound_client
from freshkey_vertex.settings import VertexSettings


def revoke(profile: Profile, credential: Credential) -> None:
    """Revoke a sign-in at Google, including all of its tokens.

    Google expects only the token, and responds with ``invalid_token`` if it is already revoked.

    Raises:
        TransientError: The sign-in may still be valid; try again.
        OutcomeUnknown: There was no response, so the sign-in may still be valid.
        LoginRequired: It belongs to a different server than the configured one, so it was not sent.
        ProviderRefused: The server refused to revoke it.
    """
    if not isinstance(credential, GoogleCredential):
        raise ProviderRefused("only a sign-in can be revoked", code="revocation-not-supported")
    client = bound_client(profile, credential)
    token = credential.refresh_token or credential.access_token
    settings = profile.settings_as(VertexSettings)
    response = client.send(plugin.form(settings.revoke_url, {"token": token.reveal()}))
    if read_refusal(response).code != "invalid_token":
        read_revocation(response, profile.clock.now().wall)
