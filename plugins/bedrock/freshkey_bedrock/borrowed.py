"""AWS credentials that another tool keeps or prints: which of its places is used, and who signs in there if need be."""

from __future__ import annotations

from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile
from freshkey_bedrock import auth_refresh, credential_export, sightings
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings


def look_in_chain(profile: Profile) -> Detected | None:
    """Say where botocore will find credentials, or which command will sign somebody in so that it does."""
    return sightings.default_chain(profile) or auth_refresh.detect(profile)


def detect(profile: Profile) -> Detected | None:
    """Say which AWS credentials `take` will use."""
    return credential_export.detect(profile) or sightings.named_profile(profile) or look_in_chain(profile)


def take(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> AwsCredential:
    """Return the AWS credentials that the profile's settings name, or those of the default chain.

    Raises:
        LoginRequired: There are none, or they have expired.
        ConfigurationError: What is set up cannot work.
        ProviderRefused: AWS refuses to hand out what is set up.
        TransientError: Not now.
        ProtocolError: A command prints something else.
    """
    settings = profile.settings_as(BedrockSettings)
    if settings.credential_export is not None:
        return credential_export.take(profile, interaction, clock=clock)
    return from_aws_tools(profile, interaction, explicit=settings.aws_profile is not None, clock=clock)


def from_aws_tools(
    profile: Profile, interaction: Interaction, *, explicit: bool, clock: Clock = SYSTEM
) -> AwsCredential:
    """Return what botocore finds; with the help of ``auth_refresh`` where that is set up.

    Args:
        profile: The profile.
        interaction: Who waits.
        explicit: Only the profile of AWS's tools that the settings name is used.
        clock: Tells when they were found.

    Raises: as `take`.
    """
    from freshkey_bedrock import chain

    return auth_refresh.with_auth_refresh(
        profile, interaction, lambda: chain.take(profile, explicit=explicit, clock=clock), clock=clock
    )
