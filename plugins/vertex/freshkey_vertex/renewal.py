"""Renewal of a sign-in with its refresh token.

Google's refresh tokens may be used again and again, and an answer to a renewal brings none.
"""

from __future__ import annotations

import os

from freshkey.errors import LoginRequired, sign_in_command
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
    again = f"Run: {sign_in_command(profile.name)}"
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
