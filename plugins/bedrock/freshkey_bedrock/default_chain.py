"""AWS's default chain: environment, profile, container, instance; the sources ``environment`` and ``default-chain``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import evolve

from freshkey.plugin import Detected, Interaction, Profile
from freshkey_bedrock import auth_refresh, aws_profile, versions
from freshkey_bedrock.environment_keys import environment_end
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.instance_metadata import on_instance
from freshkey_bedrock.overlooked import overlooked
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import ambient_profile_name, profile_name, profile_section


ENVIRONMENT: Final = "environment"
DEFAULT_CHAIN: Final = "default-chain"

CONTAINER_VARIABLES: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")

_VARIABLE: Final = "environment variable"


def detect(profile: Profile) -> Detected | None:
    """Report where botocore will find credentials, or which command will sign the user in first.

    Credentials that botocore overlooks are reported, too: otherwise nothing would say why there are none.
    """
    name = profile_name(profile)
    return detect_present(name) or auth_refresh.detect(profile) or _detect_overlooked(name)


def detect_handed_in(profile: Profile) -> Detected | None:  # noqa: ARG001  the signature is Source.detect's
    """Report credentials of the environment, container or instance, if botocore prefers them to an AWS profile."""
    # These machines rarely have a keychain; where one is locked, a search that read the store first would fail.
    # See docs/decisions.md, "Credentials of a container or an instance come before the store".
    detected = detect_present(ambient_profile_name())
    if detected is None or has_ended(detected) or detected.origin.startswith(aws_profile.ORIGIN):
        return None
    return detected


def detect_present(name: str) -> Detected | None:
    """Report where botocore will find credentials, without I/O to AWS: environment, profile, container or instance.

    Keys that have ended are reported only if there are no others, and otherwise as skipped.

    Args:
        name: The AWS profile to use where the environment has no credentials.
    """
    ended: list[Detected] = []
    for found in _in_order(name, os.environ):
        if not has_ended(found):
            skipped = "".join(f"; skipped, because it has ended: {one.origin}" for one in ended)
            return evolve(found, origin=found.origin + skipped)
        ended.append(found)
    return ended[0] if ended else None


def _detect_overlooked(name: str) -> Detected | None:
    flaw = overlooked(name)
    if not flaw:
        return None
    origin = f"{aws_profile.ORIGIN} {name!r}, which botocore cannot use: {flaw}"
    return Detected(kind=aws_profile.KIND, origin=origin, version=versions.of_profile(name))


def has_ended(detected: Detected) -> bool:
    """Return whether what was found has ended, according to the tool that wrote it."""
    return detected.expires_at is not None and detected.expires_at.timestamp() <= time.time()


def _in_order(name: str, environ: Mapping[str, str]) -> Iterator[Detected]:
    """Yield what there is, in botocore's order."""
    for detected in _in_environment(environ):
        yield evolve(detected, version=versions.of_environment(environ))
    found = aws_profile.detect_in(name)
    if found is not None:
        yield found
    elif name != "default" and profile_section(name, environ) is None:
        origin = f"{aws_profile.ORIGIN} {name!r} (does not exist)"
        yield Detected(kind=aws_profile.KIND, origin=origin, version=versions.of_profile(name, environ))
    for detected in _of_machine(environ):
        yield evolve(detected, version=versions.of_environment(environ))


def _in_environment(environ: Mapping[str, str]) -> Iterator[Detected]:
    if key := environ.get("AWS_ACCESS_KEY_ID"):
        end = environment_end(environ)
        yield Detected(
            kind="AWS access key",
            origin=f"{_VARIABLE} AWS_ACCESS_KEY_ID",
            expires_at=end.at if end else None,
            last_four=key[-4:],
        )
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield Detected(kind="AWS web identity role", origin=f"{_VARIABLE} AWS_WEB_IDENTITY_TOKEN_FILE")


def _of_machine(environ: Mapping[str, str]) -> Iterator[Detected]:
    for variable in CONTAINER_VARIABLES:
        if environ.get(variable):
            yield Detected(kind="AWS container credentials", origin=f"{_VARIABLE} {variable}")
    if on_instance(environ):
        yield Detected(kind="AWS instance role", origin="instance metadata")


def take(profile: Profile, interaction: Interaction) -> AwsCredential:
    """Return what botocore finds in its chain, running ``auth_refresh`` first if needed and configured.

    The setting `aws_profile` counts like ``AWS_PROFILE``. Raises the errors of
    `freshkey_bedrock.botocore_credentials.take`.
    """
    return _take(profile, interaction, profile.settings_as(BedrockSettings).aws_profile)


def take_handed_in(profile: Profile, interaction: Interaction) -> AwsCredential:
    """Return what botocore finds in its chain, as `take` does, but without the setting `aws_profile`."""
    return _take(profile, interaction, None)


def _take(profile: Profile, interaction: Interaction, preferred: str | None) -> AwsCredential:
    from freshkey_bedrock import botocore_credentials

    def found() -> AwsCredential:
        return botocore_credentials.take(profile, explicit=False, preferred=preferred)

    return auth_refresh.with_auth_refresh(profile, interaction, found)
