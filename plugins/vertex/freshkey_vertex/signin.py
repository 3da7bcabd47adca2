"""Signs in with the application's own OAuth client.

The requests follow "OAuth 2.0 for Mobile & Desktop Apps": authorization code with PKCE over a loopback redirect.
"""

from __future__ import annotations

import os

from freshkey.oauth import authorize
from freshkey.plugin import Interaction, Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.oauth_client import client_authentication, oauth_client
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import IDENTITY_SCOPES, VertexSettings
from freshkey_vertex.token_response import make_credential


def sign_in(profile: Profile, interaction: Interaction) -> GoogleCredential:
    """Have the user sign in and return the credential.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may already have been used; start over.
        LoginRequired: There is no user to sign in, or the user declined.
        ProviderRefused: The settings were not accepted.
        ConfigurationError: No project is configured.
    """
    settings = profile.settings_as(VertexSettings)
    client = oauth_client(profile)
    resolved = resolve_project(profile, os.environ)
    scopes = tuple(dict.fromkeys((*settings.scopes, *IDENTITY_SCOPES)))
    interaction.require_attended()
    grant = authorize(
        profile,
        client,
        interaction,
        scopes=scopes,
        redirect_host=settings.redirect_host,
        redirect_path=settings.redirect_path,
        # Without both, Google issues no refresh token to a user who has consented before.
        extra={"access_type": "offline", "prompt": "consent", **settings.authorize_parameters},
    )
    answer = client.exchange(grant, extra=client_authentication(settings))
    flaw = answer.unusable()
    if flaw is not None:
        raise flaw
    if answer.refresh_token is None:
        interaction.notice(
            "Google issued no refresh token: you will need to sign in again when the access token expires"
        )
    return make_credential(answer, client, profile, resolved, scopes=scopes)
