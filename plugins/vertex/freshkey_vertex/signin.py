"""A sign-in of freshkey's own: with the application's OAuth client, kept, renewed and ended by freshkey.

Requests are those of "OAuth 2.0 for Mobile & Desktop Apps": authorization code with PKCE over a loopback redirect.
Google's refresh tokens may be used again and again, and an answer to a renewal brings none.
"""

from __future__ import annotations

import functools
import os
from typing import Final

from attrs import evolve

from freshkey import plugin
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth import OAuthClient, Server, TokenAnswer, authorize, read_refusal, read_revocation
from freshkey.plugin import SYSTEM, Clock, Credential, Identity, Interaction, Profile, Secret
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.hosts import hosts, transport
from freshkey_vertex.identity import from_id_token
from freshkey_vertex.places import Places, places
from freshkey_vertex.settings import IDENTITY_SCOPES, VertexSettings


SOURCE: Final = "oauth"

LIFETIME: Final = 3600.0
"""Seconds, where the server says nothing of the end."""


def sign_in(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> GoogleCredential:
    """Have a person sign in and return the credential.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: Nobody is there, or the person declined.
        ProviderRefused: The settings cannot work.
        ConfigurationError: No project is named anywhere.
    """
    settings = profile.settings_as(VertexSettings)
    client = _client(profile, clock)
    there = places(profile, os.environ)
    scopes = tuple(dict.fromkeys((*settings.scopes, *IDENTITY_SCOPES)))
    grant = authorize(
        client.server,
        client_id=client.client_id,
        scopes=scopes,
        interaction=interaction,
        redirect_host=settings.redirect_host,
        redirect_path=settings.redirect_path,
        # Without both, Google gives no refresh token to a person who has consented before.
        extra={"access_type": "offline", "prompt": "consent", **settings.authorize_parameters},
        clock=clock,
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )
    answer = client.exchange(grant, extra=_authentication(settings))
    if answer.refresh_token is None:
        interaction.notice("Google gave no refresh token: this sign-in ends with its first access token")
    return _credential(answer, client, profile, there, clock, scopes=scopes)


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
    client = _bound_client(profile, credential, clock)
    answer = client.refresh(credential.refresh_token, extra=_authentication(profile.settings_as(VertexSettings)))
    return _credential(
        answer,
        client,
        profile,
        places(profile, os.environ, project=credential.project),
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
        OutcomeUnknown: Nobody answered whether it is ended.
        LoginRequired: It belongs to another server than is set up now, so it was not sent.
        ProviderRefused: The server does not revoke it.
    """
    if not isinstance(credential, GoogleCredential):
        raise ProviderRefused("only a sign-in can be revoked")
    client = _bound_client(profile, credential, SYSTEM)
    token = credential.refresh_token or credential.access_token
    settings = profile.settings_as(VertexSettings)
    response = client.send(plugin.form(settings.revoke_url, {"token": token.reveal()}))
    if read_refusal(response).code != "invalid_token":
        read_revocation(response, SYSTEM.now().wall)


def _client(profile: Profile, clock: Clock) -> OAuthClient:
    settings = profile.settings_as(VertexSettings)
    if not settings.client_id:
        raise ProviderRefused(
            "signing in needs the client id of your own OAuth application, and none is set",
            profile=profile.name,
            hint=f'Write client_id = "…" and client_secret under [profiles.{profile.name}] in config.toml, '
            "or run gcloud auth application-default login",
        )
    return OAuthClient(
        server=Server(authorization_endpoint=settings.authorize_url, token_endpoint=settings.token_url),
        client_id=settings.client_id,
        send=functools.partial(
            plugin.send, hosts=hosts(settings), allow_insecure_loopback=settings.allow_insecure_loopback
        ),
        clock=clock,
    )


def _authentication(settings: VertexSettings) -> dict[str, str]:
    """Return the fields by which the client shows who it is; Google wants a desktop app's secret as well."""
    return {"client_secret": settings.client_secret.reveal()} if settings.client_secret else {}


def _bound_client(profile: Profile, credential: GoogleCredential, clock: Clock) -> OAuthClient:
    """Return the client, if it is the one that the credential belongs to.

    Raises:
        LoginRequired: The settings name another server or client.
        ProviderRefused: No client id is set.
    """
    client = _client(profile, clock)
    if (client.server.token_endpoint, client.client_id) != (credential.token_endpoint, credential.client_id):
        raise LoginRequired(
            "the stored sign-in belongs to another client or server than is set up now",
            profile=profile.name,
            hint=f"Restore the settings, or run: freshkey login {profile.name}",
        )
    return client


def _credential(
    answer: TokenAnswer,
    client: OAuthClient,
    profile: Profile,
    there: Places,
    clock: Clock,
    *,
    scopes: tuple[str, ...],
    refresh_token: Secret | None = None,
    identity: Identity = Identity(),  # noqa: B008  frozen
) -> GoogleCredential:
    """Return the credential that an answer brought, acting as another where the profile wants that.

    Raises:
        ProtocolError: It is no bearer token.
        TransientError, OutcomeUnknown, ProviderRefused: As `fetching.fetch` does.
    """
    if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
        raise ProtocolError(f"the server issued a token of type {answer.token_type}; only bearer tokens can be used")
    # A credential that acts as another tells whose that is, not whose sign-in this was.
    other = profile.settings_as(VertexSettings).impersonate
    known = Identity(project=there.project) if other else evolve(identity, project=there.project)
    own = GoogleCredential(
        obtained=clock.now(),
        clock=clock,
        lifetime=LIFETIME if answer.expires_in is None else answer.expires_in,
        source=SOURCE,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or refresh_token,
        scopes=answer.granted(scopes),
        client_id=client.client_id,
        token_endpoint=client.server.token_endpoint,
        kind="user",
        project=there.project,
        region=there.region,
        quota_project=there.quota_project,
        identity=from_id_token(answer.extra, known),
    )
    return _acting_as_another(own, profile, there, clock) if other else own


def _acting_as_another(own: GoogleCredential, profile: Profile, there: Places, clock: Clock) -> GoogleCredential:
    """Return a service account's token, with what renews the person's own."""
    from freshkey_vertex.fetching import Identification, fetch
    from freshkey_vertex.loading import bearer

    identification = Identification(
        credentials=bearer(own.access_token),
        kind="user",
        whose=own.identity.email or "the person who signed in",
        account=own.identity.email,
        sign_in=f"Run: freshkey login {profile.name}",
    )
    other = fetch(identification, transport(profile, clock=clock), there, profile, clock=clock)
    return evolve(
        other,
        source=own.source,
        refresh_token=own.refresh_token,
        scopes=own.scopes,
        client_id=own.client_id,
        token_endpoint=own.token_endpoint,
    )
