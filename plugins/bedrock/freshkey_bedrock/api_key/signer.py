"""Finds the AWS credentials that sign a short-term API key."""

from __future__ import annotations

from freshkey.plugin import Detected, Interaction, Profile
from freshkey_bedrock import aws_profile, credential_export, default_chain
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings


def detect(profile: Profile) -> Detected | None:
    """Report which AWS credentials `take` will use."""
    return credential_export.detect(profile) or aws_profile.detect(profile) or default_chain.detect(profile)


def take(profile: Profile, interaction: Interaction) -> AwsCredential:
    """Return the AWS credentials configured in the profile, or those of the default chain.

    Raises:
        LoginRequired: There are none, or they have expired.
        ConfigurationError: The configuration is invalid.
        ProviderRefused: AWS refuses to issue the configured credentials.
        TransientError: Temporary failure; try again later.
        ProtocolError: A command prints something other than credentials.
    """
    settings = profile.settings_as(BedrockSettings)
    if settings.credential_export is not None:
        return credential_export.take(profile, interaction)
    if settings.aws_profile is not None:
        return aws_profile.take(profile, interaction)
    return default_chain.take(profile, interaction)
