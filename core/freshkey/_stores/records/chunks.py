"""Split a record into the small ASCII items of a slot, and interpret the items found in a slot.

Some keychains limit the length of an item (Windows: 2,560 bytes), so a record is split into chunks. Keychains cannot
compare and swap, and some replace an item by deleting it first. So every item names its schema, generation, index and
count, and carries a digest of the whole record::

    fk1.<check>.<kind>.<generation>.<index>.<count>.<digest>.<body>

`kind` is ``r`` for a record and ``i`` for an intent; the joined bodies are base64url of JSON. The first two fields
will stay the same in every future schema, to tell an item of a newer version from a corrupt one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, get_args

from attrs import asdict, evolve, field, frozen

from freshkey._json import parse_record
from freshkey.clock import Moment
from freshkey.errors import LoginRequired, RecordUnreadable, StoreUnavailable, is_code
from freshkey.model.storage import Intent, Outcome, Record, Snapshot
from freshkey.secret import Secret


T = TypeVar("T")

SCHEMA: Final = 1
HEADER_SPACE: Final = 128  # two prefixes, a kind, 18 + 3 + 3 digits, a digest and the dots
MAX_ITEMS: Final = 999
RECORD, INTENT = "r", "i"

_PREFIX: Final = re.compile(r"fk(\d{1,4})\.([0-9a-f]{8})\.", re.ASCII)
_ITEM: Final = re.compile(r"([ri])\.(\d{1,18})\.(\d{1,3})\.(\d{1,3})\.([0-9a-f]{64})\.([A-Za-z0-9_=-]*)", re.ASCII)


@frozen
class Item:
    """One item of a slot; `body` is its chunk of the record."""

    kind: str
    generation: int
    index: int
    count: int
    digest: str
    body: str = field(repr=False)

    def text(self) -> str:
        return f"{_prefix(SCHEMA)}{self.kind}.{self.generation}.{self.index}.{self.count}.{self.digest}.{self.body}"


@frozen(kw_only=True)
class Slot:
    """The combined content of the items of one slot.

    Attributes:
        record: The complete record, if any.
        intent: The intent, if any.
        torn: The slot has items, but they are incomplete or corrupt.
        generation: Of the record, the intent, or the torn remains if readable.
        count: How many items the slot has or should have; 0 if unreadable.
    """

    record: Record | None = None
    intent: Intent | None = None
    torn: bool = False
    generation: int | None = None
    count: int = field(default=0, eq=False)


def record_items(record: Record, limit: int | None) -> list[str]:
    """Split a record into items of at most `limit` characters each; writing the first one commits the record.

    Raises:
        StoreUnavailable: The record is too large.
    """
    secret = None if record.payload is None else record.payload.reveal()
    whole = _pack({"written_at": record.written_at, "payload": secret})
    room = len(whole) if limit is None else limit - HEADER_SPACE
    bodies = [whole[start : start + room] for start in range(0, len(whole), room)]
    if len(bodies) > MAX_ITEMS:
        raise StoreUnavailable(
            f"the credential is too large for the store: it needs {len(bodies)} items, and the limit is {MAX_ITEMS}",
            hint='Set store = "file" for the profile in config.toml, and sign in again',
            code="credential-too-large",
        )
    digest = _digest(RECORD, record.generation, len(bodies), whole)
    return [
        Item(RECORD, record.generation, index, len(bodies), digest, body).text() for index, body in enumerate(bodies)
    ]


def intent_item(intent: Intent) -> str:
    """Encode an intent as a single item, of less than 1,100 characters."""
    whole = _pack(asdict(intent, filter=lambda _, value: value is not None))
    return Item(INTENT, intent.generation, 0, 1, _digest(INTENT, intent.generation, 1, whole), whole).text()


def read_slot(get: Callable[[int], str | None]) -> Slot:
    """Read a slot; `get` returns its item with a given index.

    Raises:
        RecordUnreadable: A newer version of freshkey wrote the slot.
    """
    text = get(0)
    if text is None:
        return Slot()
    first = _parse(text)
    if first is None or first.index != 0:
        return Slot(torn=True)
    rest = [_parse(get(index) or "") for index in range(1, first.count)]
    found = _meaning(first, rest) or Slot(torn=True, generation=first.generation)
    return evolve(found, count=first.count)


def newest(slots: Iterable[Slot]) -> Snapshot:
    """Return the newest complete record, with the open intent and whether something newer is damaged."""
    slots = tuple(slots)
    records = [slot.record for slot in slots if slot.record]
    record = max(records, key=lambda found: found.generation, default=None)
    generation = record.generation if record else 0
    intents = [slot.intent for slot in slots if slot.intent and slot.intent.generation > generation]
    # Torn items of unknown generation may be newer; treating them as older could spend a refresh token twice.
    damaged = any(slot.torn and (slot.generation is None or slot.generation > generation) for slot in slots)
    return Snapshot(record=record, intent=intents[0] if intents else None, damaged=damaged)


def _meaning(first: Item, rest: list[Item | None]) -> Slot | None:
    """Join the items of a slot; None if they do not belong together or are invalid."""
    bodies = [first.body]
    for index, item in enumerate(rest, start=1):
        if item is None or evolve(item, index=0, body="") != evolve(first, body="") or item.index != index:
            return None
        bodies.append(item.body)
    whole = "".join(bodies)
    if first.digest != _digest(first.kind, first.generation, first.count, whole):
        return None
    try:
        return _slot(first, parse_record(base64.urlsafe_b64decode(whole)))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None


def _slot(first: Item, value: Any) -> Slot:  # noqa: ANN401  any JSON value
    if first.kind == INTENT:
        return Slot(intent=_intent(first.generation, value), generation=first.generation)
    payload = None if value["payload"] is None else Secret(_as(str, value["payload"]))
    record = Record(generation=first.generation, payload=payload, written_at=_number(value["written_at"]))
    return Slot(record=record, generation=first.generation)


def _intent(generation: int, value: dict[str, Any]) -> Intent:
    """Build an intent. Version 0.1 wrote none of the members that are optional here; later versions may write more."""
    token_hash = _as(str, value["token_hash"])
    refused, outcome = value.get("refused"), value.get("outcome")
    return Intent(
        generation=generation,
        token_hash=token_hash,
        noted=_moment(**value["noted"]),
        pid=_as(int, value["pid"]),
        attempts=_as(int, value.get("attempts", 1)),
        outcome=next((known for known in get_args(Outcome) if known == outcome), "unanswered"),
        last_sent=_moment_or_none(value.get("last_sent")),
        answered_at=_moment_or_none(value.get("answered_at")),
        doubts=_as(int, value.get("doubts", 0)),
        doubted_at=_moment_or_none(value.get("doubted_at")),
        refused=refused if refused is None or is_code(refused) else LoginRequired.code,
    )


def _moment_or_none(value: Any) -> Moment | None:  # noqa: ANN401  any JSON value
    return None if value is None else _moment(**value)


def _moment(wall: object, elapsed: object, boot_id: object) -> Moment:
    return Moment(wall=_number(wall), elapsed=_number(elapsed), boot_id=_as(str, boot_id))


def _number(value: object) -> float:
    number = float(value) if type(value) is int else _as(float, value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _as(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError
    return value


def _parse(text: str) -> Item | None:
    prefix = _PREFIX.match(text)
    if prefix is None or prefix[0] != _prefix(int(prefix[1])):
        return None
    if int(prefix[1]) > SCHEMA:
        raise RecordUnreadable(
            "the stored credential was written by a newer version of freshkey",
            hint="Upgrade freshkey; nothing was overwritten",
            code="record-too-new",
        )
    found = _ITEM.fullmatch(text, prefix.end())
    if found is None:
        return None
    return Item(found[1], int(found[2]), int(found[3]), int(found[4]), found[5], found[6])


def _prefix(schema: int) -> str:
    # Without the check, a flipped bit in the number would look like a newer version, whose items are never replaced.
    name = f"fk{schema}"
    return f"{name}.{hashlib.sha256(name.encode()).hexdigest()[:8]}."


def _digest(kind: str, generation: int, count: int, whole: str) -> str:
    return hashlib.sha256(f"{kind}.{generation}.{count}.{whole}".encode()).hexdigest()


def _pack(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, allow_nan=False, separators=(",", ":")).encode()).decode("ascii")
