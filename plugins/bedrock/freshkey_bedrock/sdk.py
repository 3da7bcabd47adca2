"""Gives botocore and boto3 fresh AWS credentials: a session whose credentials are asked for before each signature."""

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
"""Both of botocore's time-outs, in seconds: it asks again where less is left, and takes an error for an answer.

freshkey answers from memory, and has no answer only where nothing usable is left.
"""

NO_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The end that botocore is told where there is none."""


def botocore_session(source: CredentialSource, profile: str | None = None) -> Session:
    """Return a botocore session with the credentials of a profile; ``boto3.Session(botocore_session=…)`` takes it.

    Clients of it live across any number of renewals. The first credential is fetched here; later ones come from
    memory, or are waited for where the last one has ended. Arguments and errors are those of
    `freshkey_bedrock.botocore_session`.
    """
    session = Session()
    session.register_component("credential_provider", CredentialResolver([_Provider(source, profile)]))
    session.set_config_variable("region", _aws(source, profile).region)
    return session


class _Provider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """The only place where the session looks for credentials.

    Args:
        source: Where they come from.
        profile: Name of the profile; None for the selected one.
    """

    METHOD = "freshkey"
    CANONICAL_NAME = "freshkey"

    def __init__(self, source: CredentialSource, profile: str | None) -> None:
        super().__init__()
        self._source = source
        self._profile = profile

    def load(self) -> RefreshableCredentials:
        """Return credentials that ask for newer ones before each signature."""
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
        f"the source {credential.source!r} gives no AWS credentials, and botocore signs with nothing else",
        profile=profile,
        hint="Choose another source, or hand the API key over as AWS_BEARER_TOKEN_BEDROCK",
    )


def _metadata(credential: AwsCredential) -> dict[str, Any]:
    """Return a credential as botocore's ``RefreshableCredentials`` take it."""
    token = credential.session_token
    return {
        "access_key": credential.access_key_id,
        "secret_key": credential.secret_access_key.reveal(),
        "token": token.reveal() if token is not None else None,
        "expiry_time": (credential.expires_at or NO_END).isoformat(),
        "account_id": credential.identity.organization,
    }
