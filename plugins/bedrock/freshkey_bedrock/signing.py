"""Signs one request with Signature Version 4, by botocore's signer; importing this imports botocore."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials


if TYPE_CHECKING:
    from freshkey_bedrock.formats import AwsCredential


OURS: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
"""The headers that signing adds."""


def signed_headers(
    credential: AwsCredential, method: str, url: str, body: bytes, *, now: datetime, service: str
) -> dict[str, str]:
    """Return the headers that authorise one request.

    The signer's own ``add_auth`` is these steps, with its own clock, and it writes the session token to the debug log.

    Args:
        credential: What signs.
        method: HTTP method.
        url: Absolute URL exactly as it will be sent.
        body: The body exactly as it will be sent.
        now: Time of the signature, aware UTC.
        service: The service that the signature is for.
    """
    token = credential.session_token.reveal() if credential.session_token else None
    keys = ReadOnlyCredentials(credential.access_key_id, credential.secret_access_key.reveal(), token)
    signer = SigV4Auth(keys, service, credential.region)
    request = AWSRequest(method=method, url=url, data=body)
    request.context["timestamp"] = now.strftime(SIGV4_TIMESTAMP)
    signer._modify_request_before_signing(request)  # noqa: SLF001
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))  # noqa: SLF001
    return {name: request.headers[name] for name in OURS if name in request.headers}
