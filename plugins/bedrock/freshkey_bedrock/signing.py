"""Signs with Signature Version 4, by botocore's signers; importing this imports botocore.

``add_auth`` of botocore's signers is the steps of `_sign`, with its own clock, and it writes the session token to the
debug log.
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
    """What signs: an `AwsCredential`, which knows this module and not the other way round."""

    @property
    def access_key_id(self) -> str:
        """Names the key."""

    @property
    def secret_access_key(self) -> Secret:
        """Signs."""

    @property
    def session_token(self) -> Secret | None:
        """Sent along by temporary credentials."""

    @property
    def region(self) -> str:
        """The region that is signed for."""


def signed_headers(
    signer: Signer, method: str, url: str, body: bytes, *, now: datetime, service: str
) -> dict[str, str]:
    """Return the headers that authorize one request.

    Args:
        signer: What signs.
        method: HTTP method.
        url: Absolute URL exactly as it will be sent.
        body: The body exactly as it will be sent.
        now: Time of the signature, aware UTC.
        service: The service that the signature is for.
    """
    request = AWSRequest(method=method, url=url, data=body)
    _sign(SigV4Auth(_keys(signer), service, signer.region), request, now)
    return {name: request.headers[name] for name in SIGNATURE_HEADERS if name in request.headers}


def presigned_url(
    signer: Signer, host: str, query: Mapping[str, str], *, seconds: int, now: datetime, service: str
) -> str:
    """Return the URL of a POST to a host's root, with the signature in its query.

    Args:
        signer: What signs.
        host: The host, which is signed along.
        query: What the query says beside the signature.
        seconds: How long the signature is valid.
        now: Time of the signature, aware UTC.
        service: The service that the signature is for.
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
