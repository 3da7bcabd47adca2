"""AWS credentials as botocore or a command returns them, and their conversion to a freshkey credential."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from attrs import frozen

from freshkey.plugin import Clock, Identity, Moment, Secret
from freshkey_bedrock.formats import AwsCredential


RECHECK: Final = 3600.0
"""Seconds after which credentials that do not say when they expire are looked up again, as Claude Code does."""


RENEW: Final = "Renew them with the tool that issued them"
"""The next step if credentials have expired that no command of the AWS CLI renews."""


@frozen(kw_only=True)
class AwsKeys:
    """AWS credentials as they were received.

    Attributes:
        access_key_id: The access key ID.
        secret_access_key: The secret access key.
        session_token: Session token; only temporary credentials have one.
        expires_at: When they expire (aware); None if unknown.
        account_id: The AWS account, if known.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    expires_at: datetime | None
    account_id: str | None

    def has_expired(self, now: Moment) -> bool:
        """Return whether they are known to have expired."""
        return self.expires_at is not None and self.expires_at.timestamp() <= now.wall

    def credential(self, obtained: Moment, region: str, clock: Clock) -> AwsCredential:
        """Return them as a credential.

        Args:
            obtained: When they were received.
            region: Region to sign requests for.
            clock: Provides the time for each signature.
        """
        return AwsCredential(
            obtained=obtained,
            clock=clock,
            lifetime=None if self.expires_at is None else self.expires_at.timestamp() - obtained.wall,
            recheck_after=RECHECK if self.expires_at is None else None,
            identity=Identity(organization=self.account_id),
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            region=region,
        )
