"""Reads JSON objects of servers, helpers and files strictly: what two parsers could read differently is refused."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from freshkey.errors import ProtocolError


MAX_BODY: Final = 1 << 20
"""Bytes of an answer that are read at the most."""

MAX_DEPTH: Final = 16
"""How deep objects and lists may be nested."""

_MAX_INTEGER: Final = 18
"""Digits that fit 64 bits whatever they are."""


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object (RFC 8259) in `body`.

    An integer beyond 18 digits is read as a float, as most JSON readers do.

    Raises:
        ProtocolError: `body` is longer than 1 MiB, no UTF-8, no JSON, no object, nested deeper than 16, has a key
            twice, or a number that is not finite. The message never quotes it.
    """
    if len(body) > MAX_BODY:
        raise ProtocolError("the server's answer is too large")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_int=_integer,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or too_deep(value):
        # Raised outside the handler: the parser's own error carries the whole text.
        raise ProtocolError("the server's answer is not the JSON object that was expected")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER else _finite(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _not_finite(digits)


def _not_finite(digits: str) -> NoReturn:  # noqa: ARG001  the signature is that of json's hook
    raise ValueError


def too_deep(value: object, room: int = MAX_DEPTH) -> bool:
    """Whether objects and lists are nested deeper than `room`."""
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return room == 0 or any(too_deep(item, room - 1) for item in items)
