"""The settings of a profile, each with a default, and checked as a whole when it is built."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import HELPER_TIMEOUT, Command
from freshkey_bedrock.shapes import checked_region
from freshkey_bedrock.sso_settings import SsoSettings


DEADLINE: Final = 60.0
"""Seconds that looking for AWS credentials may take, unless a profile says otherwise."""

MAX_DEADLINE: Final = 600.0
"""Seconds."""

MAX_LIFE: Final = 43200
"""Seconds that a short-term key lives at the most: twelve hours (Bedrock user guide, "API keys")."""

MIN_LIFE: Final = 60.0
"""Seconds; a shorter life would be over before it is used."""


@frozen(kw_only=True)
class BedrockSettings(SsoSettings):
    """The keys of a profile with ``provider = "bedrock"``, those of `SsoSettings` included.

    Attributes:
        region: AWS region of Bedrock, before ``AWS_REGION``, ``AWS_DEFAULT_REGION`` and the region of the AWS profile.
        aws_profile: Name of a profile in the files of AWS's tools; credentials in the environment are ignored then.
        deadline: Seconds that looking for AWS credentials, or checking them, may take.
        auth_refresh: A command that signs a person in with AWS's tools; run for whoever waits when the credentials of
            those are seen to be gone. A project's needs trust.
        credential_export: A command that prints AWS credentials. A project's needs trust.
        credential_export_timeout: Seconds after which it is ended.
        short_term_key_seconds: Life of the API keys that the source ``short-term-key`` makes; twelve hours at the most.
    """

    region: str | None = field(default=None, metadata={"project": True})
    aws_profile: str | None = field(default=None, metadata={"project": True})
    deadline: float = DEADLINE
    auth_refresh: Command | None = None
    credential_export: Command | None = None
    credential_export_timeout: float = HELPER_TIMEOUT
    short_term_key_seconds: float = field(default=float(MAX_LIFE), metadata={"project": True})

    def __attrs_post_init__(self) -> None:
        if self.region is not None:
            checked_region(self.region, "region")
        if self.aws_profile is not None and not self.aws_profile.strip():
            raise ConfigurationError(
                "aws_profile: a profile of AWS's tools has a name", hint="Name it, or leave it out"
            )
        if not 0 < self.deadline <= MAX_DEADLINE:
            raise ConfigurationError(f"deadline must be between 0 and {MAX_DEADLINE:g} seconds")
        if not 0 < self.credential_export_timeout <= MAX_DEADLINE:
            raise ConfigurationError(f"credential_export_timeout must be between 0 and {MAX_DEADLINE:g} seconds")
        if not MIN_LIFE <= self.short_term_key_seconds <= MAX_LIFE:
            raise ConfigurationError(f"short_term_key_seconds must be between {MIN_LIFE:g} and {MAX_LIFE} seconds")
        self.check_sso()
