"""AWS credentials from wherever botocore finds them: its default chain, or one profile of AWS's tools.

Each look is made by a new botocore session, so that what other tools have written to the shared files is seen.
"""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired
from freshkey.plugin import Clock, Profile, Secret
from freshkey_bedrock.aws_keys import AwsKeys
from freshkey_bedrock.deadline import call_with_deadline
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.instance_metadata import LIMITS
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import ambient_profile_name


if TYPE_CHECKING:
    from collections.abc import Callable


def take(profile: Profile, *, explicit: bool, clock: Clock) -> AwsCredential:
    """Return the AWS credentials that botocore finds now.

    Args:
        profile: The profile.
        explicit: Only the profile of AWS's tools that the settings name is used, not the environment.
        clock: Tells when they were found.

    Raises:
        LoginRequired: There are none, or they have expired and the user has to sign in with AWS's tools.
        ConfigurationError: What AWS's tools are told in their files or the environment cannot work, or is no key.
        ProviderRefused: AWS refuses to hand out what the configuration names.
        TransientError: AWS cannot be reached, or does not answer in time.
        ProtocolError: A credential process prints something else.
    """
    settings = profile.settings_as(BedrockSettings)
    region = needed_region(profile)
    named = settings.aws_profile if explicit else None
    ends = time.monotonic() + settings.deadline
    found = ask_botocore(profile, named, lambda: _find(profile, named, region, ends))
    if found is None:
        raise _none_found(profile, named)
    keys, method = found
    return credential(profile, keys, method, region, clock)


def credential(profile: Profile, found: AwsKeys, method: str, region: str, clock: Clock) -> AwsCredential:
    """Return what was found as a credential.

    Args:
        profile: The profile.
        found: What botocore found.
        method: botocore's word for where it was found.
        region: The region that requests are signed for.
        clock: Tells when it was found.

    Raises:
        LoginRequired: It has expired.
    """
    obtained = clock.now()
    if found.has_expired(obtained):
        message = f"the AWS credentials of {method or 'AWS'} expired at {found.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        raise LoginRequired(message, profile=profile.name, hint="Renew them with the tool that made them")
    return found.credential(obtained, region, clock)


def ask_botocore(profile: Profile, named: str | None, question: Callable[[], Any]) -> Any:  # noqa: ANN401  botocore's answer
    """Return what botocore answers, in time; what it raises becomes an error of freshkey's without its text."""
    try:
        return call_with_deadline(
            profile.settings_as(BedrockSettings).deadline, question, "AWS's tools gave no credentials"
        )
    except FreshkeyError as error:
        flaw = error
    except Exception as error:  # noqa: BLE001  botocore raises whatever its input provokes
        from freshkey_bedrock.errors import explained

        flaw = explained(error, named or ambient_profile_name())
    flaw.profile = flaw.profile or profile.name
    # Raised outside the handler: what botocore raised may quote what a program printed.
    raise flaw


def session(named: str | None, region: str) -> Any:  # noqa: ANN401  botocore has no types
    """Return a new botocore session that looks at everything anew."""
    from botocore.session import Session

    fresh = Session(profile=named)
    fresh.get_partition_for_region(region)  # raises where no partition of AWS has such a region
    fresh.set_config_variable("region", region)
    for variable, value in LIMITS:
        fresh.set_config_variable(variable, value)
    return fresh


def _find(profile: Profile, named: str | None, region: str, ends: float) -> tuple[AwsKeys, str] | None:
    """Return the keys that botocore finds, and its word for where."""
    from freshkey_bedrock.credential_resolver import restricted_resolver

    fresh = session(named, region)
    found = restricted_resolver(fresh, profile, ends).load_credentials()
    if found is None:
        return None
    keys = found.get_frozen_credentials()
    if not all(map(_readable, (keys.access_key, keys.secret_key, keys.token or "none"))):
        raise ConfigurationError(
            f"the AWS credentials of {found.method} are empty, or hold characters that no key has",
            hint="Copy each again, on one line, without spaces around it",
        )
    return AwsKeys(
        access_key_id=keys.access_key,
        secret_access_key=Secret(keys.secret_key),
        session_token=Secret(keys.token) if keys.token else None,
        expires_at=_end(found),
        account_id=keys.account_id,
    ), found.method or ""


def _readable(text: object) -> bool:
    """Tell whether it can be part of a header and of an environment; botocore passes on what a file holds."""
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _end(found: object) -> datetime | None:
    """Return when credentials end; botocore keeps that to itself, so nothing is built on its being there."""
    end = getattr(found, "_expiry_time", None)
    if not isinstance(end, datetime):
        return None
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)


def _none_found(profile: Profile, named: str | None) -> LoginRequired:
    if named:
        message = f"AWS profile {named!r} names no credentials"
        return LoginRequired(message, profile=profile.name, hint=f"Run: aws configure --profile {shlex.quote(named)}")
    message = "AWS's default chain found no credentials"
    return LoginRequired(message, profile=profile.name, hint="Sign in with AWS's tools, such as aws sso login")
