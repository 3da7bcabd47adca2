"""AWS credentials as a tool of AWS's or a program hands them over, and what freshkey makes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from attrs import frozen

from freshkey.plugin import Clock, Identity, Moment, Secret
from freshkey_bedrock.formats import AwsCredential


RECHECK: Final = 3600.0
"""Seconds after which credentials without a known end are looked up again, as Claude Code does."""


@frozen(kw_only=True)
class AwsKeys:
    """Keys, at the moment when they were handed over.

    Attributes:
        access_key_id: Names the key.
        secret_access_key: Signs.
        session_token: Of temporary credentials.
        expires_at: Their end, aware; None where none is known.
        account_id: The AWS account, where it is known.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    expires_at: datetime | None
    account_id: str | None

    def has_expired(self, now: Moment) -> bool:
        """Tell whether their end is known, and over."""
        return self.expires_at is not None and self.expires_at.timestamp() <= now.wall

    def credential(self, obtained: Moment, region: str, clock: Clock) -> AwsCredential:
        """Return them as a credential.

        Args:
            obtained: When they were handed over.
            region: The region that requests are signed for.
            clock: Tells the time of each signature.
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
