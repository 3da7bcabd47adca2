"""Builds a credential from a token response, after a sign-in and after a renewal."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import ProtocolError, sign_in_command
from freshkey.oauth import OAuthClient, TokenAnswer
from freshkey.plugin import Clock, Identity, Profile, Secret
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
    clock: Clock,
    *,
    scopes: tuple[str, ...],
    refresh_token: Secret | None = None,
    identity: Identity = Identity(),  # noqa: B008  frozen
) -> GoogleCredential:
    """Return the credential in a token response, or an impersonated one if the profile is configured for that.

    Raises:
        ProtocolError: The token is not a bearer token.
        TransientError, OutcomeUnknown, ProviderRefused: See `fetch_token`.
    """
    if answer.token_type != "Bearer":  # noqa: S105  a token type, not a token
        raise ProtocolError(
            f"the server issued a token of type {answer.token_type}; only bearer tokens are supported",
            code="unsupported-token-type",
        )
    # An impersonated credential shows the impersonated identity, not the user who signed in.
    other = profile.settings_as(VertexSettings).impersonate
    known = with_project(Identity() if other else identity, resolved.project)
    own = GoogleCredential(
        obtained=clock.now(),
        clock=clock,
        lifetime=DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in,
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
    return _acting_as_another(own, profile, resolved, clock) if other else own


def _acting_as_another(
    own: GoogleCredential, profile: Profile, resolved: ResolvedProject, clock: Clock
) -> GoogleCredential:
    """Return a token of the impersonated service account, together with the user's refresh token."""
    principal = Principal(
        credentials=token_credentials(own.access_token),
        kind="user",
        display_name=own.identity.email or "the signed-in user",
        account=own.identity.email,
        sign_in_hint=f"Run: {sign_in_command(profile.name)}",
    )
    other = fetch_token(principal, build_transport(profile, clock=clock), resolved, profile, clock=clock)
    return evolve(
        other,
        source=own.source,
        refresh_token=own.refresh_token,
        scopes=own.scopes,
        client_id=own.client_id,
        token_endpoint=own.token_endpoint,
    )
