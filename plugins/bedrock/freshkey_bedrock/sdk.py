"""A botocore session for boto3 and botocore clients that gets current AWS credentials before each signature."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.session import Session

from freshkey.errors import ConfigurationError
from freshkey_bedrock.formats import AwsCredential


if TYPE_CHECKING:
    from freshkey.plugin import CredentialSource

ASK_EACH_TIME: Final = 10**12
"""Value of both refresh timeouts of botocore, in seconds: it refreshes whenever less lifetime is left, so always.

freshkey returns credentials from memory, and raises only if no usable ones are left.
"""

NO_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The time passed to botocore for credentials that do not expire."""


def botocore_session(source: CredentialSource, profile: str | None = None) -> Session:
    """Return a botocore session with the credentials of a profile, for ``boto3.Session(botocore_session=…)``.

    Its clients keep working across renewals. The first credential is fetched here; later ones come from memory, or
    block until a renewal if the last one has expired. Arguments and errors are those of
    `freshkey_bedrock.botocore_session`.
    """
    session = Session()
    session.register_component("credential_provider", CredentialResolver([_Provider(source, profile)]))
    session.set_config_variable("region", _aws(source, profile).region)
    return session


class _Provider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """The session's only credential provider.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the selected one.
    """

    METHOD = "freshkey"
    CANONICAL_NAME = "freshkey"

    def __init__(self, source: CredentialSource, profile: str | None) -> None:
        super().__init__()
        self._source = source
        self._profile = profile

    def load(self) -> RefreshableCredentials:
        """Return credentials that refresh themselves before each signature."""
        # So a renewal, another account or a sign-out takes effect with the next request.
        # See docs/decisions.md, "botocore gets the keeper's credentials before each signature".
        return RefreshableCredentials.create_from_metadata(
            metadata=self._metadata(),
            refresh_using=self._metadata,
            method=self.METHOD,
            advisory_timeout=ASK_EACH_TIME,
            mandatory_timeout=ASK_EACH_TIME,
        )

    def _metadata(self) -> dict[str, Any]:
        return _metadata(_aws(self._source, self._profile))


def _aws(source: CredentialSource, profile: str | None) -> AwsCredential:
    credential = source.get(profile)
    if isinstance(credential, AwsCredential):
        return credential
    raise ConfigurationError(
        f"botocore needs AWS credentials, but the source {credential.source!r} provides an API key",
        profile=profile,
        hint="Choose another source, or pass the API key in AWS_BEARER_TOKEN_BEDROCK",
        code="bedrock-api-key-not-supported",
    )


def _metadata(credential: AwsCredential) -> dict[str, Any]:
    """Return a credential in the form that botocore's ``RefreshableCredentials`` expects."""
    token = credential.session_token
    return {
        "access_key": credential.access_key_id,
        "secret_key": credential.secret_access_key.reveal(),
        "token": token.reveal() if token is not None else None,
        "expiry_time": (credential.expires_at or NO_END).isoformat(),
        "account_id": credential.identity.organization,
    }
