"""Makes short-term Bedrock API keys from AWS credentials, locally; the source ``short-term-key``.

Such a key is a presigned URL, which Bedrock accepts as a bearer token.

Source: ``aws-bedrock-token-generator`` 1.1.0; Bedrock user guide, "API keys".
"""

from __future__ import annotations

import base64
from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired, found_here, frameless
from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile, Secret
from freshkey_bedrock.api_key import signer
from freshkey_bedrock.api_key.parse import PREFIX
from freshkey_bedrock.formats import SERVICE, AwsCredential, BedrockApiKey
from freshkey_bedrock.settings import MAX_LIFE, BedrockSettings


ID: Final = "short-term-key"

HOST: Final = "bedrock.amazonaws.com"
"""The same in every region: the key itself contains its region."""

_ACTION: Final = {"Action": "CallWithBearerToken"}

_ENDING: Final = "&Version=1"
"""Appended after signing; not covered by the signature."""


def detect(profile: Profile) -> Detected | None:
    """Report which AWS credentials would sign a key, if the profile selects this source."""
    if profile.source != ID:
        return None
    credentials = signer.detect(profile)
    if credentials is None:
        return None
    origin = f"memory, signed with {credentials.kind} in {credentials.origin}"
    return evolve(credentials, kind="short-term Bedrock API key", origin=origin)


def take(profile: Profile, interaction: Interaction) -> BedrockApiKey:
    """Get the profile's AWS credentials and make a key from them.

    Raises:
        LoginRequired: There are none, or they have expired.
        ConfigurationError: The configuration is invalid.
        TransientError: Temporary failure; try again later.
    """
    credentials = signer.take(profile, interaction)
    seconds = profile.settings_as(BedrockSettings).short_term_key_seconds
    return mint(credentials, seconds=seconds, clock=profile.clock)


@frameless
def mint(credentials: AwsCredential, *, seconds: float = MAX_LIFE, clock: Clock = SYSTEM) -> BedrockApiKey:
    """Return a new key with the permissions of `credentials`; nothing is sent anywhere.

    It lasts for `seconds`, but at most twelve hours, and no longer than `credentials`: Bedrock rejects it once the
    session that signed it has ended. If that time is unknown, a new key is made whenever the credentials are looked up
    again.

    Args:
        credentials: AWS credentials.
        seconds: Requested lifetime.
        clock: Provides the time of the signature.

    Raises:
        LoginRequired: `credentials` has expired, or will within a second.
    """
    obtained = clock.now()
    age = obtained.wall - credentials.obtained.wall
    left = MAX_LIFE if credentials.lifetime is None else credentials.lifetime - age
    life = int(min(seconds, MAX_LIFE, left))
    if life < 1 or credentials.expired():
        hint = "Renew them at their source, for example with aws sso login"
        message = "the AWS credentials needed to sign the API key have expired"
        raise found_here(LoginRequired(message, hint=hint, code="bedrock-aws-credentials-expired"))
    # Not a heavy import here: creating the credentials has already loaded botocore.
    from freshkey_bedrock.signing import presigned_url

    now = obtained.utc
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
