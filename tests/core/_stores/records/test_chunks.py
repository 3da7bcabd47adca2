"""Items: what was written is read back, and nothing else passes for a record."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from freshkey._stores.records.chunks import Item, Slot, intent_item, newest, read_slot, record_items
from freshkey.clock import Moment
from freshkey.errors import LoginRequired, RecordUnreadable, StoreUnavailable
from freshkey.model.storage import Record
from freshkey.secret import Secret
from raises_code import raises_code
from scripted_items import a_record, an_intent


def read(texts: list[str | None] | list[str]) -> Slot:
    return read_slot(lambda index: texts[index] if index < len(texts) else None)


RECORDS = st.builds(
    Record,
    generation=st.integers(1, 10**18 - 1),
    payload=st.none() | st.text(max_size=3000).map(Secret),
    written_at=st.floats(allow_nan=False, allow_infinity=False),
)


@given(RECORDS, st.none() | st.integers(200, 2000))
def test_record_is_read_back_from_ascii_items_within_the_limit(record: Record, limit: int | None) -> None:
    texts = record_items(record, limit)

    assert all(text.isascii() and "\n" not in text for text in texts)
    assert all(limit is None or len(text) <= limit for text in texts)
    assert read(texts) == Slot(record=record, generation=record.generation)


@pytest.mark.parametrize("units", [1_279, 1_280, 1_281, 50_000])
def test_records_around_and_far_above_the_windows_limit(units: int) -> None:
    """FAULT-10."""
    record = evolve(a_record(3), payload=Secret("x" * units))

    texts = record_items(record, 1200)

    assert read(texts).record == record
    assert max(len(text.encode("utf-16-le")) for text in texts) <= 2560


def test_record_that_needs_too_many_items_is_refused() -> None:
    with raises_code(StoreUnavailable, "credential-too-large"):
        record_items(evolve(a_record(1), payload=Secret("x" * 2_000_000)), 1200)


def test_intent_is_one_item_that_fits_any_keychain() -> None:
    text = intent_item(an_intent(7, attempts=2))

    assert len(text) < 1100
    assert read([text]) == Slot(intent=an_intent(7, attempts=2), generation=7)


def test_what_became_of_an_intent_is_kept_in_one_item() -> None:
    now = Moment(1795945784.3776274, 1996.600575183, "cbd3322e-709a-4b7d-a234-8f28aa073b4c")
    full = evolve(
        an_intent(7, attempts=0),
        token_hash="a" * 64,
        noted=now,
        outcome="in-between",
        last_sent=now,
        answered_at=now,
        doubts=3,
        doubted_at=now,
        refused="a-code-" + "x" * 57,
    )
    assert len(intent_item(full)) < 1100
    assert read([intent_item(full)]).intent == full


@pytest.mark.parametrize(
    ("member", "value", "meaning"),
    [
        ("outcome", "of-a-later-version", "unanswered"),
        ("outcome", ["lost"], "unanswered"),
        ("refused", "No code", None),
    ],
)
def test_unknown_outcome_and_unreadable_code_are_read_with_caution(member: str, value: object, meaning: object) -> None:
    slot = read([_intent_with(**{member: value})])
    assert slot.intent is not None
    assert getattr(slot.intent, member) == (meaning or LoginRequired.code)


def test_intent_of_version_0_1_is_read_as_unanswered() -> None:
    slot = read([_intent_with()])
    assert slot.intent == an_intent(7)
    assert slot.intent.outcome == "unanswered"


def _intent_with(**members: object) -> str:
    noted = {"wall": 1.5e9, "elapsed": 77.25, "boot_id": "boot"}
    value = {"generation": 7, "token_hash": "00ff", "noted": noted, "pid": 4711, "attempts": 1, **members}
    whole = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return Item("i", 7, 0, 1, hashlib.sha256(f"i.7.1.{whole}".encode()).hexdigest(), whole).text()


def test_items_and_repr_do_not_show_the_secret_in_plain_text() -> None:
    texts = record_items(a_record(1, "sk-canary"), None)

    assert "sk-canary" not in "".join(texts)
    assert "sk-canary" not in repr(read(texts))


@given(data=st.data())
def test_flipped_bit_is_damage_and_never_another_record_or_a_newer_freshkey(data: st.DataObject) -> None:
    texts = [text.encode() for text in record_items(evolve(a_record(5), payload=Secret("x" * 400)), 400)]
    victim = data.draw(st.integers(0, len(texts) - 1))
    bit = data.draw(st.integers(0, 8 * len(texts[victim]) - 1))
    flipped = bytearray(texts[victim])
    flipped[bit // 8] ^= 1 << bit % 8
    texts[victim] = bytes(flipped)

    slot = read([text.decode("latin-1") for text in texts])

    assert slot.torn
    assert slot.record is None


@given(st.text())
def test_garbage_is_a_torn_slot(text: str) -> None:
    assert read([text]) == Slot(torn=True)


@pytest.mark.parametrize("missing", [1, 2])
def test_slot_with_a_missing_chunk_is_torn_and_keeps_its_generation(missing: int) -> None:
    """FAULT-12."""
    texts: list[str | None] = [*record_items(evolve(a_record(5), payload=Secret("x" * 400)), 400)]
    texts[missing] = None

    assert read(texts) == Slot(torn=True, generation=5)


def test_chunks_of_two_generations_are_not_combined() -> None:
    old = record_items(evolve(a_record(3), payload=Secret("x" * 400)), 400)
    new = record_items(evolve(a_record(5), payload=Secret("y" * 400)), 400)

    assert read([old[0], *new[1:]]) == Slot(torn=True, generation=3)
    assert read([new[1], *new[1:]]) == Slot(torn=True)


def test_item_of_a_newer_freshkey_is_refused_whatever_its_content() -> None:
    """STO-9, FAULT-13."""
    check = hashlib.sha256(b"fk2").hexdigest()[:8]

    with raises_code(RecordUnreadable, "record-too-new"):
        read([f"fk2.{check}.anything at all"])


def test_empty_store_has_an_empty_snapshot() -> None:
    snapshot = newest([Slot(), Slot()])

    assert (snapshot.record, snapshot.intent, snapshot.damaged, snapshot.generation) == (None, None, False, 0)


def test_newest_complete_record_wins_in_either_slot() -> None:
    slots = [Slot(record=a_record(4), generation=4), Slot(record=a_record(5), generation=5)]

    assert newest(slots).record == newest(slots[::-1]).record == a_record(5)


@pytest.mark.parametrize(
    ("torn", "damaged"),
    [
        (Slot(torn=True, generation=6), True),
        (Slot(torn=True), True),
        (Slot(torn=True, generation=4), False),
        (Slot(intent=an_intent(6), generation=6), False),
        (Slot(), False),
    ],
)
def test_torn_slot_is_damage_only_if_it_may_be_newer(torn: Slot, damaged: bool) -> None:
    snapshot = newest([torn, Slot(record=a_record(5), generation=5)])

    assert snapshot.record == a_record(5)
    assert snapshot.damaged is damaged


def test_intent_is_open_until_its_result_or_a_newer_record_exists() -> None:
    open_intent = newest([Slot(intent=an_intent(6), generation=6), Slot(record=a_record(5), generation=5)])
    outlived = newest([Slot(intent=an_intent(6), generation=6), Slot(record=a_record(7), generation=7)])

    assert open_intent.intent == an_intent(6)
    assert outlived.intent is None
