"""Access tokens in environment variables, which expire after an hour at most."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen

from freshkey.errors import LoginRequired
from freshkey.plugin import Detected, Identity, Moment, Profile, Secret, detected_variable, required_variable
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import with_project
from freshkey_vertex.project import ResolvedProject, resolve_project
from freshkey_vertex.settings import VertexSettings


MAX_LIFETIME: Final = 3600.0
"""Default lifetime of Google's access tokens in seconds; when this one was issued is unknown."""

_first_seen: dict[str, Moment] = {}
"""When this process first saw each token, by fingerprint: reading it again does not extend its lifetime."""


@frozen(kw_only=True)
class EnvironmentVariable:
    """An environment variable of other tools that contains an access token.

    Attributes:
        id: ID of the source.
        name: Name of the variable.
    """

    id: str
    name: str

    @property
    def title(self) -> str:
        """The title shown to the user."""
        return f"access token in {self.name}"

    def detect(self, profile: Profile) -> Detected | None:  # noqa: ARG002  the signature is Source.detect's
        """Report the variable if it is set."""
        return detected_variable(self.name, os.environ, kind="access token")

    def acquire(self, profile: Profile) -> GoogleCredential:
        """Return the credential.

        Raises:
            LoginRequired: The variable is not set, or the token has been in use for an hour.
            ConfigurationError: The value is not a usable secret, or no project is configured.
            TransientError, OutcomeUnknown, ProviderRefused: Impersonation failed; see `fetch_token`.
        """
        secret = required_variable(self.name, os.environ)
        resolved = resolve_project(profile, os.environ)
        now = profile.clock.now()
        seen = _first_seen.setdefault(secret.fingerprint(), now)
        if not 0 <= now.elapsed - seen.elapsed < MAX_LIFETIME:
            message = f"the access token in {self.name} has been in use for an hour, its maximum lifetime"
            raise LoginRequired(
                message,
                profile=profile.name,
                hint=f"Set {self.name} to a new token, or unset it",
                code="vertex-access-token-expired",
            )
        if profile.settings_as(VertexSettings).impersonate:
            return self._impersonated(secret, profile, resolved)
        return GoogleCredential(
            obtained=seen,
            clock=profile.clock,
            lifetime=MAX_LIFETIME,
            access_token=secret,
            kind="access token",
            project=resolved.project,
            region=resolved.region,
            quota_project=resolved.quota_project,
            identity=with_project(Identity(), resolved.project),
        )

    def _impersonated(self, secret: Secret, profile: Profile, resolved: ResolvedProject) -> GoogleCredential:
        from freshkey_vertex.fetch_token import Principal, fetch_token
        from freshkey_vertex.google_auth import token_credentials
        from freshkey_vertex.transport import build_transport

        principal = Principal(
            credentials=token_credentials(secret),
            kind="access token",
            display_name=f"the access token in {self.name}",
            account=None,
            sign_in_hint=f"Set {self.name} to a new token",
        )
        return fetch_token(principal, build_transport(profile), resolved, profile)


GCLOUD_TOKEN: Final = EnvironmentVariable(id="gcloud-token", name="CLOUDSDK_AUTH_ACCESS_TOKEN")
OAUTH_TOKEN: Final = EnvironmentVariable(id="oauth-token", name="GOOGLE_OAUTH_ACCESS_TOKEN")
