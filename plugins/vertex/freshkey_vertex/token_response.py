"""Builds a credential from a token response, after a sign-in and after a renewal."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import sign_in_command
from freshkey.oauth import OAuthClient, TokenAnswer
from freshkey.plugin import Identity, Profile, Secret
from freshkey_vertex.fetch_token import DEFAULT_LIFETIME, Principal, fetch_token
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.google_auth import token_credentials
from freshkey_vertex.identity import from_id_token, with_project
from freshkey_vertex.project import ResolvedProject
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import build_transport


SOURCE: Final = "oauth"


def make_credential(
    answer: TokenAnswer,
    client: OAuthClient,
    profile: Profile,
    resolved: ResolvedProject,
    *,
    scopes: tuple[str, ...],
    refresh_token: Secret | None = None,
    identity: Identity = Identity(),  # noqa: B008  frozen
) -> GoogleCredential:
    """Return the credential in a token response, or an impersonated one if the profile is configured for that.

    Raises:
        TransientError, OutcomeUnknown, ProviderRefused: See `fetch_token`.
    """
    unusable = answer.unusable()
    lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
    # An impersonated credential shows the impersonated identity, not the user who signed in.
    other = profile.settings_as(VertexSettings).impersonate
    known = with_project(Identity() if other else identity, resolved.project)
    own = GoogleCredential(
        obtained=answer.requested or profile.clock.now(),
        clock=profile.clock,
        lifetime=lifetime if unusable is None else 0.0,
        renewable_for=answer.refresh_expires_in,
        unusable=unusable,
        source=SOURCE,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or refresh_token,
        scopes=answer.granted(scopes),
        client_id=client.client_id,
        token_endpoint=client.server.token_endpoint,
        kind="user",
        project=resolved.project,
        region=resolved.region,
        quota_project=resolved.quota_project,
        identity=from_id_token(answer.extra, known),
    )
    return _acting_as_another(own, profile, resolved) if other and unusable is None else own


def _acting_as_another(own: GoogleCredential, profile: Profile, resolved: ResolvedProject) -> GoogleCredential:
    """Return a token of the impersonated service account, together with the user's refresh token."""
    principal = Principal(
        credentials=token_credentials(own.access_token),
        kind="user",
        display_name=own.identity.email or "the signed-in user",
        account=own.identity.email,
        sign_in_hint=f"Run: {sign_in_command(profile.word)}",
    )
    other = fetch_token(principal, build_transport(profile), resolved, profile)
    return evolve(
        other,
        source=own.source,
        refresh_token=own.refresh_token,
        renewable_for=own.renewable_for,
        scopes=own.scopes,
        client_id=own.client_id,
        token_endpoint=own.token_endpoint,
    )
