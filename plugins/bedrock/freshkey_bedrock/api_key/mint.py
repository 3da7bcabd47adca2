"""Makes short-term Bedrock API keys from AWS credentials, on this machine; the source ``short-term-key``.

Such a key is a presigned URL, which Bedrock takes as a bearer token.

Source: ``aws-bedrock-token-generator`` 1.1.0; Bedrock user guide, "API keys".
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired, frameless
from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile, Secret
from freshkey_bedrock.api_key import signer
from freshkey_bedrock.api_key.parse import PREFIX
from freshkey_bedrock.formats import SERVICE, AwsCredential, BedrockApiKey
from freshkey_bedrock.settings import MAX_LIFE, BedrockSettings


ID: Final = "short-term-key"

HOST: Final = "bedrock.amazonaws.com"
"""In every region: the key says which region it is for, and Bedrock's endpoint there takes it."""

_ACTION: Final = {"Action": "CallWithBearerToken"}

_ENDING: Final = "&Version=1"
"""Appended after signing, and no part of what is signed."""


def detect(profile: Profile) -> Detected | None:
    """Say from which AWS credentials a key would be made, where the profile names this source."""
    if profile.source != ID:
        return None
    credentials = signer.detect(profile)
    if credentials is None:
        return None
    origin = f"made here from {credentials.kind}: {credentials.origin}"
    return evolve(credentials, kind="short-term Bedrock API key", origin=origin)


def take(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> BedrockApiKey:
    """Get AWS credentials where the profile finds them, and make a key of them.

    Raises:
        LoginRequired: There are none, or they have expired.
        ConfigurationError: What is set up cannot work.
        TransientError: Not now.
    """
    credentials = signer.take(profile, interaction, clock=clock)
    return mint(credentials, seconds=profile.settings_as(BedrockSettings).short_term_key_seconds, clock=clock)


@frameless
def mint(credentials: AwsCredential, *, seconds: float = MAX_LIFE, clock: Clock = SYSTEM) -> BedrockApiKey:
    """Return a new key with the rights of `credentials`; nothing is sent anywhere.

    It lives as long as is asked for, at most twelve hours, and no longer than `credentials` does: Bedrock refuses it as
    soon as the session that signed it has ended. Where it is not known when that is, it is made anew as often as the
    credentials are looked up again.

    Args:
        credentials: AWS credentials.
        seconds: Life that is asked for.
        clock: Tells the time of the signature.

    Raises:
        LoginRequired: `credentials` has expired, or does within a second.
    """
    obtained = clock.now()
    age = obtained.wall - credentials.obtained.wall
    left = MAX_LIFE if credentials.lifetime is None else credentials.lifetime - age
    life = int(min(seconds, MAX_LIFE, left))
    if life < 1 or credentials.expired():
        raise LoginRequired("the AWS credentials that would sign the API key have expired", hint="Renew them first")
    # Credentials that exist have loaded botocore already.
    from freshkey_bedrock.signing import presigned_url

    now = datetime.fromtimestamp(obtained.wall, UTC)
    url = presigned_url(credentials, HOST, _ACTION, seconds=life, now=now, service=SERVICE)
    encoded = base64.b64encode((url.removeprefix("https://") + _ENDING).encode()).decode()
    return BedrockApiKey(
        obtained=obtained,
        clock=clock,
        lifetime=float(life),
        recheck_after=credentials.recheck_after,
        identity=credentials.identity,
        key=Secret(PREFIX + encoded),
        region=credentials.region,
    )
