"""Access tokens that whoever started the process put into its environment: good for an hour at most."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen

from freshkey.errors import LoginRequired
from freshkey.plugin import Clock, Detected, Identity, Moment, Profile, Secret, environment_secret
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.places import Places, places
from freshkey_vertex.settings import VertexSettings


MAX_LENGTH: Final = 3600.0
"""Seconds that Google's access tokens live unless somebody asked for more; nothing tells when this one began."""

_first_seen: dict[str, Moment] = {}
"""When this process first saw a token, by its fingerprint: it does not become younger by being read again."""


@frozen(kw_only=True)
class Variable:
    """An environment variable of other tools that holds an access token.

    Attributes:
        id: Id of the source.
        name: Name of the variable.
    """

    id: str
    name: str

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"access token in {self.name}"

    def detect(self, profile: Profile) -> Detected | None:  # noqa: ARG002  the signature is Source.look's
        """Say whether it is set."""
        secret = environment_secret(self.name, os.environ)
        if secret is None:
            return None
        origin = f"environment variable {self.name}"
        return Detected(kind="access token", origin=origin, last_four=secret.last_four())

    def take(self, profile: Profile, *, clock: Clock) -> GoogleCredential:
        """Return its credential.

        Raises:
            LoginRequired: It is not set, or has been used for an hour.
            ConfigurationError: It holds no usable secret, or no project is named.
            TransientError, OutcomeUnknown, ProviderRefused: As `fetching.fetch` does, where it is to act as another.
        """
        secret = environment_secret(self.name, os.environ)
        if secret is None:
            message = f"the environment variable {self.name} is not set"
            raise LoginRequired(message, profile=profile.name, hint=f"Set {self.name}")
        there = places(profile, os.environ)
        now = clock.now()
        seen = _first_seen.setdefault(secret.fingerprint(), now)
        if not 0 <= now.elapsed - seen.elapsed < MAX_LENGTH:
            message = f"the access token in {self.name} has been used for an hour, which is as long as they live"
            raise LoginRequired(message, profile=profile.name, hint=f"Set {self.name} to a new token, or unset it")
        if profile.settings_as(VertexSettings).impersonate:
            return self._impersonating(secret, profile, there, clock)
        return GoogleCredential(
            obtained=seen,
            clock=clock,
            lifetime=MAX_LENGTH,
            access_token=secret,
            kind="access token",
            project=there.project,
            region=there.region,
            quota_project=there.quota_project,
            identity=Identity(project=there.project),
        )

    def _impersonating(self, secret: Secret, profile: Profile, there: Places, clock: Clock) -> GoogleCredential:
        from freshkey_vertex.fetching import Identification, fetch
        from freshkey_vertex.hosts import transport
        from freshkey_vertex.loading import bearer

        identification = Identification(
            credentials=bearer(secret),
            kind="access token",
            whose=f"the access token in {self.name}",
            account=None,
            sign_in=f"Set {self.name} to a new token",
        )
        return fetch(identification, transport(profile, clock=clock), there, profile, clock=clock)


GCLOUD_TOKEN: Final = Variable(id="gcloud-token", name="CLOUDSDK_AUTH_ACCESS_TOKEN")
OAUTH_TOKEN: Final = Variable(id="oauth-token", name="GOOGLE_OAUTH_ACCESS_TOKEN")
