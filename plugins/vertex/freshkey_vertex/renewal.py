"""Renewal of a sign-in, and its end at sign-out.

Google's refresh tokens may be used again and again, and an answer to a renewal brings none.
"""

from __future__ import annotations

import os

from freshkey import plugin
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.oauth import read_refusal, read_revocation
from freshkey.plugin import SYSTEM, Clock, Credential, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.oauth_client import bound_client, client_authentication
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.token_response import make_credential


def renew(profile: Profile, credential: Credential, *, clock: Clock = SYSTEM) -> GoogleCredential:
    """Return a newer credential.

    Raises:
        TransientError: Certainly not acted upon.
        OutcomeUnknown: Sent, no usable answer; asking again does no harm.
        LoginRequired: It cannot be renewed, has ended, or belongs to another client or server.
        ProviderRefused: The client is refused.
    """
    again = f"Run: freshkey login {profile.name}"
    if not isinstance(credential, GoogleCredential) or credential.refresh_token is None:
        message = "this credential cannot be renewed: nothing came along to renew it with"
        raise LoginRequired(message, profile=profile.name, hint=again)
    client = bound_client(profile, credential, clock)
    answer = client.refresh(credential.refresh_token, extra=client_authentication(profile.settings_as(VertexSettings)))
    return make_credential(
        answer,
        client,
        profile,
        resolve_project(profile, os.environ, project=credential.project),
        clock,
        scopes=credential.scopes,
        refresh_token=credential.refresh_token,
        identity=credential.identity,
    )


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
