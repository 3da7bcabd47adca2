"""Signs requests with Signature Version 4, using botocore's signers; importing this module imports botocore.

`_sign` repeats the steps of the signers' ``add_auth``, which uses its own clock and writes the session token to the
debug log. See docs/decisions.md, "botocore does the work, with limits and without its log".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from freshkey.plugin import Secret


SIGNATURE_HEADERS: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
"""The headers that signing adds."""


class Signer(Protocol):
    """The part of `AwsCredential` that signing needs; a protocol, because `formats` imports this module."""

    @property
    def access_key_id(self) -> str:
        """The access key ID."""

    @property
    def secret_access_key(self) -> Secret:
        """The secret access key."""

    @property
    def session_token(self) -> Secret | None:
        """Session token; only temporary credentials have one."""

    @property
    def region(self) -> str:
        """Region to sign for."""


def signed_headers(
    signer: Signer, method: str, url: str, body: bytes, *, now: datetime, service: str
) -> dict[str, str]:
    """Return the headers that authorize one request.

    Args:
        signer: The AWS credentials.
        method: HTTP method.
        url: Absolute URL, exactly as it will be sent.
        body: The body, exactly as it will be sent.
        now: Time of the signature (aware UTC).
        service: Signing name of the service.
    """
    request = AWSRequest(method=method, url=url, data=body)
    _sign(SigV4Auth(_keys(signer), service, signer.region), request, now)
    return {name: request.headers[name] for name in SIGNATURE_HEADERS if name in request.headers}


def presigned_url(
    signer: Signer, host: str, query: Mapping[str, str], *, seconds: int, now: datetime, service: str
) -> str:
    """Return a presigned URL for a POST to the root path of a host.

    Args:
        signer: The AWS credentials.
        host: The host; part of what is signed.
        query: Query parameters in addition to the signature.
        seconds: How long the signature is valid.
        now: Time of the signature (aware UTC).
        service: Signing name of the service.
    """
    request = AWSRequest(method="POST", url=f"https://{host}/", headers={"host": host}, params=dict(query))
    _sign(SigV4QueryAuth(_keys(signer), service, signer.region, expires=seconds), request, now)
    url: str = request.url
    return url


def _keys(signer: Signer) -> ReadOnlyCredentials:
    token = signer.session_token.reveal() if signer.session_token else None
    return ReadOnlyCredentials(signer.access_key_id, signer.secret_access_key.reveal(), token)


def _sign(auth: Any, request: Any, now: datetime) -> None:  # noqa: ANN401  botocore has no types
    request.context["timestamp"] = now.strftime(SIGV4_TIMESTAMP)
    auth._modify_request_before_signing(request)  # noqa: SLF001
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))  # noqa: SLF001
