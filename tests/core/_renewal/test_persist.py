"""Saving a record, however long that takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from freshkey._renewal import persist
from freshkey._stores.keychain import prompts
from freshkey.errors import GenerationConflict, StoreError, StoreUnavailable
from freshkey.model.storage import Intent, Record, Snapshot
from freshkey_testing import ManualClock
from raises_code import raises_code
from rotating import User, World, hints


RECORD = Record(generation=2, payload=None, written_at=0.0)


class Stubborn:
    """A store that fails to save until the clock reaches a time; each failing call takes some seconds."""

    kind = "stubborn"

    def __init__(self, clock: ManualClock, until: float, error: Exception | None = None, *, takes: float = 0.0) -> None:
        self.clock, self.until, self.takes = clock, until, takes
        self.error = error or StoreUnavailable("locked", code="keychain-locked")
        self.tries: list[float] = []
        self.prompting: list[bool] = []
        self.saved: list[Record] = []

    def save(self, record: Record) -> None:
        self.tries.append(self.clock.elapsed())
        self.prompting.append(not prompts.asker().background)
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
    """A clock that advances to the end of every wait."""

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


def test_working_store_is_called_once(clock: Ticking) -> None:
    store, told = Stubborn(clock, 0.0), list[StoreError]()
    save(store, told.append)
    assert (store.tries, store.saved, told) == ([0.0], [RECORD], [])


def test_store_that_recovers_in_time_is_not_reported(clock: Ticking) -> None:
    store, told = Stubborn(clock, 9.0), list[StoreError]()
    save(store, told.append)
    assert store.tries == [0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 10.0]
    assert told == []


def test_after_the_timeout_failure_is_reported_once_and_saving_continues(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0)
    told: list[tuple[float, str]] = []
    save(store, lambda error: told.append((clock.elapsed(), error.message)))
    assert told == [(10.0, "locked")]
    assert store.saved == [RECORD]
    assert store.tries[-3:] == [90.0, 95.0, 100.0], "at most every five seconds"


def test_keychain_may_prompt_only_while_callers_wait_for_the_save(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0)
    save(store, lambda error: None)
    assert [at for at, prompting in zip(store.tries, store.prompting, strict=True) if prompting][-1] == 10.0
    assert store.prompting.count(False) == 18


def test_slow_store_is_tried_once_more_at_the_timeout(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0, takes=1.9)
    told: list[float] = []
    save(store, lambda error: told.append(clock.elapsed()))
    assert store.tries[:5] == pytest.approx([0.0, 2.15, 4.55, 7.45, 10.0])
    assert told == pytest.approx([11.9])


def test_newer_generation_in_the_store_stops_saving(clock: Ticking) -> None:
    store = Stubborn(clock, 100.0, GenerationConflict("newer"))
    with raises_code(GenerationConflict, "generation-conflict"):
        save(store, lambda error: None)
    assert store.tries == [0.0]


def test_exception_of_a_broken_store_does_not_lose_the_sign_in(clock: Ticking) -> None:
    store, told = Stubborn(clock, 20.0, KeyError("at-canary")), list[StoreError]()
    save(store, told.append)
    assert store.saved == [RECORD]
    (error,) = told
    assert error.code == "store-broken"
    assert "KeyError in test_persist.py" in error.message
    assert "at-canary" not in str(error)


@pytest.mark.parametrize("takes", [0.0, 1.9])
def test_exiting_interpreter_waits_only_for_the_timeout_and_logs_the_loss(
    clock: Ticking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, takes: float
) -> None:
    monkeypatch.setattr(persist, "process_is_exiting", lambda: True)
    store, told = Stubborn(clock, 100.0, takes=takes), list[StoreError]()
    with raises_code(StoreUnavailable, "keychain-locked"):
        save(store, told.append)
    assert store.tries[-1] == pytest.approx(10.0)
    assert told == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "[keychain-locked]" in caplog.text


def test_hints_say_whether_anyone_is_signed_in(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    assert (hints(world).signed_out, hints(world).may_be_signed_in) == (True, False)
    keeper.login("me", interaction=User())
    assert (hints(world).signed_out, hints(world).may_be_signed_in) == (False, True)
