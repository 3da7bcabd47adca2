"""AWS credentials found by botocore: through its default chain, or from one AWS profile.

Every lookup uses a new botocore session, to pick up what other tools have written to the shared AWS files.
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
    """Return the AWS credentials that botocore currently finds.

    Args:
        profile: The profile.
        explicit: Use only the AWS profile named in the settings, and ignore the environment.
        clock: Provides the time at which they were found.

    Raises:
        LoginRequired: There are none, or they have expired and the user must sign in with the AWS CLI.
        ConfigurationError: The AWS configuration (files or environment) is invalid, or contains malformed keys.
        ProviderRefused: AWS refuses to issue the configured credentials.
        TransientError: AWS cannot be reached, or does not respond in time.
        ProtocolError: A credential process prints something other than credentials.
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
    """Convert what botocore found to a credential.

    Args:
        profile: The profile.
        found: What botocore found.
        method: botocore's name for the place where it was found.
        region: Region to sign requests for.
        clock: Provides the time at which it was found.

    Raises:
        LoginRequired: It has expired.
    """
    obtained = clock.now()
    if found.has_expired(obtained):
        message = f"the AWS credentials from {method or 'AWS'} expired at {found.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        raise LoginRequired(
            message,
            profile=profile.name,
            hint="Renew them with the tool that issued them",
            code="bedrock-aws-credentials-expired",
        )
    return found.credential(obtained, region, clock)


def ask_botocore(profile: Profile, named: str | None, question: Callable[[], Any]) -> Any:  # noqa: ANN401  botocore has no types
    """Run `question` within the deadline; whatever botocore raises becomes a freshkey error without its text."""
    try:
        return call_with_deadline(
            profile.settings_as(BedrockSettings).deadline, question, "no AWS credentials were found"
        )
    except FreshkeyError as error:
        flaw = error
    except Exception as error:  # noqa: BLE001  botocore can raise anything on bad input
        from freshkey_bedrock.errors import explained

        flaw = explained(error, named or ambient_profile_name())
    flaw.profile = flaw.profile or profile.name
    # Raised outside the handler, so that it does not chain botocore's exception, which may quote a program's output.
    raise flaw


def session(named: str | None, region: str) -> Any:  # noqa: ANN401  botocore has no types
    """Return a new botocore session, with nothing cached from earlier lookups."""
    from botocore.session import Session

    fresh = Session(profile=named)
    fresh.get_partition_for_region(region)  # raises if no AWS partition has such a region
    fresh.set_config_variable("region", region)
    for variable, value in LIMITS:
        fresh.set_config_variable(variable, value)
    return fresh


def _find(profile: Profile, named: str | None, region: str, ends: float) -> tuple[AwsKeys, str] | None:
    """Return the keys that botocore finds, and its name for the place."""
    from freshkey_bedrock.credential_resolver import restricted_resolver

    fresh = session(named, region)
    found = restricted_resolver(fresh, profile, ends).load_credentials()
    if found is None:
        return None
    keys = found.get_frozen_credentials()
    if not all(map(_readable, (keys.access_key, keys.secret_key, keys.token or "none"))):
        raise ConfigurationError(
            f"the AWS credentials from {found.method} are empty or contain invalid characters",
            hint="Copy each value again, on one line and without surrounding spaces",
            code="bedrock-invalid-aws-credentials",
        )
    return AwsKeys(
        access_key_id=keys.access_key,
        secret_access_key=Secret(keys.secret_key),
        session_token=Secret(keys.token) if keys.token else None,
        expires_at=_end(found),
        account_id=keys.account_id,
    ), found.method or ""


def _readable(text: object) -> bool:
    """Return whether text is safe in a header and an environment variable; botocore does not validate file contents."""
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _end(found: object) -> datetime | None:
    """Return when credentials expire; botocore's attribute is private, so it may be missing."""
    end = getattr(found, "_expiry_time", None)
    if not isinstance(end, datetime):
        return None
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)


def _none_found(profile: Profile, named: str | None) -> LoginRequired:
    if named:
        message = f"AWS profile {named!r} has no credentials"
        return LoginRequired(
            message,
            profile=profile.name,
            hint=f"Run: aws configure --profile {shlex.quote(named)}",
            code="bedrock-no-aws-credentials",
        )
    message = "no AWS credentials found in the default chain"
    return LoginRequired(
        message,
        profile=profile.name,
        hint="Sign in with the AWS CLI (for example: aws sso login), or set aws_profile",
        code="bedrock-no-aws-credentials",
    )
