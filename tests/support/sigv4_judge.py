"""A server that checks Signature Version 4, written from AWS's description and without AWS's libraries.

Source: IAM User Guide, "Create a signed AWS API request". A request must be signed for Bedrock within five minutes.
See docs/decisions.md, "Signatures are verified by code that shares nothing with botocore".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from loopback_server import Exchange, LoopbackServer


SERVICE: Final = "bedrock"
SKEW: Final = timedelta(minutes=5)

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret: str, when: str, region: str, canonical_request: str, service: str = SERVICE) -> str:
    """Return the signature of a canonical request at a time in the format ``20150830T123600Z``."""
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (when[:8], region, service, "aws4_request"):
        key = _hmac(key, part)
    return _hmac(key, f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashed}").hex()


def canonical(method: str, target: str, headers: Mapping[str, str], signed: str, body: bytes) -> str:
    """Return the canonical request for a request target as received: each path segment is encoded once more."""
    path, _, query = target.partition("?")
    pairs = sorted(
        tuple(quote(unquote(part), safe="-_.~") for part in (name, value))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    lines = [method, quote(path, safe="/-_.~"), "&".join(f"{name}={value}" for name, value in pairs)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed.split(";")]
    return "\n".join([*lines, "", signed, hashlib.sha256(body).hexdigest()])


def flaw(
    method: str, target: str, headers: Mapping[str, str], body: bytes, secrets: Mapping[str, tuple[str, str]]
) -> str:
    """Return what is wrong with a request, or an empty string.

    Args:
        method: As received.
        target: As received.
        headers: Headers with lower-case names.
        body: As received.
        secrets: Secret key and session token by access key id; the token is empty for long-term keys.
    """
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        return "no signature"
    secret, token = secrets.get(found["key"], ("", ""))
    if not secret or headers.get("x-amz-security-token", "") != token:
        return "unknown key or session"
    when = headers.get("x-amz-date", "")
    try:
        signed_at = datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return "no date"
    if abs(datetime.now(UTC) - signed_at) > SKEW or found["day"] != when[:8] or found["service"] != SERVICE:
        return "signed for another time or service"
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set())
    if not needed <= set(found["signed"].split(";")):
        return "too little is signed"
    expected = signature(secret, when, found["region"], canonical(method, target, headers, found["signed"], body))
    return "" if hmac.compare_digest(expected, found["signature"]) else "the signature does not match"


class Judge(LoopbackServer):
    """Serves any path and responds with 200, or with 403 and what is wrong; a context manager."""

    def __init__(self, secrets: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self.secrets = dict(secrets)

    def serve(self, exchange: Exchange) -> None:
        """Check the signature."""
        body = exchange.body()
        wrong = flaw(exchange.command, exchange.path, exchange.lowered(), body, self.secrets)
        exchange.answer(403 if wrong else 200, wrong.encode() or b"{}")
