"""A user at a console window of Windows, who presses Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from waiting import PATIENCE


_OWN_CONSOLE: Final = 0x08000000  # CREATE_NO_WINDOW
_NO_CONSOLE: Final = 0x00000008  # DETACHED_PROCESS

_PRESS: Final = """
import ctypes, sys
kernel = ctypes.WinDLL("kernel32", use_last_error=True)
kernel.FreeConsole()
for call, words in (("AttachConsole", [int(sys.argv[1])]), ("SetConsoleCtrlHandler", [None, True]),
                    ("GenerateConsoleCtrlEvent", [0, 0])):
    if not getattr(kernel, call)(*words):
        sys.exit(f"{call}: error {ctypes.get_last_error()}")
"""
"""Only processes of the same console can do this. Wine 8 refuses to generate a Ctrl-Break."""


@contextmanager
def at_console(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a command with a console of its own, and with pipes."""
    with subprocess.Popen(
        command,
        env=None if environ is None else dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        creationflags=_OWN_CONSOLE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """Have the console send its Ctrl-C, as if the user had pressed it."""
    words = [sys.executable, "-c", _PRESS, str(process.pid)]
    done = subprocess.run(
        words,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
        creationflags=_NO_CONSOLE,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that the command prints."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
