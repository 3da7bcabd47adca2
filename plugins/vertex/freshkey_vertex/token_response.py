"""From a server's answer to a credential, the same way after a sign-in and after a renewal."""

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
    """Return the credential that an answer brought, acting as another where the profile wants that.

    Raises:
        ProtocolError: It is no bearer token.
        TransientError, OutcomeUnknown, ProviderRefused: As `fetch_token` does.
    """
    if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
        raise ProtocolError(f"the server issued a token of type {answer.token_type}; only bearer tokens can be used")
    # A credential that acts as another tells whose that is, not whose sign-in this was.
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
    """Return a service account's token, with what renews the user's own."""
    principal = Principal(
        credentials=token_credentials(own.access_token),
        kind="user",
        display_name=own.identity.email or "the person who signed in",
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
