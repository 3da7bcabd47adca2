"""Says which AWS credentials sign a short-term API key, and gets them."""

from __future__ import annotations

from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile
from freshkey_bedrock import aws_profile, credential_export, default_chain
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings


def detect(profile: Profile) -> Detected | None:
    """Say which AWS credentials `take` will use."""
    return credential_export.detect(profile) or aws_profile.detect(profile) or default_chain.detect(profile)


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
    if settings.aws_profile is not None:
        return aws_profile.take(profile, interaction, clock=clock)
    return default_chain.take(profile, interaction, clock=clock)
