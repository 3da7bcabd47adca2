"""A source that gets AWS credentials from another source, and makes a Bedrock API key of them."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile
from freshkey_bedrock import borrowed
from freshkey_bedrock.formats import BedrockApiKey
from freshkey_bedrock.minting import mint
from freshkey_bedrock.settings import BedrockSettings


ID: Final = "short-term-key"


def detect(profile: Profile) -> Detected | None:
    """Say from which AWS credentials a key would be made, where the profile names this source."""
    if profile.source != ID:
        return None
    signer = borrowed.detect(profile)
    if signer is None:
        return None
    return evolve(signer, kind="short-term Bedrock API key", origin=f"made here from {signer.kind}: {signer.origin}")


def take(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> BedrockApiKey:
    """Get AWS credentials where the profile finds them, and make a key of them.

    Raises:
        LoginRequired: There are none, or they have expired.
        ConfigurationError: What is set up cannot work.
        TransientError: Not now.
    """
    signer = borrowed.take(profile, interaction, clock=clock)
    return mint(signer, seconds=profile.settings_as(BedrockSettings).short_term_key_seconds, clock=clock)
