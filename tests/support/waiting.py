"""Waits for conditions, never for a time, and counts what a process holds once it is at rest."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from freshkey_testing import ManualClock


T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which what did not come about never will, also on a machine under load."""


def until(condition: Callable[[], T], what: str = "the condition", *, pause: float = 0.005) -> T:
    """Block until a condition that something else brings about holds; return what it said.

    Args:
        condition: Asked again and again until it says something true.
        what: How to call it in the error.
        pause: Seconds between two questions.
    """
    end = time.monotonic() + PATIENCE
    while not (said := condition()):
        assert time.monotonic() < end, f"{what} did not come about within {PATIENCE:.0f} s"
        time.sleep(pause)
    return said


def end_renewals() -> None:
    """Let renewals come to their end: one that waits for manual time would wait as long as the test run lasts."""
    moment = time.monotonic() + 0.2

    def over() -> bool:
        if not any(thread.name.startswith("freshkey renewal") for thread in threading.enumerate()):
            return True
        # Most end within a moment. Nothing says whose clock the others wait for, and a look at all objects is slow.
        if time.monotonic() > moment:
            for clock in [thing for thing in gc.get_objects() if issubclass(type(thing), ManualClock)]:
                clock.advance(60.0)
        return False

    until(over, "the end of all renewals")


def open_files() -> list[str]:
    """Return what this process has open by descriptor, where the system lists it."""
    files = []
    for entry in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # the listing's own descriptor is gone by now
            files.append(str(entry.readlink()))
    return files


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """Fail unless this process has soon no more threads and descriptors than before the block.

    Other threads, those of earlier tests among them, open a file for a moment whenever they like: a surplus counts only
    if it lasts, and one that is there before counts as little.
    """
    threads, before = set(threading.enumerate()), min((open_files() for _ in range(20)), key=len)
    yield
    until(lambda: not set(threading.enumerate()) - threads, "the end of all new threads")
    with suppress(AssertionError):
        until(lambda: len(open_files()) <= len(before), "the end of all new descriptors")
        return
    raise AssertionError(f"more is open than before: {sorted(open_files())} instead of {sorted(before)}")
