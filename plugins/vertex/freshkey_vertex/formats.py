"""The only kind of credential: a Google access token with the project and region to use it in."""

from __future__ import annotations

from typing import Final, Literal

from attrs import frozen

from freshkey.plugin import Credential, OAuthToken


Kind = Literal["user", "service account", "federated identity", "access token"]

QUOTA_HEADER: Final = "x-goog-user-project"
"""Names the project for billing and quotas, if it is not the credential's own (Google's "system parameters")."""


@frozen(kw_only=True)
class GoogleCredential(OAuthToken):
    """A Google OAuth access token. Only freshkey's own sign-in has a refresh token.

    Attributes:
        kind: The kind of identity that the token belongs to.
        project: The project to use it in.
        region: Region of the models, such as ``europe-west1`` or ``global``; None leaves it to the client.
        quota_project: The project that pays for API calls, if it is not the credential's own.
    """

    kind: Kind
    project: str
    region: str | None = None
    quota_project: str | None = None

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        quota = {QUOTA_HEADER: self.quota_project} if self.quota_project else {}
        return {**super()._headers(method, url, body), **quota}

    def _environment(self) -> dict[str, str]:
        """Return the token for ``gcloud`` and Terraform, and project and region for all clients.

        Google's client libraries do not read tokens from the environment, so programs that use them cannot use it.
        """
        token = self.access_token.reveal()
        variables = {
            "CLOUDSDK_AUTH_ACCESS_TOKEN": token,
            "GOOGLE_OAUTH_ACCESS_TOKEN": token,
            "CLOUDSDK_CORE_PROJECT": self.project,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "ANTHROPIC_VERTEX_PROJECT_ID": self.project,
        }
        if self.region:
            variables["CLOUD_ML_REGION"] = self.region
        if self.quota_project:
            variables |= {
                "GOOGLE_CLOUD_QUOTA_PROJECT": self.quota_project,
                "CLOUDSDK_BILLING_QUOTA_PROJECT": self.quota_project,
            }
        return variables


FORMATS: Final[dict[str, type[Credential]]] = {"google-token": GoogleCredential}
"""Tags in stored records; their meaning never changes."""
