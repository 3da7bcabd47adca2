"""The settings of a profile, each with a default, and checked as a whole when it is built."""

from __future__ import annotations

import re
from typing import Final, Literal

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import HELPER_TIMEOUT, Command, checked_url


DEADLINE: Final = 60.0
"""Seconds that looking for AWS credentials may take, unless a profile says otherwise."""

MAX_DEADLINE: Final = 600.0
"""Seconds."""

MAX_LIFE: Final = 43200
"""Seconds that a short-term key lives: at most twelve hours (Bedrock user guide, "API keys")."""

MIN_LIFE: Final = 60.0
"""Seconds; a shorter life would be over before it is used."""

_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
"""The shape of a region's name; it becomes part of a host's name, so nothing else may pass."""

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ROLE: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ADDRESSES: Final = ("sso_start_url", "sso_oidc_url", "sso_portal_url")


def checked_region(region: str, what: str) -> str:
    """Return the name of a region if it has the shape of one.

    Args:
        region: The name.
        what: What says so, for the message.

    Raises:
        ConfigurationError: It is no name of a region.
    """
    if _REGION.fullmatch(region):
        return region
    raise ConfigurationError(f"{what}: {region!r} is no name of an AWS region", hint="Write it as eu-west-1")


def _without_fragment(url: str | None) -> str | None:
    return url and url.partition("#")[0]


@frozen(kw_only=True)
class SsoSettings:
    """What the source ``sso`` needs.

    Attributes:
        sso_start_url: Address of the access portal, such as ``https://example.awsapps.com/start``; what a browser adds
            to it behind ``#`` is dropped.
        sso_region: Region of IAM Identity Center; often another one than that of Bedrock.
        sso_account_id: Account of the role, twelve digits.
        sso_role_name: Name of the permission set, as the access portal shows it.
        sso_flow: ``browser`` (authorization code with PKCE, or the address pasted), or ``device`` (a code that is typed
            on any device).
        sso_oidc_url: Where tokens are issued; that of `sso_region` by default.
        sso_portal_url: Where role credentials are given out; that of `sso_region` by default.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost; for tests.
    """

    sso_start_url: str | None = field(default=None, converter=_without_fragment)
    sso_region: str | None = None
    sso_account_id: str | None = None
    sso_role_name: str | None = None
    sso_flow: Literal["browser", "device"] = "browser"
    sso_oidc_url: str | None = None
    sso_portal_url: str | None = None
    allow_insecure_loopback: bool = False

    def check_sso(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: A setting has not the shape that it needs.
        """
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=self.allow_insecure_loopback, setting=name)
        if self.sso_region is not None:
            checked_region(self.sso_region, "sso_region")
        if self.sso_account_id is not None and not _ACCOUNT.fullmatch(self.sso_account_id):
            raise ConfigurationError("sso_account_id: an AWS account has twelve digits", hint='Write it in quotes: "…"')
        if self.sso_role_name is not None and not _ROLE.fullmatch(self.sso_role_name):
            raise ConfigurationError(f"sso_role_name: {self.sso_role_name!r} is no name of a permission set")


@frozen(kw_only=True)
class BedrockSettings(SsoSettings):
    """The keys of a profile with ``provider = "bedrock"``, those of `SsoSettings` included.

    Attributes:
        region: AWS region of Bedrock, before ``AWS_REGION``, ``AWS_DEFAULT_REGION`` and the region of the AWS profile.
        aws_profile: Name of a profile in the files of AWS's tools; credentials in the environment are ignored then.
        deadline: Seconds that looking for AWS credentials, or checking them, may take.
        auth_refresh: A command that signs the user in with AWS's tools; run for whoever waits when the credentials of
            those are seen to be gone. A project's needs trust.
        credential_export: A command that prints AWS credentials. A project's needs trust.
        credential_export_timeout: Seconds after which it is ended.
        short_term_key_seconds: Life of the API keys that the source ``short-term-key`` makes; at most twelve hours.
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
