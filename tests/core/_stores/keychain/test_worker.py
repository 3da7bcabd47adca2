"""The keychain's worker thread: one call at a time, with a deadline; an overdue call runs until it returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import StoreUnavailable
from raises_code import raises_code
from waiting import leaving_nothing


@pytest.fixture
def worker() -> SerialWorker:
    return SerialWorker("test-worker")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that is set at the end of the test, so that no thread is left behind."""
    opened = threading.Event()
    yield opened
    opened.set()


def hang(worker: SerialWorker, gate: threading.Event, result: list[str]) -> None:
    """Start a call that outlives its deadline."""

    def work() -> None:
        gate.wait(20)
        result.append("late")

    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        worker.call(work, 0.05)
    assert "0.05 s" in str(caught.value)


def test_call_returns_the_result_or_raises_the_exception_of_the_work(worker: SerialWorker) -> None:
    assert worker.call(lambda: 42, 5) == 42
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0, 5)
    with pytest.raises(SystemExit):
        worker.call(lambda: exec("raise SystemExit"), 5)  # noqa: S102  raises within an expression
    assert worker.call(lambda: 43, 5) == 43


def test_calls_run_on_one_daemon_thread(worker: SerialWorker) -> None:
    threads = {worker.call(threading.current_thread, 5) for _ in range(3)}

    assert len(threads) == 1
    assert [(thread.name, thread.daemon) for thread in threads] == [("test-worker", True)]


def test_calls_from_many_threads_never_overlap(worker: SerialWorker) -> None:
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


def test_calls_fail_immediately_while_an_overdue_call_runs(worker: SerialWorker, gate: threading.Event) -> None:
    """STO-3, FAULT-7, FAULT-9."""
    result: list[str] = []
    hang(worker, gate, result)
    started = time.monotonic()

    with leaving_nothing():
        for _ in range(20):
            with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
                worker.call(lambda: result.append("must not start"), 60)
            assert "earlier call" in str(caught.value)

    assert time.monotonic() - started < 50
    assert result == []


def test_calls_work_again_after_an_overdue_call_returned(worker: SerialWorker, gate: threading.Event) -> None:
    result: list[str] = []
    hang(worker, gate, result)
    idle = threading.Event()
    worker.when_idle(idle.set)

    gate.set()
    assert idle.wait(20)

    worker.call(lambda: result.append("next"), 5)
    assert result == ["late", "next"]


def test_when_idle_waits_for_an_overdue_call(worker: SerialWorker, gate: threading.Event) -> None:
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


def test_when_idle_runs_immediately_if_no_call_is_overdue(worker: SerialWorker, gate: threading.Event) -> None:
    events: list[str] = []
    worker.when_idle(lambda: events.append("before the first call"))
    caller = threading.Thread(target=worker.call, args=(lambda: gate.wait(20), 20))
    caller.start()
    worker.when_idle(lambda: events.append("during a call within its deadline"))

    assert events == ["before the first call", "during a call within its deadline"]
    gate.set()
    caller.join(20)


def test_call_waits_for_an_earlier_call_until_its_own_deadline(worker: SerialWorker, gate: threading.Event) -> None:
    started = threading.Event()

    def work() -> None:
        started.set()
        gate.wait(20)

    caller = threading.Thread(target=worker.call, args=(work, 20))
    caller.start()
    assert started.wait(20)

    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        worker.call(lambda: None, 0.05)
    assert "earlier call" in str(caught.value)
    gate.set()
    caller.join(20)


def test_finished_call_releases_all_references(worker: SerialWorker) -> None:
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


def test_worker_can_be_reset_in_a_forked_child(worker: SerialWorker, gate: threading.Event) -> None:
    """ROT-11: `start_over` is what runs in a forked child."""
    result: list[str] = []
    hang(worker, gate, result)

    worker.start_over()

    assert worker.call(lambda: "answer", 5) == "answer"


def test_error_says_why_no_thread_can_be_started(worker: SerialWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with raises_code(StoreUnavailable, "keychain-failed") as caught:
            worker.call(lambda: None, 5)
        assert "can't create new thread at interpreter shutdown" in str(caught.value)

    assert worker.call(lambda: 1, 5) == 1
