"""Waits for conditions, never for a fixed time, and checks that a process leaks nothing."""

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
"""Seconds after which to give up waiting, even on a busy machine."""


def until(condition: Callable[[], T], what: str = "the condition", *, pause: float = 0.005) -> T:
    """Block until a condition is true; return its value.

    Args:
        condition: Called repeatedly until it returns a true value.
        what: Description of the condition for the error.
        pause: Seconds between two calls.
    """
    end = time.monotonic() + PATIENCE
    while not (said := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain for {what}"
        time.sleep(pause)
    return said


def end_renewals() -> None:
    """Let renewals finish: one that waits for manual time would otherwise wait until the end of the test run."""
    moment = time.monotonic() + 0.2

    def over() -> bool:
        if not any(thread.name.startswith("freshkey renewal") for thread in threading.enumerate()):
            return True
        # Most end quickly. It is unknown which clock the others wait for, and searching all objects is slow.
        if time.monotonic() > moment:
            for clock in [thing for thing in gc.get_objects() if issubclass(type(thing), ManualClock)]:
                clock.advance(60.0)
        return False

    until(over, "all renewals to end")


def open_files() -> list[str]:
    """Return the open files of this process, if the system lists them."""
    files = []
    for entry in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # the descriptor used for listing is closed by now
            files.append(str(entry.readlink()))
    return files


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """Fail unless this process soon has no more threads and file descriptors than before the block.

    Other threads, such as those of earlier tests, can open files briefly at any time, so additional files count only if
    they stay open, and the lowest of several counts before the block is used.
    """
    threads, before = set(threading.enumerate()), min((open_files() for _ in range(20)), key=len)
    yield
    until(lambda: not set(threading.enumerate()) - threads, "all new threads to end")
    with suppress(AssertionError):
        until(lambda: len(open_files()) <= len(before), "all new file descriptors to be closed")
        return
    raise AssertionError(f"leaked file descriptors: {sorted(open_files())} instead of {sorted(before)}")
