"""The system clocks: elapsed time that includes suspend, the wall clock, and the boot id (TIM-1, TIM-2)."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from freshkey import clock
from freshkey.clock import SYSTEM, Clock, Moment, utc_time
from promises import proves


def test_the_system_clock_is_a_clock() -> None:
    as_clock: Clock = SYSTEM
    assert isinstance(as_clock.elapsed(), float)


def test_elapsed_time_moves_forward_at_the_right_speed() -> None:
    before, reference = SYSTEM.elapsed(), time.monotonic()
    time.sleep(0.05)
    passed, expected = SYSTEM.elapsed() - before, time.monotonic() - reference
    assert passed == pytest.approx(expected, abs=0.05)
    assert passed >= 0.05


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME exists only on Linux")
def test_elapsed_time_is_boottime_on_linux() -> None:  # TIM-2
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SYSTEM.elapsed() <= time.clock_gettime(time.CLOCK_BOOTTIME)


SUSPENDED = "import time; from freshkey.clock import SYSTEM; print(SYSTEM.elapsed() - time.monotonic() > 86_000)"


@proves("FAULT-45", "TIM-2")
def test_elapsed_time_includes_suspend() -> None:
    # In its own time namespace, a process sees a machine that was suspended for a day (time_namespaces(7)).
    slept = ["unshare", "--time", "--boottime", "86400", "--fork"]
    try:
        subprocess.run([*slept, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("time namespaces need Linux and root")
    done = subprocess.run([*slept, sys.executable, "-c", SUSPENDED], check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"


def test_now_reads_both_clocks_and_the_boot_id() -> None:  # TIM-1
    before = (time.time(), SYSTEM.elapsed())
    moment = SYSTEM.now()
    after = (time.time(), SYSTEM.elapsed())
    assert before[0] <= moment.wall <= after[0]
    assert before[1] <= moment.elapsed <= after[1]
    assert moment.boot_id == SYSTEM.now().boot_id != ""


def test_moment_converts_to_aware_utc() -> None:
    moment = Moment(1_767_225_600.0, 5.0, "boot")
    assert moment.utc == datetime(2026, 1, 1, tzinfo=UTC)
    assert moment.utc.tzinfo is UTC


@pytest.mark.parametrize(
    ("wall", "time"),
    [
        (-1.0, "1969-12-31 23:59:59+00:00"),
        (0.0, "1970-01-01 00:00:00+00:00"),
        (1_767_225_600.25, "2026-01-01 00:00:00.250000+00:00"),
        (32_536_850_400.0, "3001-01-19 22:00:00+00:00"),
        (253_402_300_799.0, "9999-12-31 23:59:59+00:00"),
        (253_402_300_800.0, "9999-12-31 23:59:59.999999+00:00"),
        (1e300, "9999-12-31 23:59:59.999999+00:00"),
        (math.inf, "9999-12-31 23:59:59.999999+00:00"),
        (-1e15, "0001-01-01 00:00:00+00:00"),
    ],
)
def test_every_wall_clock_converts_to_utc_on_every_system(wall: float, time: str) -> None:
    assert str(utc_time(wall)) == str(Moment(wall, 5.0, "boot").utc) == time


def test_processes_of_one_boot_have_the_same_boot_id() -> None:  # TIM-1
    program = "from freshkey.clock import SYSTEM; print(SYSTEM.now().boot_id)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == SYSTEM.now().boot_id


def test_fallback_boot_id_is_unique_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(clock, "_system_boot_id", missing)
    first, second = (clock._boot_id.__wrapped__() for _ in range(2))
    assert first.startswith("process-")
    assert first != second


def test_waiting_ends_with_the_event_or_the_timeout() -> None:
    event = threading.Event()
    assert not SYSTEM.wait(event, 0.01)
    threading.Timer(0.01, event.set).start()
    assert SYSTEM.wait(event, 30.0)
