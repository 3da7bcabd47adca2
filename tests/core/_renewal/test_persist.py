"""Making a record durable, however long that takes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from freshkey._renewal import persist
from freshkey.errors import GenerationConflict, StoreError, StoreUnavailable
from freshkey.model.storage import Intent, Record, Snapshot
from freshkey_testing import ManualClock


RECORD = Record(generation=2, payload=None, written_at=0.0)


class Stubborn:
    """A store that refuses to save until the clock has come so far, and takes its time for that."""

    kind = "stubborn"

    def __init__(self, clock: ManualClock, until: float, error: Exception | None = None, *, takes: float = 0.0) -> None:
        self.clock, self.until, self.takes = clock, until, takes
        self.error = error or StoreUnavailable("locked")
        self.tries: list[float] = []
        self.saved: list[Record] = []

    def save(self, record: Record) -> None:
        self.tries.append(self.clock.elapsed())
        if self.clock.elapsed() < self.until:
            self.clock.advance(self.takes)
            raise self.error
        self.saved.append(record)

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        raise NotImplementedError
        yield

    def probe(self) -> None:
        raise NotImplementedError

    def load(self) -> Snapshot:
        raise NotImplementedError

    def intend(self, intent: Intent) -> None:
        raise NotImplementedError

    def withdraw(self, intent: Intent) -> None:
        raise NotImplementedError


class Ticking(ManualClock):
    """A clock that jumps to the end of every wait."""

    def __init__(self) -> None:
        super().__init__(elapsed=0.0)

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.advance(timeout)
        return event.is_set()


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


def save(store: Stubborn, told: Callable[[StoreError], None]) -> None:
    persist.save(store, RECORD, clock=store.clock, unsaved=told)


def test_a_store_that_works_is_asked_once(clock: Ticking) -> None:
    store, told = Stubborn(clock, 0.0), list[StoreError]()
    save(store, told.append)
    assert (store.tries, store.saved, told) == ([0.0], [RECORD], [])


def test_a_store_that_comes_back_in_time_is_nobodys_concern(clock: Ticking) -> None:
    store, told = Stubborn(clock, 9.0), list[StoreError]()
    save(store, told.append)
    assert store.tries == [0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 10.0]
    assert told == []


def test_after_the_patience_it_is_told_once_and_goes_on(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0)
    told: list[tuple[float, str]] = []
    save(store, lambda error: told.append((clock.elapsed(), error.message)))
    assert told == [(10.0, "locked")]
    assert store.saved == [RECORD]
    assert store.tries[-3:] == [90.0, 95.0, 100.0], "every five seconds at the most"


def test_a_slow_store_is_tried_once_more_at_the_end_of_the_patience(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0, takes=1.9)
    told: list[float] = []
    save(store, lambda error: told.append(clock.elapsed()))
    assert store.tries[:5] == pytest.approx([0.0, 2.15, 4.55, 7.45, 10.0])
    assert told == pytest.approx([11.9])


def test_a_newer_generation_in_the_store_ends_it(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0, GenerationConflict("newer"))
    with pytest.raises(GenerationConflict):
        save(store, lambda error: None)
    assert store.tries == [0.0]


def test_a_store_that_breaks_its_contract_does_not_cost_the_sign_in(clock: Ticking) -> None:
    store, told = Stubborn(clock, 20.0, KeyError("at-canary")), list[StoreError]()
    save(store, told.append)
    assert store.saved == [RECORD]
    (error,) = told
    assert re.fullmatch(r"the stubborn store broke its contract: KeyError in test_persist\.py, line \d+", error.message)


@pytest.mark.parametrize("takes", [0.0, 1.9])
def test_an_exiting_interpreter_is_held_up_for_the_patience_alone_and_the_loss_is_told(
    clock: Ticking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, takes: float
) -> None:
    monkeypatch.setattr(persist, "process_is_exiting", lambda: True)
    store, told = Stubborn(clock, 100.0, takes=takes), list[StoreError]()
    with pytest.raises(StoreUnavailable, match="locked"):
        save(store, told.append)
    assert store.tries[-1] == pytest.approx(10.0)
    assert told == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "is lost: " in caplog.text
