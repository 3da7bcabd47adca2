"""Bedrock Runtime on loopback: accepts requests with a valid signature or API key, and refuses expired ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import parse_qsl

from attrs import frozen

from freshkey.clock import SYSTEM, Clock
from loopback_server import Exchange, LoopbackServer
from sigv4_judge import canonical, flaw, signature


ANSWER: Final = "Good morning from Bedrock"
MODEL: Final = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@frozen
class Call:
    """One request: its path, its access key or API key, and the status of the response."""

    path: str
    key: str
    status: int


class BedrockRuntime(LoopbackServer):
    """A server on a free port of 127.0.0.1; a context manager.

    Args:
        clock: Decides when keys have expired.

    Attributes:
        lives: Lifetime of the keys issued next, in seconds.
        calls: The requests so far.
    """

    HTTP_VERSION: ClassVar[str] = "HTTP/1.1"

    def __init__(self, *, clock: Clock = SYSTEM) -> None:
        super().__init__()
        self.lives = 3600.0
        self.calls: list[Call] = []
        self._clock = clock
        self._secrets: dict[str, tuple[str, str]] = {}
        self._ends: dict[str, float] = {}

    @property
    def issued(self) -> list[str]:
        """The issued access keys, oldest first."""
        return list(self._ends)

    @property
    def keys(self) -> list[str]:
        """The keys of the successful calls."""
        return [call.key for call in self.calls if call.status == 200]

    def issue(self, number: int) -> dict[str, str]:
        """Issue session keys, which this server accepts until they expire (`sso_double.RoleKeys`)."""
        key = f"ASIALOOPBACK{number:08d}"
        secret, token = f"secret-of-loopback-{number}", f"session/token+of=loopback-{number}"
        self._secrets[key] = secret, token
        self._ends[key] = self._clock.now().wall + self.lives
        return {"accessKeyId": key, "secretAccessKey": secret, "sessionToken": token}

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, object]:
        """Return status, AWS's error type, and the body."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            key, wrong = self._judge_key(shown)
        else:
            key = shown.partition("Credential=")[2].partition("/")[0]
            wrong = flaw(method, target, headers, body, self._secrets)
        status, kind = (403, "AccessDeniedException") if wrong else (200, "")
        if not wrong and self._ends.get(key, 1e12) <= self._clock.now().wall:
            status, kind, wrong = 403, "ExpiredTokenException", "The security token included in the request is expired"
        self.calls.append(Call(target, key, status))
        return status, kind, {"message": wrong} if wrong else _message()

    def _judge_key(self, shown: str) -> tuple[str, str]:
        """Return the access key of a short-term API key, a URL presigned for ``bedrock``, and what is wrong with it.

        This follows the description of presigned requests (IAM User Guide, "Create a signed AWS API request"), without
        the libraries that create them.
        """
        address = base64.b64decode(shown.removeprefix("bedrock-api-key-"), validate=True).decode()
        host, _, rest = address.partition("/")
        signed, _, proof = rest.removesuffix("&Version=1").partition("&X-Amz-Signature=")
        said = dict(parse_qsl(signed.removeprefix("?")))
        key, _, region, service, _ = said["X-Amz-Credential"].split("/")
        secret, token = self._secrets.get(key, ("", ""))
        request = canonical("POST", "/" + signed, {"host": host}, "host", b"")
        expected = signature(secret, said["X-Amz-Date"], region, request)
        begins = datetime.strptime(said["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        in_time = begins - 1 <= self._clock.now().wall < begins + min(int(said["X-Amz-Expires"]), 43200)
        right = (host, service, said["Action"]) == ("bedrock.amazonaws.com", "bedrock", "CallWithBearerToken")
        known = bool(secret) and said.get("X-Amz-Security-Token", "") == token
        return key, "" if right and known and in_time and expected == proof else "Authentication failed"

    def serve(self, exchange: Exchange) -> None:
        """Check the request, respond and close the connection."""
        status, kind, value = self.answer(exchange.command, exchange.path, exchange.lowered(), exchange.body())
        headers = {"Content-Type": "application/json", "Connection": "close"}
        exchange.answer(status, json.dumps(value).encode(), {**headers, **({"x-amzn-ErrorType": kind} if kind else {})})


def _message() -> dict[str, object]:
    return {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
