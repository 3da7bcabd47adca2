"""Makes short-term Bedrock API keys from AWS credentials, on this machine: a presigned URL that Bedrock takes as a key.

Source: ``aws-bedrock-token-generator`` 1.1.0; Bedrock user guide, "API keys".
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Final

from freshkey.errors import LoginRequired, frameless
from freshkey.plugin import SYSTEM, Clock, Secret
from freshkey_bedrock.formats import SERVICE, AwsCredential, BedrockApiKey
from freshkey_bedrock.keys import PREFIX
from freshkey_bedrock.settings import MAX_LIFE


HOST: Final = "bedrock.amazonaws.com"
"""In every region: the key says which region it is for, and Bedrock's endpoint there takes it."""

_ACTION: Final = {"Action": "CallWithBearerToken"}

_ENDING: Final = "&Version=1"
"""Appended after signing, and no part of what is signed."""


@frameless
def mint(signer: AwsCredential, *, seconds: float = MAX_LIFE, clock: Clock = SYSTEM) -> BedrockApiKey:
    """Return a new key with the rights of `signer`; nothing is sent anywhere.

    It lives as long as is asked for, twelve hours at the most, and no longer than `signer` does: Bedrock refuses it as
    soon as the session that signed it has ended. Where nobody knows when that is, it is made anew as often as the
    credentials are looked up again.

    Args:
        signer: AWS credentials.
        seconds: Life that is asked for.
        clock: Tells the time of the signature.

    Raises:
        LoginRequired: `signer` has expired, or does within a second.
    """
    obtained = clock.now()
    left = MAX_LIFE if signer.lifetime is None else signer.lifetime - (obtained.wall - signer.obtained.wall)
    life = int(min(seconds, MAX_LIFE, left))
    if life < 1 or signer.expired():
        raise LoginRequired("the AWS credentials that would sign the API key have expired", hint="Renew them first")
    url = _presigned(signer, life, datetime.fromtimestamp(obtained.wall, UTC))
    encoded = base64.b64encode((url.removeprefix("https://") + _ENDING).encode()).decode()
    return BedrockApiKey(
        obtained=obtained,
        clock=clock,
        lifetime=float(life),
        recheck_after=signer.recheck_after,
        identity=signer.identity,
        key=Secret(PREFIX + encoded),
        region=signer.region,
    )


def _presigned(signer: AwsCredential, life: int, now: datetime) -> str:
    """Return the presigned URL.

    ``add_auth`` of botocore's signer is these steps, with its own clock, and it writes the session token to the debug
    log.
    """
    from botocore.auth import SIGV4_TIMESTAMP, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    token = signer.session_token.reveal() if signer.session_token else None
    keys = ReadOnlyCredentials(signer.access_key_id, signer.secret_access_key.reveal(), token)
    auth = SigV4QueryAuth(keys, SERVICE, signer.region, expires=life)
    request = AWSRequest(method="POST", url=f"https://{HOST}/", headers={"host": HOST}, params=dict(_ACTION))
    request.context["timestamp"] = now.strftime(SIGV4_TIMESTAMP)
    auth._modify_request_before_signing(request)  # noqa: SLF001
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))  # noqa: SLF001
    url: str = request.url
    return url
