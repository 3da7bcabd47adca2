"""The settings of a profile; all have defaults, and they are validated on construction."""

from __future__ import annotations

import re
from typing import Final, Literal

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import HELPER_TIMEOUT, Command, checked_url, is_implausible, quoted


DEADLINE: Final = 60.0
"""Default time limit for looking up AWS credentials, in seconds."""

MAX_DEADLINE: Final = 600.0
"""Upper limit for configurable timeouts, in seconds."""

MAX_LIFE: Final = 43200
"""Maximum lifetime of a short-term key in seconds: twelve hours (Bedrock user guide, "API keys")."""

MIN_LIFE: Final = 60.0
"""Minimum lifetime of a short-term key in seconds; a shorter one could expire before the key is used."""

MAX_PROFILE_NAME: Final = 256
"""Characters; a longer name of an AWS profile is not plausible."""

_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
"""The shape of a region name; regions become part of host names, so nothing else is accepted."""

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ROLE: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ADDRESSES: Final = ("sso_start_url", "sso_oidc_url", "sso_portal_url")


def checked_region(region: str, what: str) -> str:
    """Return a region name if it is well-formed.

    Args:
        region: The name.
        what: Where it comes from, for the message.

    Raises:
        ConfigurationError: It is not a region name.
    """
    if _REGION.fullmatch(region):
        return region
    raise ConfigurationError(
        f"{what}: {quoted(region)} is not an AWS region name",
        hint="Use a region name such as us-east-1",
        code="bedrock-invalid-region",
    )


def _without_fragment(url: str | None) -> str | None:
    return url and url.partition("#")[0]


@frozen(kw_only=True)
class SsoSettings:
    """Settings of the source ``sso``.

    Attributes:
        sso_start_url: URL of the access portal, such as ``https://example.awsapps.com/start``; a fragment (``#…``), as
            browsers show it, is dropped.
        sso_region: Region of IAM Identity Center; often differs from that of Bedrock.
        sso_account_id: AWS account of the role, twelve digits.
        sso_role_name: Name of the permission set, as shown in the access portal.
        sso_flow: ``browser`` (authorization code with PKCE; the redirect URL can be pasted), or ``device`` (a code
            entered on any device).
        sso_oidc_url: URL that issues tokens; by default that of `sso_region`.
        sso_portal_url: URL that issues role credentials; by default that of `sso_region`.
    """

    sso_start_url: str | None = field(default=None, converter=_without_fragment)
    sso_region: str | None = field(default=None, metadata={"bound": True})  # part of both URLs below
    sso_account_id: str | None = None
    sso_role_name: str | None = None
    sso_flow: Literal["browser", "device"] = "browser"
    sso_oidc_url: str | None = None
    sso_portal_url: str | None = None

    def check_sso(self) -> None:
        """Validate these settings.

        Raises:
            ConfigurationError: A setting is malformed.
        """
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=True, setting=name)
        if self.sso_region is not None:
            checked_region(self.sso_region, "sso_region")
        if self.sso_account_id is not None and not _ACCOUNT.fullmatch(self.sso_account_id):
            raise ConfigurationError(
                f"sso_account_id: {quoted(self.sso_account_id)} is not an AWS account ID of twelve digits",
                hint="Write all twelve digits, in quotes",
                code="invalid-setting",
            )
        if self.sso_role_name is not None and not _ROLE.fullmatch(self.sso_role_name):
            raise ConfigurationError(
                f"sso_role_name: {quoted(self.sso_role_name)} is not a valid permission set name",
                hint="Copy the name from the access portal",
                code="invalid-setting",
            )


@frozen(kw_only=True)
class BedrockSettings(SsoSettings):
    """The settings of a profile with ``provider = "bedrock"``, including those of `SsoSettings`.

    Attributes:
        region: AWS region of Bedrock; overrides ``AWS_REGION``, ``AWS_DEFAULT_REGION`` and the AWS profile's region.
        aws_profile: Name of an AWS profile; if set, credentials in the environment are ignored.
        deadline: Time limit for looking up or checking AWS credentials, in seconds.
        auth_refresh: A command that signs the user in with another tool; it runs if AWS credentials are missing or
            expired and a caller is waiting. A project's command must be trusted.
        credential_export: A command that prints AWS credentials. A project's command must be trusted.
        credential_export_timeout: Seconds after which that command is killed.
        short_term_key_seconds: Lifetime of API keys made by the source ``short-term-key``; at most twelve hours.
    """

    region: str | None = field(default=None, metadata={"project": True})
    aws_profile: str | None = field(default=None, metadata={"project": "choice"})
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
                "aws_profile is empty",
                hint="Set it to the name of an AWS profile, or remove it",
                code="invalid-setting",
            )
        if self.aws_profile is not None and is_implausible(self.aws_profile, MAX_PROFILE_NAME):
            raise ConfigurationError(
                "aws_profile is not a plausible name of an AWS profile, and may be a secret",
                hint="Set it to the name of an AWS profile, or remove it",
                code="invalid-setting",
            )
        if not 0 < self.deadline <= MAX_DEADLINE:
            raise ConfigurationError(f"deadline must be between 0 and {MAX_DEADLINE:g} seconds", code="invalid-setting")
        if not 0 < self.credential_export_timeout <= MAX_DEADLINE:
            raise ConfigurationError(
                f"credential_export_timeout must be between 0 and {MAX_DEADLINE:g} seconds", code="invalid-setting"
            )
        if not MIN_LIFE <= self.short_term_key_seconds <= MAX_LIFE:
            raise ConfigurationError(
                f"short_term_key_seconds must be between {MIN_LIFE:g} and {MAX_LIFE} seconds", code="invalid-setting"
            )
        self.check_sso()
