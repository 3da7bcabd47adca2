"""AWS's default chain: environment, profile, container, instance; the sources ``environment`` and ``default-chain``."""

from __future__ import annotations

import os
from typing import Final

from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile
from freshkey_bedrock import auth_refresh, aws_profile
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.instance_metadata import on_instance
from freshkey_bedrock.shared_config import ambient_profile_name, profile_section


ENVIRONMENT: Final = "environment"
DEFAULT_CHAIN: Final = "default-chain"

CONTAINER_VARIABLES: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")

_VARIABLE: Final = "environment variable"


def detect(profile: Profile) -> Detected | None:
    """Report where botocore will find credentials, or which command will sign the user in first."""
    return detect_present() or auth_refresh.detect(profile)


def detect_handed_in(profile: Profile) -> Detected | None:  # noqa: ARG001  the signature is Source.detect's
    """Report credentials of the environment, container or instance, if botocore prefers them to an AWS profile."""
    # These machines rarely have a keychain, so a search that read the store first would fail.
    # See docs/decisions.md, "Credentials of a container or an instance come before the store".
    detected = detect_present()
    return None if detected is None or detected.origin.startswith(aws_profile.ORIGIN) else detected


def detect_present() -> Detected | None:
    """Report where botocore will find credentials, without I/O to AWS: environment, profile, container or instance."""
    environ = os.environ
    if key := environ.get("AWS_ACCESS_KEY_ID"):
        return Detected(kind="AWS access key", origin=f"{_VARIABLE} AWS_ACCESS_KEY_ID", last_four=key[-4:])
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return Detected(kind="AWS web identity role", origin=f"{_VARIABLE} AWS_WEB_IDENTITY_TOKEN_FILE")
    name = ambient_profile_name(environ)
    if detected := aws_profile.detect_in(name):
        return detected
    if name != "default" and profile_section(name) is None:
        return Detected(kind=aws_profile.KIND, origin=f"{aws_profile.ORIGIN} {name!r} (does not exist)")
    for variable in CONTAINER_VARIABLES:
        if environ.get(variable):
            return Detected(kind="AWS container credentials", origin=f"{_VARIABLE} {variable}")
    return Detected(kind="AWS instance role", origin="instance metadata") if on_instance(environ) else None


def take(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> AwsCredential:
    """Return what botocore finds in its chain, running ``auth_refresh`` first if needed and configured.

    Raises the errors of `freshkey_bedrock.botocore_credentials.take`.
    """
    from freshkey_bedrock import botocore_credentials

    return auth_refresh.with_auth_refresh(
        profile, interaction, lambda: botocore_credentials.take(profile, explicit=False, clock=clock), clock=clock
    )
