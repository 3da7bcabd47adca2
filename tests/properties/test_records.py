"""Records are read back unchanged; corrupt, mixed-up or foreign data is never accepted as a record."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freshkey._interprocess.hints import MAX_PAUSE, Hints, HintsFile
from freshkey._stores.records.chunks import HEADER_SPACE, Item, Slot, newest, read_slot, record_items
from freshkey._stores.records.codec import Codec
from freshkey._stores.records.intent_file import IntentFile
from freshkey.clock import Moment
from freshkey.errors import FreshkeyError, RecordUnreadable
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.storage import Record
from freshkey.secret import Secret
from promises import proves
from quoting import CANARIES, everything_said, outcome, quotes
from raises_code import raises_code


FIXED = settings(derandomize=True, database=None, max_examples=150)

CODEC = Codec({"oauth": OAuthToken, "key": ApiKey}, provider="mine")
NOW = Moment(1_000_000.0, 5_000.0, "boot")

texts = st.text(max_size=20) | st.sampled_from(["\U0001f511" * 30, "\ud800", "\x00", '"\\', "e\u0301"])
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.builds(Moment, numbers, numbers, texts)
credentials: st.SearchStrategy[Credential] = st.one_of(
    st.builds(ApiKey, obtained=moments, lifetime=st.none() | numbers, key=st.builds(Secret, texts), header=texts),
    st.builds(
        OAuthToken,
        obtained=moments,
        source=texts,
        access_token=st.builds(Secret, texts),
        refresh_token=st.none() | st.builds(Secret, texts),
        scopes=st.lists(texts, max_size=3).map(tuple),
    ),
)


def read(items: list[str]) -> Slot:
    return read_slot(lambda index: items[index] if index < len(items) else None)


def units(text: str) -> int:
    """Return the length in UTF-16 code units, as Windows counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- credential, record, items ------------------------------------------------------------------------------------


@proves("FAULT-10", "STO-4")
@FIXED
@given(credentials, st.integers(1, 10**17), st.none() | st.integers(HEADER_SPACE + 16, 1300))
def test_credential_is_read_back_unchanged(credential: Credential, generation: int, limit: int | None) -> None:
    record = Record(generation=generation, payload=CODEC.encode(credential), written_at=1.5)
    items = record_items(record, limit)
    assert all(limit is None or units(item) <= limit for item in items)
    assert all(item.isascii() and item.isprintable() for item in items)

    found = read(items).record

    assert found == record
    assert found is not None
    assert found.payload is not None
    assert CODEC.decode(found.payload) == credential


RECORDS = st.builds(
    Record,
    generation=st.integers(1, 9),
    payload=st.none() | st.text("ab\U0001f511", min_size=1, max_size=150).map(Secret),
    written_at=st.sampled_from([0.0, 1.5]),
)


@st.composite
def edits(draw: st.DrawFn, items: list[str]) -> list[str]:
    """Draw what a bad disk, an interrupted write or a mix-up can turn the items of a slot into."""
    changed = list(items)
    for _ in range(draw(st.integers(1, 3))):
        victim = draw(st.integers(0, len(changed) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "put", "drop", "swap", "double"]))
        text = changed[victim]
        at = draw(st.integers(0, max(0, len(text) - 1)))
        other = draw(st.integers(0, len(changed) - 1))
        if kind == "flip" and text:
            changed[victim] = text[:at] + chr(ord(text[at]) ^ 1 << draw(st.integers(0, 7))) + text[at + 1 :]
        elif kind == "cut":
            changed[victim] = text[:at]
        elif kind == "put":
            changed[victim] = text[:at] + draw(st.text("0.f=A", min_size=1, max_size=2)) + text[at:]
        elif kind == "drop" and len(changed) > 1:
            del changed[victim]
        elif kind == "swap":
            changed[victim], changed[other] = changed[other], changed[victim]
        elif kind == "double":
            changed[victim] = changed[other]
    return changed


@proves("FAULT-12", "STO-5")
@settings(FIXED, max_examples=400)
@given(RECORDS, st.data())
def test_corruption_is_detected_or_harmless_and_the_previous_generation_remains(
    record: Record, data: st.DataObject
) -> None:
    earlier = Record(generation=record.generation, payload=Secret("earlier"), written_at=0.0)
    later = Record(generation=record.generation + 1, payload=record.payload, written_at=record.written_at)
    items = record_items(later, HEADER_SPACE + 40)
    changed = data.draw(edits(items))

    slot = read(changed)
    snapshot = newest([read(record_items(earlier, None)), slot])

    if slot.record is not None:
        assert slot.record == later
        assert changed[: len(items)] == items  # extra items are ignored
    else:
        assert slot.torn
        assert snapshot.record == earlier
        assert snapshot.damaged or (slot.generation is not None and slot.generation <= earlier.generation)


@proves("FAULT-12", "STO-5")
@FIXED
@given(RECORDS, RECORDS, st.data())
def test_mixed_chunks_of_two_records_are_never_accepted_as_another_record(
    one: Record, other: Record, data: st.DataObject
) -> None:
    first, second = record_items(one, HEADER_SPACE + 40), record_items(other, HEADER_SPACE + 40)
    count = max(len(first), len(second))
    choices = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mixed = [
        (first if mine else second)[index] if index < len(first if mine else second) else ""
        for index, mine in enumerate(choices)
    ]
    slot = read(mixed)
    assert slot.record in {None, one, other}
    if slot.record is not None:
        assert mixed[: slot.count] in (first, second)


@proves("FAULT-13", "STO-9")
@FIXED
@given(st.integers(2, 9999), st.text(max_size=40), st.integers(0, 2))
def test_item_of_a_newer_schema_is_distinguished_from_corruption(schema: int, rest: str, place: int) -> None:
    """It must never be overwritten, whatever else it contains and wherever it appears."""
    items: list[str] = record_items(Record(generation=3, payload=Secret("x" * 200), written_at=0.0), HEADER_SPACE + 60)
    items[place] = f"fk{schema}.{hashlib.sha256(f'fk{schema}'.encode()).hexdigest()[:8]}.{rest}"
    with raises_code(RecordUnreadable, "record-too-new"):
        read(items)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | CANARIES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | CANARIES, inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "payload": st.just("p") | JSON,
        "written_at": st.just(1.5) | JSON,
        "generation": st.just(3) | JSON,
        "token_hash": st.just("h") | JSON,
        "noted": st.just({"wall": 1.0, "elapsed": 1.0, "boot_id": "b"}) | JSON,
        "pid": st.just(1) | JSON,
        "attempts": st.just(1) | JSON,
    },
)


def sealed(kind: str, body: str) -> str:
    """Return an item with a correct digest and any content."""
    whole = base64.urlsafe_b64encode(body.encode("utf-8", "surrogatepass")).decode()
    return Item(kind, 3, 0, 1, hashlib.sha256(f"{kind}.3.1.{whole}".encode()).hexdigest(), whole).text()


@proves("FAULT-13", "STO-5")
@FIXED
@given(st.sampled_from("ri"), (FIELDS | JSON).map(json.dumps) | st.text(max_size=20))
@example("r", "[" * 50_000)
@example("i", '{"noted":' * 20_000)
@example("r", '{"payload": 5, "written_at": 0.0}')
@example("r", '{"payload": "p", "written_at": "yesterday"}')
@example("r", '{"payload": "p", "written_at": NaN}')
@example("i", '{"generation": "3", "token_hash": "h", "noted": {"wall": 1, "elapsed": 1, "boot_id": "b"}, "pid": 1}')
def test_foreign_item_with_a_correct_digest_is_read_correctly_or_as_corrupt(kind: str, body: str) -> None:
    slot = read([sealed(kind, body)])
    assert slot.torn is (slot.record is None and slot.intent is None)
    if slot.record is not None:
        assert slot.record.payload is None or isinstance(slot.record.payload.reveal(), str)
        assert isinstance(slot.record.written_at, int | float)
        assert math.isfinite(slot.record.written_at)
    if slot.intent is not None:
        assert slot.intent.generation == 3
        assert isinstance(slot.intent.token_hash, str)
        assert {type(slot.intent.pid), type(slot.intent.attempts)} == {int}
        assert math.isfinite(slot.intent.noted.wall + slot.intent.noted.elapsed)


# --- the payload ---------------------------------------------------------------------------------------------------


@proves("FAULT-13", "STO-5", "LEK-1")
@FIXED
@given(CANARIES, st.data())
def test_errors_of_the_codec_never_quote_the_credential(canary: str, data: st.DataObject) -> None:
    token = OAuthToken(obtained=NOW, access_token=Secret(canary), refresh_token=Secret(canary), lifetime=60.0)
    text = CODEC.encode(token).reveal()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    broken = text[:start] + data.draw(st.text('{}[]",:0n', max_size=3)) + text[end:]

    read_back = outcome(lambda: CODEC.decode(Secret(broken)))

    if isinstance(read_back, FreshkeyError):
        assert not quotes(everything_said(read_back), canary)
        assert (read_back.__context__, read_back.__cause__) == (None, None)
    else:
        assert isinstance(read_back, OAuthToken)
        assert not quotes(repr(read_back.access_token) + repr(read_back.refresh_token), canary)


@proves("FAULT-13", "STO-9")
@FIXED
@given(st.integers(2), st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_payload_of_a_newer_schema_is_distinguished_from_corruption(schema: int, more: dict[str, Any]) -> None:
    with raises_code(RecordUnreadable, "record-too-new"):
        CODEC.decode(Secret(json.dumps({**more, "schema": schema})))


# --- hints and intent files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


HINT_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "generation": st.just(7) | JSON,
        "source": st.just("sign-in") | JSON,
        "attempted": st.just({"wall": 1e6, "elapsed": 5e3, "boot_id": "boot"}) | JSON,
        "pause": numbers | st.just(10**400) | JSON,
        "failures": st.just(2) | JSON,
        "error": JSON,
        "of a newer freshkey": JSON,
    },
)
MANY_DIGITS = b'{"attempted": {"wall": 1, "elapsed": %b, "boot_id": "boot"}, "pause": 1}' % (b"9" * 400)


@proves("FAULT-13", "STO-5")
@settings(FIXED, max_examples=300, deadline=None)  # files
@given(st.binary(max_size=40) | (HINT_FIELDS | JSON).map(json.dumps).map(str.encode))
@example(b"[" * 100_000)
@example(MANY_DIGITS)
@example(b'{"attempted": {"wall": 1, "elapsed": 5000, "boot_id": "boot"}, "pause": 1e308}')
@example(b'{"attempted": {"wall": 1, "elapsed": 1e300, "boot_id": "boot"}, "pause": 10}')
@example(b'{"attempted": {"wall": 1, "elapsed": NaN, "boot_id": "boot"}, "pause": 10}')
@example(b'{"attempted": {"wall": 1, "elapsed": 5000, "boot_id": "boot"}, "pause": Infinity}')
@example(b'{"pause": 1%b}' % (b"0" * 5000))
def test_hints_never_cause_a_long_pause(state_dir: Path, content: bytes) -> None:
    """Whatever the file contains, the pause is never longer than the maximum for a server's Retry-After."""
    file = HintsFile(state_dir, "any")
    if not (state_dir / "hints").exists():
        file.write(Hints())
    (path,) = (state_dir / "hints").glob("any*.json")
    path.write_bytes(content)

    found = file.read()

    assert isinstance(found, Hints)
    assert isinstance(found.generation, int)
    assert found.seconds_to_wait(NOW) <= MAX_PAUSE
    assert found.attempted is None or math.isfinite(found.attempted.wall + found.attempted.elapsed)


@proves("FAULT-13", "STO-9")
def test_known_fields_of_hints_by_a_newer_freshkey_are_used(state_dir: Path) -> None:
    file = HintsFile(state_dir, "newer")
    file.write(Hints(generation=7))
    (path,) = (state_dir / "hints").glob("newer*.json")
    path.write_text(json.dumps({"generation": 8, "pause": 2.0, "weather": {"rain": True}}))
    assert file.read() == Hints(generation=8, pause=2.0)


@proves("FAULT-13", "STO-5")
@settings(FIXED, deadline=None)
@given(st.binary(max_size=40) | (FIELDS | JSON).map(json.dumps).map(lambda text: sealed("i", text).encode()))
@example(sealed("i", "[" * 50_000).encode())
@example(sealed("r", '{"payload": null, "written_at": 0}').encode())
def test_intent_file_is_a_valid_intent_or_none(state_dir: Path, content: bytes) -> None:
    intent_file = IntentFile(state_dir, "any")
    intent_file.path.parent.mkdir(mode=0o700, exist_ok=True)
    intent_file.path.write_bytes(content)
    intent_file.path.chmod(0o600)
    found = intent_file.read()
    assert found is None or (found.generation == 3 and isinstance(found.token_hash, str))
