"""What is registered for the events of a Windows console: the callable itself, as the console would call it.

Nothing sends a process the end of its console without ending it, and Wine 8 sends none at all.
"""

from __future__ import annotations

import ctypes
import importlib.util
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from freshkey_cli import console_events
from waiting import PATIENCE, until


CTRL_C, CTRL_BREAK, CLOSE, LOGOFF, SHUTDOWN = 0, 1, 2, 5, 6
SIGBREAK = 21


class Console:
    """Stands in for kernel32: the handlers that are registered, the last one first."""

    def __init__(self) -> None:
        self.handlers: list[Callable[[int], bool]] = []

    def SetConsoleCtrlHandler(self, handler: Callable[[int], bool], add: bool) -> bool:  # noqa: N802
        if add:
            self.handlers.insert(0, handler)
        else:
            self.handlers.remove(handler)
        return True

    def handled(self, handle: Callable[[int], bool]) -> AbstractContextManager[None]:
        """Stand in for `console_events.handled`, which other systems do not have."""
        return as_on_windows("freshkey_cli.console_events").handled(handle)  # type: ignore[no-any-return]

    def on_a_thread(self, event: int) -> list[bool]:
        """Send an event; return a list that gets what the first handler returns."""
        returned: list[bool] = []
        threading.Thread(target=lambda: returned.append(bool(self.handlers[0](event))), daemon=True).start()
        return returned


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console()
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: console, raising=False)
    monkeypatch.setattr(ctypes, "WINFUNCTYPE", lambda *_: lambda handle: handle, raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", SIGBREAK, raising=False)
    monkeypatch.setattr(console_events, "handled", console.handled, raising=False)
    return console


def as_on_windows(name: str) -> Any:
    """Return a module of its own, run as if this were Windows."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    return module


def test_handler_gets_the_events_and_is_removed(console: Console) -> None:
    with console.handled(lambda event: event == CTRL_BREAK):
        assert [handler(event) for handler in console.handlers for event in (CTRL_C, CTRL_BREAK)] == [False, True]
    assert console.handlers == []


@pytest.mark.parametrize("event", [CLOSE, LOGOFF, SHUTDOWN])
def test_handler_that_ends_the_process_is_not_removed(console: Console, event: int) -> None:
    """Windows waits for a handler that runs before it removes one, so that this would never return."""
    with console.handled(lambda _: True):
        console.handlers[0](event)
    assert len(console.handlers) == 1


@pytest.mark.parametrize("event", [CLOSE, LOGOFF, SHUTDOWN])
def test_end_of_the_console_is_a_signal_and_leaves_time_for_it(
    console: Console, monkeypatch: pytest.MonkeyPatch, event: int
) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    with as_on_windows("freshkey_cli.process")._ending_console():
        returned = console.on_a_thread(event)
        until(lambda: raised)
        assert console.handlers[0](CTRL_C) is False
    assert (raised, returned) == ([SIGBREAK], [])


def test_end_of_the_console_is_left_to_windows_if_its_signal_is_ignored(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "raise_signal", lambda _: None)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    with as_on_windows("freshkey_cli.process")._ending_console():
        returned = console.on_a_thread(CLOSE)
        assert until(lambda: returned) == [False]


class Program:
    """A program that runs until it is told to end."""

    def __init__(self) -> None:
        self.ends = threading.Event()
        self.is_waited_for = threading.Semaphore(0)

    def wait(self) -> int:
        self.is_waited_for.release()
        assert self.ends.wait(PATIENCE)
        return 0xC000013A


def test_end_of_the_console_waits_for_the_program_and_ctrl_c_is_left_to_it(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, program, codes = as_on_windows("freshkey_cli.windows_child"), Program(), list[int]()
    monkeypatch.setattr(module, "find_users_program", lambda *_: "tool.exe")
    monkeypatch.setattr(module, "start_bound", lambda *_: program)
    environ = {"APP_TOKEN": "secret"}
    running = threading.Thread(target=lambda: codes.append(module.run(["tool"], environ)), daemon=True)
    running.start()
    assert program.is_waited_for.acquire(timeout=PATIENCE)
    assert environ == {}
    assert console.handlers[0](CTRL_C) is True
    returned = console.on_a_thread(CLOSE)
    assert program.is_waited_for.acquire(timeout=PATIENCE)
    assert returned == []
    program.ends.set()
    until(lambda: returned)
    running.join(PATIENCE)
    assert (returned, codes) == ([True], [0xC000013A - 2**32])


REGISTERED = """
import ctypes, sys, threading
from freshkey.clock import SYSTEM
from freshkey_cli import process

handlers = []
make = ctypes.WINFUNCTYPE

def kept(*types):
    def registered(function):
        handlers.append(make(*types)(function))
        return handlers[-1]
    return registered

ctypes.WINFUNCTYPE = kept
with process.orderly_signals(lambda: None):
    try:
        threading.Thread(target=handlers[-1], args=(2,), daemon=True).start()
        SYSTEM.wait(threading.Event(), 60)
    finally:
        print("closed", flush=True)
"""


@pytest.mark.skipif(sys.platform != "win32", reason="the callable as Windows calls it")
def test_command_ends_in_order_when_its_console_is_closed() -> None:
    done = subprocess.run([sys.executable, "-c", REGISTERED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (149, "closed\n", "")
