"""AWS credentials found by botocore: through its default chain, or from one AWS profile.

Every lookup uses a new botocore session, to pick up what other tools have written to the shared AWS files.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, found_here
from freshkey.plugin import Profile, Secret, shell_quoted
from freshkey_bedrock.aws_keys import RENEW, AwsKeys
from freshkey_bedrock.deadline import call_with_deadline
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.overlooked import missing_files, overlooked
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.restricted_session import session
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import ambient_profile_name, read_files


if TYPE_CHECKING:
    from collections.abc import Callable


@frozen(kw_only=True)
class Chain:
    """Where botocore looks.

    Attributes:
        named: AWS profile to use instead of the environment.
        preferred: AWS profile to use after the environment.
        region: Region of its requests.
    """

    named: str | None
    preferred: str | None
    region: str


def take(profile: Profile, *, explicit: bool, preferred: str | None = None) -> AwsCredential:
    """Return the AWS credentials that botocore currently finds.

    Args:
        profile: The profile.
        explicit: Use only the AWS profile named in the settings, and ignore the environment.
        preferred: The AWS profile to use after the environment, if not the one that ``AWS_PROFILE`` names.

    Raises:
        LoginRequired: There are none, or they have expired and the user must sign in with the AWS CLI.
        ConfigurationError: The AWS configuration (files or environment) is invalid, or contains malformed keys.
        ProviderRefused: AWS refuses to issue the configured credentials.
        TransientError: AWS, the container endpoint or the instance metadata cannot be reached, fails, or does not
            respond in time.
        ProtocolError: A credential process prints something other than credentials.
    """
    settings = profile.settings_as(BedrockSettings)
    region = needed_region(profile)
    named = settings.aws_profile if explicit else None
    chain = Chain(named=named, preferred=preferred, region=region)
    ends, now = time.monotonic() + settings.deadline, profile.clock.now().wall
    name = named or preferred
    found = ask_botocore(profile, name or ambient_profile_name(), lambda: _find(profile, chain, ends, now))
    if found is None:
        raise _none_found(profile, name)
    keys, method = found
    return credential(profile, keys, method, region)


def credential(profile: Profile, found: AwsKeys, method: str, region: str) -> AwsCredential:
    """Convert what botocore found to a credential.

    Args:
        profile: The profile.
        found: What botocore found.
        method: botocore's name for the place where it was found.
        region: Region to sign requests for.

    Raises:
        LoginRequired: It has expired.
    """
    obtained = profile.clock.now()
    if found.has_expired(obtained):
        message = f"the AWS credentials from {method or 'AWS'} expired at {found.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        raise found_here(
            LoginRequired(message, profile=profile.name, hint=RENEW, code="bedrock-aws-credentials-expired")
        )
    return found.credential(obtained, region, profile.clock)


def ask_botocore(profile: Profile, name: str, question: Callable[[], Any]) -> Any:  # noqa: ANN401  botocore has no types
    """Run `question` within the deadline; whatever botocore raises becomes a freshkey error without its text."""
    try:
        return call_with_deadline(
            profile.settings_as(BedrockSettings).deadline, question, "no AWS credentials were found"
        )
    except FreshkeyError as error:
        flaw = error
    except Exception as error:  # noqa: BLE001  botocore can raise anything on bad input
        from freshkey_bedrock.errors import explained

        flaw = explained(error, name)
    flaw.profile = flaw.profile or profile.name
    # Raised outside the handler, so that it does not chain botocore's exception, which may quote a program's output.
    raise flaw


def _find(profile: Profile, chain: Chain, ends: float, now: float) -> tuple[AwsKeys, str] | None:
    """Return the keys that botocore finds, and its name for the place."""
    from freshkey_bedrock.credential_resolver import Lookup, restricted_resolver

    # A missing sign-in is repaired by a sign-in, which an error of the machine would prevent.
    sign_in = bool(chain.named or chain.preferred or profile.settings_as(BedrockSettings).auth_refresh)
    lookup = Lookup(profile=profile, files=read_files(), ends=ends, now=now, sign_in_expected=sign_in)
    fresh = session(chain.named, chain.region, preferred=chain.preferred, files=lookup.files)
    try:
        found = restricted_resolver(fresh, lookup).load_credentials()
        keys = None if found is None else found.get_frozen_credentials()
        cause = lookup.cause() if keys is None else None
    except FreshkeyError:
        raise
    except Exception as error:
        cause = lookup.cause(error)
        if cause is None:
            raise
    if cause is not None:
        raise cause
    return None if keys is None else (_checked(found, keys), found.method or "")


def _checked(found: Any, keys: Any) -> AwsKeys:  # noqa: ANN401  botocore has no types
    if not _is_id(keys.access_key) or not all(map(_readable, (keys.secret_key, keys.token or "none"))):
        raise ConfigurationError(
            f"the AWS credentials from {found.method} are empty or contain invalid characters",
            hint="Copy each value again: alone on its line, without quotes, spaces or a comment",
            code="bedrock-invalid-aws-credentials",
        )
    return AwsKeys(
        access_key_id=keys.access_key,
        secret_access_key=Secret(keys.secret_key),
        session_token=Secret(keys.token) if keys.token else None,
        expires_at=_end(found),
        account_id=keys.account_id,
    )


def _readable(text: object) -> bool:
    """Return whether text is safe in a header and an environment variable; botocore does not validate file contents."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        return False
    # AWS's files have neither quotes nor comments on the line of a value: they would be part of it.
    return bool(text) and text == text.strip() and text[0] not in "\"'" and not re.search(r"\s[#;]", text)


def _is_id(text: object) -> bool:
    """Return whether text can be an access key ID, which has no spaces, so that a comment after it is noticed."""
    return _readable(text) and not re.search(r"[\s\"'#;]", str(text))


def _end(found: object) -> datetime | None:
    """Return when credentials expire; botocore's attribute is private, so it may be missing."""
    end = getattr(found, "_expiry_time", None)
    if not isinstance(end, datetime):
        return None
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)


def _none_found(profile: Profile, named: str | None) -> LoginRequired:
    message = f"AWS profile {named!r} has no credentials" if named else "no AWS credentials found in the default chain"
    hint = "Sign in with the AWS CLI (for example: aws sso login), or set aws_profile"
    if named:
        hint = f"Run: aws configure --profile {shell_quoted(named)}"
    if flaw := overlooked(named or ambient_profile_name()):
        hint = "Correct that, or sign in with the AWS CLI (for example: aws sso login)"
    message = "; ".join(filter(None, (message, flaw, missing_files())))
    return LoginRequired(message, profile=profile.name, hint=hint, code="bedrock-no-aws-credentials")
