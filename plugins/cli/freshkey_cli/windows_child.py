"""Runs a program on Windows as if it had replaced this process: with its streams, console events, end and exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from freshkey.admin import find_users_program, start_bound
from freshkey_cli import console_events


NO_PROGRAM: Final = 193
"""ERROR_BAD_EXE_FORMAT."""

if sys.platform == "win32":
    import ctypes
    import subprocess

    def run(words: Sequence[str], environ: dict[str, str]) -> int:
        """Run a program and return its exit code, for `sys.exit`.

        Args:
            words: The program, looked up on the ``PATH`` of `environ`, and its arguments.
            environ: Its complete environment; emptied once it runs, because it has a credential.

        Raises:
            FileNotFoundError: There is no such program.
            OSError: Windows does not run it.
            ConfigurationError: It is a batch file, which cannot be given these arguments.
        """
        program = _found(words[0], environ)
        child: subprocess.Popen[bytes] | None = None

        def handle(event: int) -> bool:
            # The console tells the child, too, and it decides what Ctrl-C means. When the console closes, Windows ends
            # this process, and with it the child, as soon as this returns.
            if event in console_events.ENDING and child is not None:
                child.wait()
            return True

        with console_events.handled(handle):
            child = start_bound([program, *words[1:]], environ)
            environ.clear()
            code = child.wait()
        return ctypes.c_int32(code).value  # as `sys.exit` takes those from 2**31 up, such as 0xC000013A

    def _found(named: str, environ: dict[str, str]) -> str:
        found = find_users_program(named, environ)
        if found is not None:
            return found
        if os.path.dirname(named) and os.path.exists(named):  # noqa: PTH110, PTH120  an empty name must stay one
            raise ctypes.WinError(NO_PROGRAM)
        raise FileNotFoundError
