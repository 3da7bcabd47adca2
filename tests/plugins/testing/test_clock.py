from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from freshkey.clock import Clock
from freshkey_testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=1_000_000.0, elapsed=50.0)


def in_thread(act: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    return thread, results


def test_the_clock_stands_still(clock: ManualClock) -> None:
    as_clock: Clock = clock
    assert as_clock.now() == as_clock.now()
    assert (clock.now().wall, clock.now().elapsed, clock.elapsed()) == (1_000_000.0, 50.0, 50.0)


def test_advance_moves_both_clocks(clock: ManualClock) -> None:
    before = clock.now()
    clock.advance(2.5)
    after = clock.now()
    assert (after.wall - before.wall, after.elapsed - before.elapsed) == (2.5, 2.5)
    assert after.boot_id == before.boot_id


def test_elapsed_time_cannot_go_back(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="step_wall"):
        clock.advance(-1)
    assert clock.now().wall == 1_000_000.0


def test_a_wall_clock_step_does_not_change_elapsed_time(clock: ManualClock) -> None:
    clock.step_wall(-3600)
    assert (clock.now().wall, clock.now().elapsed) == (996_400.0, 50.0)


def test_a_reboot_restarts_elapsed_time_with_another_boot_id(clock: ManualClock) -> None:
    before = clock.now()
    clock.reboot(off=60)
    after = clock.now()
    assert after.boot_id != before.boot_id
    assert after.elapsed < before.elapsed
    assert after.wall == before.wall + 60


def test_wait_ends_when_the_event_is_set(clock: ManualClock) -> None:
    event = threading.Event()
    thread, results = in_thread(lambda: clock.wait(event, 1e9))
    clock.wait_until_waiting()
    event.set()
    thread.join(10)
    assert results == [True]
    assert clock.waiters() == ()


def test_wait_ends_only_when_manual_time_has_passed(clock: ManualClock) -> None:
    event = threading.Event()
    thread, results = in_thread(lambda: clock.wait(event, 30))
    assert clock.wait_until_waiting() == (30.0,)
    clock.advance(29)
    assert clock.waiters() == (1.0,)
    clock.advance(1)
    assert clock.waiters() == ()  # advance returned, so the thread has left wait()
    thread.join(10)
    assert results == [False]


def test_a_wait_of_zero_seconds_does_not_block(clock: ManualClock) -> None:
    event = threading.Event()
    assert clock.wait(event, 0) is False
    event.set()
    assert clock.wait(event, 100) is True


def test_advance_wakes_only_threads_that_are_due(clock: ManualClock) -> None:
    event = threading.Event()
    threads = [in_thread(lambda timeout=timeout: clock.wait(event, timeout)) for timeout in (5.0, 5.0, 20.0)]  # type: ignore[misc]
    clock.wait_until_waiting(3)
    clock.advance(10)
    assert clock.waiters() == (10.0,)
    event.set()
    for thread, _ in threads:
        thread.join(10)
    assert [results for _, results in threads] == [[False], [False], [True]]


def test_waiting_threads_do_not_notice_time_spent_suspended(clock: ManualClock) -> None:
    event = threading.Event()
    thread, _ = in_thread(lambda: clock.wait(event, 30))
    clock.wait_until_waiting()
    clock.suspend(3600)
    assert clock.waiters() == (30.0,)
    assert (clock.now().wall, clock.now().elapsed) == (1_003_600.0, 3650.0)
    clock.advance(30)
    thread.join(10)
    assert not thread.is_alive()


def test_wait_until_waiting_times_out(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey_testing.clock._WAIT_TIMEOUT", 0.01)
    with pytest.raises(TimeoutError, match="2"):
        clock.wait_until_waiting(2)
