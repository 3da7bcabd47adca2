"""Runs a program on Windows as if it had replaced this process: with its streams, console events, end and exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from freshkey_cli import console_events, windows_program


_KILL_ON_CLOSE: Final = 0x2000
_SILENT_BREAKAWAY: Final = 0x1000
_EXTENDED_LIMITS: Final = 9  # JobObjectExtendedLimitInformation
_SET_QUOTA_AND_TERMINATE: Final = 0x0101  # what AssignProcessToJobObject needs

if sys.platform == "win32":
    import ctypes
    import subprocess
    from ctypes import wintypes

    def run(words: Sequence[str], environ: dict[str, str]) -> int:
        """Run a program and return its exit code, for `sys.exit`.

        Args:
            words: The program, looked up on the ``PATH`` of `environ`, and its arguments.
            environ: Its complete environment, with upper-case names; emptied once it runs, because it has a credential.

        Raises:
            FileNotFoundError: There is no such program.
            OSError: Windows does not run it.
            UnsafeArgumentError: It is a batch file, which cannot be passed these arguments.
        """
        program = windows_program.find(words[0], environ)
        if program is None:
            raise FileNotFoundError
        line: str | list[str] = list(words)
        if windows_program.is_batch(program) and os.path.isfile(program):  # noqa: PTH113
            line = f"cmd.exe {windows_program.batch_line(program, words[1:])}"
            program = _command_processor()
        job = _job()
        child: subprocess.Popen[bytes] | None = None

        def handle(event: int) -> bool:
            # The console tells the child, too, and it decides what Ctrl-C means. When the console closes, Windows ends
            # this process, and with it the job, as soon as this returns.
            if event in console_events.ENDING and child is not None:
                child.wait()
            return True

        with console_events.handled(handle):
            # Given as such, the three streams are all that it inherits.
            child = subprocess.Popen(  # noqa: S603  the user's own command
                line, executable=program, env=environ, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr
            )
            _assign(job, child.pid)
            environ.clear()
            code = child.wait()
        return ctypes.c_int32(code).value  # as `sys.exit` takes those from 2**31 up, such as 0xC000013A

    def _kernel() -> ctypes.WinDLL:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for function in (kernel.CreateJobObjectW, kernel.OpenProcess):
            function.restype = wintypes.HANDLE
        return kernel

    def _command_processor() -> str:
        """Return the path of ``cmd.exe``, not that of whatever ``COMSPEC`` names."""
        folder = ctypes.create_unicode_buffer(wintypes.MAX_PATH)
        _kernel().GetSystemDirectoryW(folder, len(folder))
        return os.path.join(folder.value, "cmd.exe")  # noqa: PTH118

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; only the flags are used."""

        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("working_set", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("counters", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    def _job() -> wintypes.HANDLE:
        """Return a job whose process ends when this process does, however it ends, because only it has the handle.

        As after an exec on other systems, what the program starts itself outlives it: it is not part of the job.
        """
        kernel = _kernel()
        job = wintypes.HANDLE(kernel.CreateJobObjectW(None, None))
        limits = _Limits(flags=_KILL_ON_CLOSE | _SILENT_BREAKAWAY)
        kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
        return job

    def _assign(job: wintypes.HANDLE, pid: int) -> None:
        kernel = _kernel()
        process = wintypes.HANDLE(kernel.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid))
        kernel.AssignProcessToJobObject(job, process)
        kernel.CloseHandle(process)
