"""Processes that are started ahead and wait for a command: on Windows, which cannot fork, they are `Forge`'s children.

A start takes seconds there. So the next process is started while the last one works, and one that was only asked
something, without a fault, is asked again; it makes a new keeper for each command, and another process was killed.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


KILLED = 9
"""SIGKILL. Windows has no signals: `os.kill` ends a process there with this exit code, by TerminateProcess."""

SCRIPT = Path(__file__).with_name("crashing_process.py")
SUSPEND_RESUME = 0x0800
"""Access right to a process, PROCESS_SUSPEND_RESUME."""

HALTING = {"halting": True}
"""What a process says when it is to be halted; it goes on once it can read a line."""


class Warm:
    """A process that has everything imported, and waits for commands."""

    def __init__(self) -> None:
        command = [sys.executable, str(SCRIPT), "--wait"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def order(self, command: dict[str, Any]) -> None:
        """Send a command."""
        self._write(json.dumps(command))

    def until_halted(self) -> None:
        """Wait for the point at which it is to be halted, and halt it there with all its threads."""
        assert self.answer() == HALTING
        _control(self.pid, "NtSuspendProcess")
        self._write("")

    def answer(self) -> dict[str, Any] | None:
        """Return what it says next; None if it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else None

    def ended(self) -> int:
        """Let it end, and return its exit code."""
        self._process.communicate(timeout=20)
        return self._process.returncode

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


_waiting: list[Warm] = []


def take() -> Warm:
    """Return a process that waits for a command, and start the next one."""
    warm = _waiting.pop() if _waiting else Warm()
    if not _waiting:
        _waiting.append(Warm())
    return warm


def give_back(warm: Warm) -> None:
    """Let a process wait for its next command."""
    _waiting.append(warm)


@atexit.register
def end_all() -> None:
    """End all that still wait."""
    while _waiting:
        _waiting.pop().ended()


def kill(pid: int) -> None:
    """Kill a child, unless it has ended."""
    # Windows knows the ID of a child that has ended, and denies the access.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, KILLED)


def proceed(pid: int) -> None:
    """Let a halted process go on."""
    if sys.platform == "win32":
        _control(pid, "NtResumeProcess")
    else:
        os.kill(pid, signal.SIGCONT)


def _control(pid: int, function: str) -> None:
    """Call a function of ntdll for a process."""
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.OpenProcess(SUSPEND_RESUME, False, pid))
        assert handle, ctypes.WinError(ctypes.get_last_error())
        try:
            status: int = getattr(ctypes.WinDLL("ntdll"), function)(handle)
            assert status == 0, f"{function}: status {status & 0xFFFFFFFF:#x}"
        finally:
            kernel.CloseHandle(handle)
