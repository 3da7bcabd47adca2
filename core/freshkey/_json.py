"""The parsers of JSON: a strict one for what servers, helpers and others' files say, one for freshkey's own records.

No other module calls ``json.loads``: what it raises carries the whole text, and nesting makes it a `RecursionError`.
``tests/fuzz/test_registry.py`` lists the exceptions and their reasons.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any, Final, NoReturn

from freshkey.errors import ProtocolError


MAX_BODY: Final = 1 << 20
"""Maximum size of a response body in bytes."""

MAX_DEPTH: Final = 16
"""Maximum nesting depth of objects and lists."""

_MAX_RECORD_DEPTH: Final = 64
"""The same in a record: its credential, with what a provider keeps in it, is some levels down."""

_MAX_INTEGER: Final = 18
"""Any number with this many digits fits in 64 bits."""


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object (RFC 8259) in `body`.

    An integer with more than 18 digits is read as a float, as most JSON parsers do.

    Raises:
        ProtocolError: `body` is longer than 1 MiB, is not a JSON object in UTF-8, is nested more than 16 levels deep,
            or contains a duplicate key or a number that is not finite. The message never quotes it.
    """
    if len(body) > MAX_BODY:
        raise ProtocolError(f"the response is longer than {MAX_BODY} bytes", code="response-too-large")
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
        # Raised outside the handler: the parser's error carries the whole text, and it would be the context.
        raise ProtocolError("the response is not a valid JSON object")
    return value


def parse_record(text: str | bytes) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value in a record that freshkey wrote, with any number that Python writes.

    Raises:
        ValueError: It is not JSON, is nested more than 64 levels deep, or contains a duplicate key. The error does not
            contain the text, which may be secret, and has no context.
    """
    value: Any = None
    with suppress(ValueError, RecursionError):
        value = [json.loads(text, object_pairs_hook=_unique)]
    if value is None or too_deep(value[0], _MAX_RECORD_DEPTH):
        raise ValueError
    return value[0]


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


def _not_finite(digits: str) -> NoReturn:  # noqa: ARG001  signature of the json hook
    raise ValueError


def too_deep(value: object, room: int = MAX_DEPTH) -> bool:
    """Whether objects and lists are nested more than `room` levels deep."""
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return room == 0 or any(too_deep(item, room - 1) for item in items)
