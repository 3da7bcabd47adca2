"""The slotted store: whatever breaks, and wherever, one complete generation stays readable."""

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
from matrix import row
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
def test_what_is_saved_is_loaded_generation_after_generation(items: Callable[[], ScriptedItems]) -> None:
    store = opened(items())

    for generation in range(1, 6):
        record = long_record(generation, chunks=6 - generation)
        store.save(record)
        assert store.load() == Snapshot(record=record)


@row(11, "STO-5")
@KINDS
def test_a_crash_at_any_step_of_a_save_leaves_the_generation_before_or_the_new_one(
    items: Callable[[], ScriptedItems],
) -> None:
    """STO-5, rows 11 and 12."""
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
def test_a_crash_after_an_intent_leaves_the_record_and_the_intent(items: Callable[[], ScriptedItems]) -> None:
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


def test_the_result_resolves_its_intent() -> None:
    store = opened(ScriptedItems())
    store.intend(an_intent(1))
    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))


def test_an_intent_may_be_written_again_with_one_attempt_more() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))
    store.intend(an_intent(2))
    store.intend(an_intent(2, attempts=2))

    assert store.load().intent == an_intent(2, attempts=2)


def test_a_withdrawn_intent_is_gone_with_all_that_was_in_its_slot() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2))
    store.intend(an_intent(3))

    store.withdraw(an_intent(3))

    assert store.load() == Snapshot(record=long_record(2))
    assert all(name.startswith("0.") for name in items.values)


def test_withdrawing_late_removes_no_record() -> None:
    store = opened(ScriptedItems())
    store.intend(an_intent(1))
    store.save(a_record(1))

    store.withdraw(an_intent(1))

    assert store.load() == Snapshot(record=a_record(1))


@pytest.mark.parametrize("generation", [1, 2])
def test_nothing_that_is_not_newer_is_ever_written(generation: int) -> None:
    """ROT-2."""
    items = ScriptedItems()
    store = opened(items)
    store.save(a_record(1))
    store.save(a_record(2))
    before = dict(items.values)

    with pytest.raises(GenerationConflict, match="already holds generation 2"):
        store.save(a_record(generation, "another secret"))
    with pytest.raises(GenerationConflict):
        store.intend(an_intent(generation))

    assert items.values == before


def test_saving_the_same_record_once_more_is_no_conflict() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))

    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))


def test_signing_out_leaves_a_tombstone_and_no_secret() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2, chunks=5))

    store.save(a_record(3, payload=None))

    assert store.load() == Snapshot(record=a_record(3, payload=None))
    assert list(items.values) == ["1.0"]


def test_a_tombstone_that_could_not_remove_the_secrets_says_so_and_can_be_saved_again() -> None:
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


def test_signing_in_after_signing_out_is_newer() -> None:
    store = opened(ScriptedItems())
    store.save(a_record(1))
    store.save(a_record(2, payload=None))
    store.save(a_record(3))

    assert store.load() == Snapshot(record=a_record(3))


@row(12, "STO-5")
def test_a_torn_newer_slot_is_reported_and_overwritten_by_the_next_save() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1))
    store.save(long_record(2))
    del items.values["0.1"]

    assert store.load() == Snapshot(record=long_record(1), damaged=True)
    store.save(long_record(2, chunks=1))
    assert store.load() == Snapshot(record=long_record(2, chunks=1))


@row(12, "STO-5")
@pytest.mark.parametrize("replaces", [True, False])
def test_remains_of_a_longer_record_are_swept_by_the_next_save_in_its_slot(replaces: bool) -> None:
    items, others = ScriptedItems(400, replaces=replaces), ScriptedItems(400, replaces=replaces)
    opened(items).save(long_record(1, chunks=6))
    longest = len(items.values)
    for generation in (2, 3):
        opened(items).save(long_record(generation, chunks=1))
        opened(others).save(long_record(generation, chunks=1))

    assert items.values == others.values
    assert longest > len(items.values)


@row(13, "STO-9")
def test_two_corrupt_slots_are_damage_without_a_record_and_stop_nobody_from_signing_in() -> None:
    items = ScriptedItems()
    items.values = {"0.0": "junk", "1.0": "fk1.00000000.r.1.0.1.x"}
    store = opened(items)

    assert store.load() == Snapshot(damaged=True)
    store.save(a_record(1))
    store.save(a_record(2))
    assert store.load() == Snapshot(record=a_record(2))


@pytest.mark.parametrize("write", ["intend", "save"])
@row(12, "STO-5", "STO-9")
def test_what_is_damaged_is_set_aside_before_it_is_overwritten(write: str, caplog: pytest.LogCaptureFixture) -> None:
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
    assert "'aside.0' of the same store" in caplog.text
    assert torn[0] not in caplog.text


@row(13, "STO-9")
def test_only_the_last_damage_is_kept_and_signing_out_removes_it() -> None:
    items = ScriptedItems(400)
    store = opened(items)
    items.values = {"1.0": "junk", "1.1": "more of it", "1.2": "and more"}
    store.save(a_record(1))
    items.values["0.0"] = "rubbish"
    store.save(a_record(2))
    assert {name: items.values[name] for name in items.values if "aside" in name} == {"aside.0": "rubbish"}

    store.save(a_record(3, payload=None))

    assert list(items.values) == ["1.0"]


def test_damage_stays_a_sign_until_its_slot_is_written_again() -> None:
    """A crash after setting aside, before the intent is written, must not make a spent token look unspent."""
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


def test_a_renewal_goes_on_where_damage_cannot_be_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    items = ScriptedItems()

    def refuse(name: str, other: str) -> str:
        raise StoreUnavailable("no room")

    store = SlottedStore(items, OpenLock(), copy=refuse)
    items.values["1.0"] = "junk"

    store.save(a_record(1))

    assert store.load() == Snapshot(record=a_record(1))
    assert "cannot be set aside: no room" in caplog.text


@row(12, "STO-5")
@pytest.mark.parametrize("missing", ["1.0", "1.1", "1.3"])
def test_signing_out_leaves_no_secret_beyond_a_missing_item(missing: str) -> None:
    items = ScriptedItems(400)
    store = opened(items)
    store.save(long_record(1, chunks=5))
    store.save(long_record(2))
    del items.values[missing]

    store.save(a_record(3, payload=None))

    left = [name for name in items.values if name != "1.0" and not (missing == "1.0" and name.startswith("1."))]
    assert left == []


class DamagedItems(ScriptedItems):
    """Tells by itself which strings are corrupt."""

    def get(self, name: str) -> str | None:
        if name == "0.0":
            raise RecordUnreadable("corrupt")
        return super().get(name)


def test_a_string_that_its_own_store_calls_corrupt_is_a_torn_slot() -> None:
    items = DamagedItems()
    opened(items).save(a_record(1))

    assert opened(items).load() == Snapshot(record=a_record(1), damaged=True)


@row(13, "STO-9")
def test_what_a_newer_freshkey_wrote_is_neither_read_nor_overwritten() -> None:
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
        with pytest.raises(RecordUnreadable, match="newer freshkey"):
            action()
    assert items.values == before


@pytest.mark.parametrize(
    "write",
    [lambda store: store.save(a_record(1)), lambda store: store.intend(an_intent(1)), SlottedStore.probe],
    ids=["save", "intend", "probe"],
)
def test_a_store_that_forgets_is_found_out(write: Callable[[SlottedStore], None]) -> None:
    """STO-4: what the null backend of keyring does."""
    items = ScriptedItems()
    items.forgets = True

    with pytest.raises(StoreUnavailable, match="did not keep"):
        write(opened(items))


def test_the_probe_leaves_nothing_behind() -> None:
    items = ScriptedItems()
    opened(items).probe()

    assert items.values == {}


def test_the_store_that_cannot_be_read_says_so() -> None:
    items = ScriptedItems()
    items.refuses_to_read = True

    with pytest.raises(StoreUnavailable, match="locked"):
        opened(items).load()


class BusyItems(ScriptedItems):
    """Shows the next strings that are read as torn by a writer at work."""

    half_written = 0

    def get(self, name: str) -> str | None:
        if self.half_written:
            self.half_written -= 1
            return "half of it"
        return super().get(name)


def test_a_reader_that_meets_a_writer_looks_again_before_it_speaks_of_damage() -> None:
    items = BusyItems()
    opened(items).save(a_record(1))
    items.half_written = 2

    assert opened(items).load() == Snapshot(record=a_record(1))


def test_the_lock_is_released_only_when_no_call_is_under_way() -> None:
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


def test_the_lock_is_released_after_an_error_too() -> None:
    released = threading.Event()

    class NotedLock:
        def acquire(self, timeout: float) -> Callable[[], None]:
            return released.set

    with pytest.raises(ZeroDivisionError), SlottedStore(ScriptedItems(), NotedLock()).lock(0):
        raise ZeroDivisionError

    assert released.is_set()


class ThreeClients(RuleBasedStateMachine):
    """ROT-2: clients of one store read, spend and save in any order and die anywhere; no generation ever goes back."""

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
