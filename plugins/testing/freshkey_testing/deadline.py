"""Ends checks of a contract kit that hang, with a sentence that says where."""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeVar

import pytest


DEADLINE: Final = 30.0
"""Default of a contract's attribute `deadline`, in seconds."""

T = TypeVar("T", bound=type)


def bounded(contract: T) -> T:
    """Let each check of a contract fail after its attribute `deadline`; it goes on by itself, on a daemon thread.

    A kit is not a place for a plugin that asks its author to wait: in CI, a check that hangs ends with the job, and
    nothing says which one it was.
    """
    for name, check in list(vars(contract).items()):
        if name.startswith("test_"):
            setattr(contract, name, _bounded(check))
    return contract


def _bounded(check: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(check)
    def wrapper(self: object, *arguments: object, **fixtures: object) -> None:
        outcome: list[BaseException | None] = []

        def run() -> None:
            try:
                check(self, *arguments, **fixtures)
            except BaseException as error:  # noqa: BLE001  raised below, on the test's own thread
                outcome.append(error)
            else:
                outcome.append(None)

        seconds = getattr(self, "deadline", DEADLINE)
        thread = threading.Thread(target=run, name=check.__name__, daemon=True)
        thread.start()
        thread.join(seconds)
        if not outcome:
            pytest.fail(f"still running after {seconds:g} s, in {_place(thread)}: give each wait there a time limit")
        if outcome[0] is not None:
            raise outcome[0]

    return wrapper


def frames_of_threads() -> dict[int, FrameType]:
    """Return the innermost frame of each thread, by its `threading.Thread.ident`."""
    # A garbage collection within the call may free a `threading.local`, which then waits for ever for a lock that the
    # call holds; some versions of Python see to it themselves (gh-106883).
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001  the only way to look at another thread
    finally:
        if collects:
            gc.enable()


def _place(thread: threading.Thread) -> str:
    """Return the innermost function of a thread that does not belong to Python itself."""
    frame = frames_of_threads().get(thread.ident or 0)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "?"))
        if module.partition(".")[0] not in {*sys.stdlib_module_names, "pluggy"}:
            return f"{frame.f_code.co_name} ({module}, line {frame.f_lineno})"
        frame = frame.f_back
    return "a thread that has ended"
