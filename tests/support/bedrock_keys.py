"""Bedrock API keys that were never issued."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from freshkey_bedrock.api_key.parse import PREFIX


LONG_TERM: Final = "ABSKQmVkcm9ja0FQSUtleS1tYWRlLXVw"


def short_term_key(begins: datetime, seconds: int | str = 43200, region: str = "us-west-2", **more: str) -> str:
    """Return a key in the format of AWS's generator, except for the signature."""
    query = {
        "Action": "CallWithBearerToken",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"ASIAMADEUP%2F{begins:%Y%m%d}%2F{region}%2Fbedrock%2Faws4_request",
        "X-Amz-Date": f"{begins:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(seconds),
        "X-Amz-Security-Token": "made-up-session-token",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": "0" * 64,
    } | more
    url = "bedrock.amazonaws.com/?" + "&".join(f"{name}={value}" for name, value in query.items()) + "&Version=1"
    return PREFIX + base64.b64encode(url.encode()).decode()
