"""The keychain's thread: one call at a time, a deadline for each, and no end to an overdue one but its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import StoreUnavailable
from waiting import leaving_nothing


@pytest.fixture
def worker() -> SerialWorker:
    return SerialWorker("test-worker")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end at the latest, so that no thread stays behind."""
    opened = threading.Event()
    yield opened
    opened.set()


def hang(worker: SerialWorker, gate: threading.Event, result: list[str]) -> None:
    """Start a call that outlives its deadline."""

    def work() -> None:
        gate.wait(20)
        result.append("late")

    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
        worker.call(work, 0.05)


def test_a_call_returns_what_the_work_returns_or_raises(worker: SerialWorker) -> None:
    assert worker.call(lambda: 42, 5) == 42
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0, 5)
    with pytest.raises(SystemExit):
        worker.call(lambda: exec("raise SystemExit"), 5)  # noqa: S102  the shortest work that raises
    assert worker.call(lambda: 43, 5) == 43


def test_all_calls_run_on_one_daemon_thread(worker: SerialWorker) -> None:
    threads = {worker.call(threading.current_thread, 5) for _ in range(3)}

    assert len(threads) == 1
    assert [(thread.name, thread.daemon) for thread in threads] == [("test-worker", True)]


def test_calls_of_many_threads_never_overlap(worker: SerialWorker) -> None:
    inside: list[int] = []
    counts: list[int] = []

    def work() -> None:
        inside.append(1)
        time.sleep(0.002)
        counts.append(len(inside))
        inside.pop()

    callers = [threading.Thread(target=worker.call, args=(work, 20)) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)

    assert counts == [1] * 20


def test_an_overdue_call_lets_its_caller_go_and_makes_later_ones_fail_at_once(
    worker: SerialWorker, gate: threading.Event
) -> None:
    """STO-3, rows 7 and 9."""
    result: list[str] = []
    hang(worker, gate, result)
    started = time.monotonic()

    with leaving_nothing():
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match="has not answered an earlier call"):
                worker.call(lambda: result.append("must not start"), 60)

    assert time.monotonic() - started < 50
    assert result == []


def test_after_the_overdue_call_has_returned_calls_work_again(worker: SerialWorker, gate: threading.Event) -> None:
    result: list[str] = []
    hang(worker, gate, result)
    idle = threading.Event()
    worker.when_idle(idle.set)

    gate.set()
    assert idle.wait(20)

    worker.call(lambda: result.append("next"), 5)
    assert result == ["late", "next"]


def test_somebody_who_waits_for_idleness_waits_for_the_overdue_call(
    worker: SerialWorker, gate: threading.Event
) -> None:
    result: list[str] = []
    hang(worker, gate, result)
    idle = threading.Event()

    def note() -> None:
        result.append("idle")
        idle.set()

    worker.when_idle(note)

    assert not idle.wait(0.05)
    gate.set()
    assert idle.wait(20)
    assert result == ["late", "idle"]


def test_idleness_is_at_once_where_nothing_is_overdue(worker: SerialWorker, gate: threading.Event) -> None:
    events: list[str] = []
    worker.when_idle(lambda: events.append("before the first call"))
    caller = threading.Thread(target=worker.call, args=(lambda: gate.wait(20), 20))
    caller.start()
    worker.when_idle(lambda: events.append("while somebody else's call is in time"))

    assert events == ["before the first call", "while somebody else's call is in time"]
    gate.set()
    caller.join(20)


def test_a_call_waits_for_its_turn_no_longer_than_its_own_deadline(worker: SerialWorker, gate: threading.Event) -> None:
    started = threading.Event()

    def work() -> None:
        started.set()
        gate.wait(20)

    caller = threading.Thread(target=worker.call, args=(work, 20))
    caller.start()
    assert started.wait(20)

    with pytest.raises(StoreUnavailable, match="has not answered an earlier call"):
        worker.call(lambda: None, 0.05)
    gate.set()
    caller.join(20)


def test_a_finished_call_is_forgotten_with_all_it_held(worker: SerialWorker) -> None:
    import gc
    import weakref

    class CacheEntry:
        pass

    held = CacheEntry()
    seen = weakref.ref(held)
    worker.call(lambda held=held: None, 5)  # type: ignore[misc]
    del held
    worker.call(lambda: None, 5)
    gc.collect()

    assert seen() is None


def test_a_forked_childs_copy_starts_over(worker: SerialWorker, gate: threading.Event) -> None:
    """ROT-11: this is what the child's hook calls."""
    result: list[str] = []
    hang(worker, gate, result)

    worker.start_over()

    assert worker.call(lambda: "answer", 5) == "answer"


def test_an_interpreter_that_is_exiting_and_starts_no_thread_is_explained(
    worker: SerialWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreUnavailable, match=r"cannot be asked: can.t create new thread at interpreter shutdown"):
            worker.call(lambda: None, 5)

    assert worker.call(lambda: 1, 5) == 1
