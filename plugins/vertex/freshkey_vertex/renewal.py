"""Renewal of a sign-in with its refresh token.

Google's refresh tokens can be reused, and the response to a renewal contains no new one.
"""

from __future__ import annotations

import os

from freshkey.errors import IntermediaryAnswer, LoginRequired, sign_in_command
from freshkey.oauth import OAuthClient, TokenAnswer, retryable
from freshkey.plugin import Credential, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.oauth_client import bound_client, client_authentication
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.token_response import make_credential


def renew(profile: Profile, credential: Credential) -> GoogleCredential:
    """Return a newer credential.

    Raises:
        TransientError: The request was certainly not processed.
        OutcomeUnknown: The request was sent, but there is no usable response; trying again is safe.
        LoginRequired: The sign-in cannot be renewed, has ended, or belongs to another client or server.
        ProviderRefused: The client was refused.
    """
    again = f"Run: {sign_in_command(profile.word)}"
    if not isinstance(credential, GoogleCredential) or credential.refresh_token is None:
        message = "this credential cannot be renewed: it has no refresh token"
        raise LoginRequired(message, profile=profile.name, hint=again, code="not-renewable")
    client = bound_client(profile, credential)
    extra = client_authentication(profile.settings_as(VertexSettings))
    try:
        answer = client.refresh(credential.refresh_token, extra=extra)
    except IntermediaryAnswer as error:
        blocked = retryable(error)
    else:
        return _renewed(profile, credential, client, answer)
    raise blocked


def _renewed(
    profile: Profile, credential: GoogleCredential, client: OAuthClient, answer: TokenAnswer
) -> GoogleCredential:
    return make_credential(
        answer,
        client,
        profile,
        resolve_project(profile, os.environ, project=credential.project),
        scopes=credential.scopes,
        refresh_token=credential.refresh_token,
        identity=credential.identity,
    )
