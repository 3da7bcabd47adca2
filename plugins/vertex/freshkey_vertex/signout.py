"""The end of a sign-in at Google."""

from __future__ import annotations

from freshkey import plugin
from freshkey.errors import ProviderRefused
from freshkey.oauth import read_refusal, read_revocation
from freshkey.plugin import SYSTEM, Credential, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.oauth_client import bound_client
from freshkey_vertex.settings import VertexSettings


def revoke(profile: Profile, credential: Credential) -> None:
    """End a sign-in at Google, and what came from it with it.

    Google wants the token alone, and answers ``invalid_token`` for one that has ended.

    Raises:
        TransientError: It may still exist; try again.
        OutcomeUnknown: No answer says whether it is ended.
        LoginRequired: It belongs to another server than is set up now, so it was not sent.
        ProviderRefused: The server does not revoke it.
    """
    if not isinstance(credential, GoogleCredential):
        raise ProviderRefused("only a sign-in can be revoked")
    client = bound_client(profile, credential, SYSTEM)
    token = credential.refresh_token or credential.access_token
    settings = profile.settings_as(VertexSettings)
    response = client.send(plugin.form(settings.revoke_url, {"token": token.reveal()}))
    if read_refusal(response).code != "invalid_token":
        read_revocation(response, SYSTEM.now().wall)
