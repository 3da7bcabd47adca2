"""AWS credentials from wherever botocore finds them: its default chain, or one profile of AWS's tools.

Each look is made by a new botocore session, so that what other tools have written to the shared files is seen.
"""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired
from freshkey.plugin import Clock, Identity, Profile, Secret
from freshkey_bedrock.bounded import within
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.region import ambient_profile, needed_region
from freshkey_bedrock.settings import BedrockSettings


if TYPE_CHECKING:
    from collections.abc import Callable

RECHECK: Final = 3600.0
"""Seconds after which credentials without a known end are looked up again, as Claude Code does."""

_METADATA: Final = (("metadata_service_timeout", 1), ("metadata_service_num_attempts", 1))
"""Seconds and attempts for each question to instance metadata, whatever AWS's configuration says."""


@frozen(kw_only=True)
class Found:
    """What botocore found, at one moment.

    Attributes:
        access_key_id: Names the key.
        secret_access_key: Signs.
        session_token: Of temporary credentials.
        expires_at: Their end, aware; None where none is known.
        account: The AWS account, where it is known.
        method: botocore's word for where they were found.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    expires_at: datetime | None
    account: str | None
    method: str = field(default="")


def take(profile: Profile, *, explicit: bool, clock: Clock) -> AwsCredential:
    """Return the AWS credentials that botocore finds now.

    Args:
        profile: The profile.
        explicit: Only the profile of AWS's tools that the settings name is used, not the environment.
        clock: Tells when they were found.

    Raises:
        LoginRequired: There are none, or they have expired and somebody has to sign in with AWS's tools.
        ConfigurationError: What AWS's tools are told in their files or the environment cannot work, or is no key.
        ProviderRefused: AWS refuses to hand out what the configuration names.
        TransientError: AWS cannot be reached, or does not answer in time.
        ProtocolError: A credential process prints something else.
    """
    settings = profile.settings_as(BedrockSettings)
    region = needed_region(profile)
    named = settings.aws_profile if explicit else None
    ends = time.monotonic() + settings.deadline
    found = asked(profile, named, lambda: _find(profile, named, region, ends))
    if found is None:
        raise _nothing(profile, named)
    return credential(profile, found, region, clock)


def credential(profile: Profile, found: Found, region: str, clock: Clock) -> AwsCredential:
    """Return what was found as a credential.

    Raises:
        LoginRequired: It has expired.
    """
    obtained = clock.now()
    lifetime = None if found.expires_at is None else found.expires_at.timestamp() - obtained.wall
    if lifetime is not None and lifetime <= 0:
        ended = f"{found.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        message = f"the AWS credentials of {found.method or 'AWS'} expired at {ended}"
        raise LoginRequired(message, profile=profile.name, hint="Renew them with the tool that made them")
    return AwsCredential(
        obtained=obtained,
        lifetime=lifetime,
        recheck_after=RECHECK if lifetime is None else None,
        access_key_id=found.access_key_id,
        secret_access_key=found.secret_access_key,
        session_token=found.session_token,
        region=region,
        identity=Identity(organization=found.account),
        clock=clock,
    )


def asked(profile: Profile, named: str | None, question: Callable[[], Any]) -> Any:  # noqa: ANN401  botocore's answer
    """Return what botocore answers, in time; what it raises becomes an error of freshkey's without its text."""
    try:
        return within(profile.settings_as(BedrockSettings).deadline, question, "AWS's tools gave no credentials")
    except FreshkeyError as error:
        flaw = error
    except Exception as error:  # noqa: BLE001  botocore raises whatever its input provokes
        from freshkey_bedrock.troubles import explained

        flaw = explained(error, named or ambient_profile())
    flaw.profile = flaw.profile or profile.name
    # Raised outside the handler: what botocore raised may quote what a program printed.
    raise flaw


def session(named: str | None, region: str) -> Any:  # noqa: ANN401  botocore has no types
    """Return a new botocore session that looks at everything anew."""
    from botocore.session import Session

    fresh = Session(profile=named)
    fresh.get_partition_for_region(region)  # raises where no partition of AWS has such a region
    fresh.set_config_variable("region", region)
    for variable, value in _METADATA:
        fresh.set_config_variable(variable, value)
    return fresh


def _find(profile: Profile, named: str | None, region: str, ends: float) -> Found | None:
    from freshkey_bedrock.resolver import careful_resolver

    fresh = session(named, region)
    found = careful_resolver(fresh, profile, ends).load_credentials()
    if found is None:
        return None
    keys = found.get_frozen_credentials()
    if not all(map(_readable, (keys.access_key, keys.secret_key, keys.token or "none"))):
        raise ConfigurationError(
            f"the AWS credentials of {found.method} are empty, or hold characters that no key has",
            hint="Copy each again, on one line, without spaces around it",
        )
    return Found(
        access_key_id=keys.access_key,
        secret_access_key=Secret(keys.secret_key),
        session_token=Secret(keys.token) if keys.token else None,
        expires_at=_end(found),
        account=keys.account_id,
        method=found.method or "",
    )


def _readable(text: object) -> bool:
    """Tell whether it can be part of a header and of an environment; botocore passes on what a file holds."""
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _end(found: object) -> datetime | None:
    """Return when credentials end; botocore keeps that to itself, so nothing is built on its being there."""
    end = getattr(found, "_expiry_time", None)
    if not isinstance(end, datetime):
        return None
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)


def _nothing(profile: Profile, named: str | None) -> LoginRequired:
    if named:
        message = f"AWS profile {named!r} names no credentials"
        return LoginRequired(message, profile=profile.name, hint=f"Run: aws configure --profile {shlex.quote(named)}")
    message = "AWS's default chain found no credentials"
    return LoginRequired(message, profile=profile.name, hint="Sign in with AWS's tools, such as aws sso login")
