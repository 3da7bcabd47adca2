"""The slotted store: whatever fails at any step, one complete generation stays readable."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import GenerationConflict, RecordUnreadable, StoreUnavailable
from freshkey.model.storage import Record, Snapshot
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from scripted_items import Crashed, OpenLock, ScriptedItems, a_record, an_intent


def opened(items: ScriptedItems) -> SlottedStore:
    return SlottedStore(items, OpenLock())


def long_record(generation: int, chunks: int = 3) -> Record:
    return evolve(a_record(generation), payload=Secret(str(generation) * 180 * chunks))


KINDS = pytest.mark.parametrize(
    "items",
    [
        pytest.param(ScriptedItems, id="one item"),
        pytest.param(lambda: ScriptedItems(400), id="small items"),
        pytest.param(lambda: ScriptedItems(replaces=False), id="delete, then add"),
        pytest.param(lambda: ScriptedItems(400, replaces=False), id="small items, delete, then add"),
    ],
)


@KINDS
def test_each_saved_generation_is_loaded(items: Callable[[], ScriptedItems]) -> None:
    store = opened(items())

    for generation in range(1, 6):
        record = long_record(generation, chunks=6 - generation)
        store.save(record)
        assert store.load() == Snapshot(record=record)


@proves("FAULT-11", "STO-5")
@KINDS
def test_crash_at_any_step_of_a_save_leaves_the_old_or_the_new_generation(items: Callable[[], ScriptedItems]) -> None:
    """STO-5, FAULT-11, FAULT-12."""
    for steps in itertools.count():
        kept = items()
        opened(kept).save(long_record(1, chunks=5))
        opened(kept).save(long_record(2, chunks=4))
        kept.steps_left = steps
        try:
            opened(kept).save(long_record(3, chunks=2))
        except Crashed:
            kept.steps_left = None
            found = opened(kept).load()
            assert found.record in {long_record(2, chunks=4), long_record(3, chunks=2)}
            assert not found.damaged
            opened(kept).save(long_record(4, chunks=1))
            assert opened(kept).load() == Snapshot(record=long_record(4, chunks=1))
        else:
            break
    assert steps >= 1


@KINDS
def test_crash_after_an_intent_leaves_the_record_and_the_intent(items: Callable[[], ScriptedItems]) -> None:
    """ROT-7."""
    kept = items()
    opened(kept).save(long_record(1))
    opened(kept).save(long_record(2))
    opened(kept).intend(an_intent(3))

    for steps in range(2):  # up to the chunk before the commit
        kept.steps_left = steps
        if kept.item_limit:
            with pytest.raises(Crashed):
                opened(kept).save(long_record(3))
        kept.steps_left = None
        assert opened(kept).load() == Snapshot(record=long_record(2), intent=an_intent(3))


def test_saved_result_closes_its_intent() -> None:
    store = opened(ScriptedItems())
    store.intend(an_intent(1))
    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))


def test_intent_can_be_rewritten_with_one_more_attempt() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))
    store.intend(an_intent(2))
    store.intend(an_intent(2, attempts=2))

    assert store.load().intent == an_intent(2, attempts=2)


def test_withdrawing_an_intent_empties_its_slot() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2))
    store.intend(an_intent(3))

    store.withdraw(an_intent(3))

    assert store.load() == Snapshot(record=long_record(2))
    assert all(name.startswith("0.") for name in items.values)


def test_withdrawing_after_the_result_was_saved_keeps_the_record() -> None:
    store = opened(ScriptedItems())
    store.intend(an_intent(1))
    store.save(a_record(1))

    store.withdraw(an_intent(1))

    assert store.load() == Snapshot(record=a_record(1))


@pytest.mark.parametrize("generation", [1, 2])
def test_generation_that_is_not_newer_is_refused(generation: int) -> None:
    """ROT-2."""
    items = ScriptedItems()
    store = opened(items)
    store.save(a_record(1))
    store.save(a_record(2))
    before = dict(items.values)

    with raises_code(GenerationConflict, "generation-conflict") as caught:
        store.save(a_record(generation, "another secret"))
    assert "generation 2" in str(caught.value)
    with pytest.raises(GenerationConflict):
        store.intend(an_intent(generation))

    assert items.values == before


def test_saving_the_same_record_again_is_not_a_conflict() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))

    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))


def test_sign_out_leaves_a_tombstone_and_no_secret() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2, chunks=5))

    store.save(a_record(3, payload=None))

    assert store.load() == Snapshot(record=a_record(3, payload=None))
    assert list(items.values) == ["1.0"]


def test_tombstone_can_be_saved_again_after_a_crash_left_secrets() -> None:
    items = ScriptedItems()
    store = opened(items)
    store.save(a_record(1))
    store.save(a_record(2))
    items.steps_left = 1
    with pytest.raises(Crashed):
        store.save(a_record(3, payload=None))
    items.steps_left = None

    store.save(a_record(3, payload=None))

    assert list(items.values) == ["1.0"]


def test_sign_in_after_sign_out_is_newer() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))
    store.save(a_record(2, payload=None))
    store.save(a_record(3))

    assert store.load() == Snapshot(record=a_record(3))


@proves("FAULT-12", "STO-5")
def test_torn_newer_slot_is_reported_and_replaced_by_the_next_save() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2))
    del items.values["0.1"]

    assert store.load() == Snapshot(record=long_record(1), damaged=True)
    store.save(long_record(2, chunks=1))
    assert store.load() == Snapshot(record=long_record(2, chunks=1))


@proves("FAULT-12", "STO-5")
@pytest.mark.parametrize("replaces", [True, False])
def test_leftovers_of_a_longer_record_are_deleted_by_the_next_save_in_its_slot(replaces: bool) -> None:
    items, others = ScriptedItems(400, replaces=replaces), ScriptedItems(400, replaces=replaces)
    opened(items).save(long_record(1, chunks=6))
    longest = len(items.values)
    for generation in (2, 3):
        opened(items).save(long_record(generation, chunks=1))
        opened(others).save(long_record(generation, chunks=1))

    assert items.values == others.values
    assert longest > len(items.values)


@proves("FAULT-13", "STO-9")
def test_two_corrupt_slots_do_not_prevent_a_new_sign_in() -> None:
    items = ScriptedItems()
    items.values = {"0.0": "junk", "1.0": "fk1.00000000.r.1.0.1.x"}
    store = opened(items)

    assert store.load() == Snapshot(damaged=True)
    store.save(a_record(1))
    store.save(a_record(2))
    assert store.load() == Snapshot(record=a_record(2))


@pytest.mark.parametrize("write", ["intend", "save"])
@proves("FAULT-12", "STO-5", "STO-9")
def test_damaged_items_are_backed_up_before_they_are_overwritten(write: str, caplog: pytest.LogCaptureFixture) -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2, chunks=5))
    del items.values["0.2"]
    torn = [items.values[f"0.{index}"] for index in (0, 1, 3, 4)]

    if write == "intend":
        store.intend(an_intent(2))
    else:
        store.save(a_record(2))

    assert [items.values[f"aside.{place}"] for place in range(4)] == torn
    assert sorted(name for name in items.values if name.startswith("0.")) == ["0.0"]
    assert "'aside.0'" in caplog.text
    assert torn[0] not in caplog.text


@proves("FAULT-13", "STO-9")
def test_only_the_last_backup_is_kept_and_sign_out_deletes_it() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    items.values = {"1.0": "junk", "1.1": "more of it", "1.2": "and more"}
    store.save(a_record(1))
    items.values["0.0"] = "rubbish"
    store.save(a_record(2))
    assert {name: items.values[name] for name in items.values if "aside" in name} == {"aside.0": "rubbish"}

    store.save(a_record(3, payload=None))

    assert list(items.values) == ["1.0"]


def test_crash_during_the_backup_keeps_the_slot_marked_as_damaged() -> None:
    """A crash between the backup and writing the intent must not make a spent token look unused."""
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2, chunks=4))
    del items.values["0.3"]
    before = dict(items.values)
    for steps in range(12):
        items.values, items.steps_left = dict(before), steps
        try:
            store.intend(an_intent(2))
        except Crashed:
            items.steps_left = None
            assert store.load() == Snapshot(record=long_record(1), damaged=True)
            continue
        items.steps_left = None
        assert store.load() == Snapshot(record=long_record(1), intent=an_intent(2))
        return
    raise AssertionError("more steps than expected")


def test_record_is_saved_even_if_damaged_items_cannot_be_backed_up(caplog: pytest.LogCaptureFixture) -> None:
    items = ScriptedItems()

    def refuse(name: str, other: str) -> str:
        raise StoreUnavailable("no room")

    store = SlottedStore(items, OpenLock(), copy=refuse)
    items.values["1.0"] = "junk"

    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))
    assert "no room" in caplog.text


@proves("FAULT-12", "STO-5")
@pytest.mark.parametrize("missing", ["1.0", "1.1", "1.3"])
def test_sign_out_deletes_secrets_beyond_a_missing_item(missing: str) -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1, chunks=5))
    store.save(long_record(2))
    del items.values[missing]

    store.save(a_record(3, payload=None))

    left = [name for name in items.values if name != "1.0" and not (missing == "1.0" and name.startswith("1."))]
    assert left == []


class DamagedItems(ScriptedItems):
    """Items that detect corruption themselves."""

    def get(self, name: str) -> str | None:
        if name == "0.0":
            raise RecordUnreadable("corrupt")
        return super().get(name)


def test_item_that_the_store_reports_as_corrupt_is_a_torn_slot() -> None:
    items = DamagedItems()
    opened(items).save(a_record(1))

    assert opened(items).load() == Snapshot(record=a_record(1), damaged=True)


@proves("FAULT-13", "STO-9")
def test_record_of_a_newer_freshkey_is_neither_read_nor_overwritten() -> None:
    """STO-9."""
    items = ScriptedItems()
    opened(items).save(a_record(1))
    items.values["0.0"] = "fk2.f60d4a57.whatever"
    before = dict(items.values)

    for action in (
        lambda: opened(items).load(),
        lambda: opened(items).save(a_record(2)),
        lambda: opened(items).intend(an_intent(2)),
        lambda: opened(items).probe(),
    ):
        with raises_code(RecordUnreadable, "record-too-new"):
            action()
    assert items.values == before


@pytest.mark.parametrize(
    "write",
    [lambda store: store.save(a_record(1)), lambda store: store.intend(an_intent(1)), SlottedStore.probe],
    ids=["save", "intend", "probe"],
)
def test_store_that_does_not_keep_writes_is_detected(write: Callable[[SlottedStore], None]) -> None:
    """STO-4: as with the null backend of keyring."""
    items = ScriptedItems()
    items.forgets = True

    with raises_code(StoreUnavailable, "write-not-kept") as caught:
        write(opened(items))
    assert "scripted" in str(caught.value)


def test_probe_leaves_nothing_behind() -> None:
    items = ScriptedItems()
    opened(items).probe()

    assert items.values == {}


def test_error_of_the_items_is_passed_on() -> None:
    items = ScriptedItems()
    items.refuses_to_read = True

    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        opened(items).load()
    assert caught.value.message == "locked"


class BusyItems(ScriptedItems):
    """Returns partial strings for the next few reads, as during a concurrent write."""

    half_written = 0

    def get(self, name: str) -> str | None:
        if self.half_written:
            self.half_written -= 1
            return "half of it"
        return super().get(name)


def test_reader_retries_during_a_concurrent_write_before_reporting_damage() -> None:
    items = BusyItems()
    opened(items).save(a_record(1))
    items.half_written = 2

    assert opened(items).load() == Snapshot(record=a_record(1))


def test_lock_is_released_only_when_no_call_is_in_progress() -> None:
    events: list[str] = []
    pending: list[Callable[[], None]] = []

    class NotedLock:
        def acquire(self, timeout: float) -> Callable[[], None]:
            events.append(f"acquired within {timeout:g}")
            return lambda: events.append("released")

    store = SlottedStore(ScriptedItems(), NotedLock(), when_idle=pending.append)
    with store.lock(2.5):
        events.append("inside")

    assert events == ["acquired within 2.5", "inside"]
    pending[0]()
    assert events[-1] == "released"


def test_lock_is_released_after_an_error() -> None:
    released = threading.Event()

    class NotedLock:
        def acquire(self, timeout: float) -> Callable[[], None]:
            return released.set

    with pytest.raises(ZeroDivisionError), SlottedStore(ScriptedItems(), NotedLock()).lock(0):
        raise ZeroDivisionError

    assert released.is_set()


class ThreeClients(RuleBasedStateMachine):
    """ROT-2: three clients read, intend and save in any order and crash anywhere; the generation never decreases."""

    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.items = ScriptedItems(400, replaces=False)
        self.highest = 0
        self.payloads: dict[int, str] = {}

    @rule(target=snapshots)
    def read(self) -> int:
        return opened(self.items).load().generation

    @rule(seen=snapshots)
    def intend(self, seen: int) -> None:
        try:
            opened(self.items).intend(an_intent(seen + 1))
        except GenerationConflict:
            assert seen < self.highest

    @rule(seen=consumes(snapshots), length=st.integers(1, 900), steps=st.none() | st.integers(0, 9))
    def save(self, seen: int, length: int, steps: int | None) -> None:
        payload = "x" * length
        self.items.steps_left = steps
        try:
            opened(self.items).save(evolve(a_record(seen + 1), payload=Secret(payload)))
        except GenerationConflict:
            assert seen < self.highest
        except Crashed:
            pass
        finally:
            self.items.steps_left = None
        found = opened(self.items).load()
        if found.generation > self.highest:
            assert found.record == evolve(a_record(seen + 1), payload=Secret(payload))
            self.highest = found.generation
            self.payloads[self.highest] = payload

    @invariant()
    def nothing_is_lost(self) -> None:
        found = opened(self.items).load()
        assert found.generation == self.highest
        assert not found.damaged
        if found.record is not None:
            assert found.record.payload == Secret(self.payloads[self.highest])


TestThreeClients = ThreeClients.TestCase
