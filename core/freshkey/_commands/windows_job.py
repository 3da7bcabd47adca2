"""A program on Windows in a job object, which ends together with all that it started, also if this process dies.

See docs/decisions.md, "On Windows, a helper and what it starts are one job".
"""

from __future__ import annotations

import sys


if sys.platform == "win32":
    import ctypes
    import subprocess
    from collections.abc import Mapping, Sequence
    from ctypes import wintypes
    from pathlib import Path
    from typing import Any, Final

    from freshkey._commands.batch_file import startable

    _CREATE_SUSPENDED: Final = 0x4
    _KILL_ON_JOB_CLOSE: Final = 0x2000
    _SILENT_BREAKAWAY: Final = 0x1000
    _EXTENDED_LIMITS: Final = 9
    """JobObjectExtendedLimitInformation."""

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of which only the flags are set."""

        _fields_ = (
            ("process_time", ctypes.c_int64),
            ("job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("least_memory", ctypes.c_size_t),
            ("most_memory", ctypes.c_size_t),
            ("most_processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
            ("transfers", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateJobObjectW.restype = wintypes.HANDLE
    _kernel.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
    _kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD)
    _kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    _kernel.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    # There is no documented function for a process whose thread's handle is gone; debuggers and psutil call this one.
    _resume = ctypes.WinDLL("ntdll").NtResumeProcess
    _resume.argtypes = (wintypes.HANDLE,)
    _error_of = ctypes.WinDLL("ntdll").RtlNtStatusToDosError
    _error_of.argtypes = (wintypes.LONG,)
    _error_of.restype = wintypes.ULONG

    class Job:
        """A started program and everything that it starts. See `freshkey._commands.session.start_session`.

        It has its own console without a window: a Ctrl-C in ours does not reach it, and none appears above a program
        without a console. Handles other than those of its standard streams are not inherited.
        """

        def __init__(
            self,
            program: str,
            arguments: Sequence[str],
            environ: Mapping[str, str],
            directory: Path,
            *,
            stdout: int,
            stderr: int,
        ) -> None:
            self._job, self._process = _started(
                _KILL_ON_JOB_CLOSE,
                [program, *arguments],
                {"env": environ, "cwd": directory, "stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr},
                flags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP,
            )

        @property
        def ended(self) -> bool:
            """Whether the program itself has exited."""
            return self._process.poll() is not None

        def end(self, *, leave: bool = False) -> int:
            """Kill what still runs in the job, or with `leave` let it go on; return the program's exit status."""
            if leave:
                _limit(self._job, 0)
            else:
                _kernel.TerminateJobObject(self._job, 1)
            _kernel.CloseHandle(self._job)
            return self._process.wait()

    def start_bound(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in a job of its own. See `freshkey._commands.session.start_bound`."""
        _, process = _started(
            _KILL_ON_JOB_CLOSE | _SILENT_BREAKAWAY,
            words,
            # Given as such, the three streams are all that it inherits.
            {"env": environ, "stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr},
        )
        return process  # the job is closed when this process ends, and not before

    def _started(
        limits: int, words: Sequence[str], how: Mapping[str, Any], flags: int = 0
    ) -> tuple[int, subprocess.Popen[bytes]]:
        """Start a program in a new job; return the job and the process."""
        arguments, executable = startable(words)
        process: subprocess.Popen[bytes] | None = None
        job: int | None = _kernel.CreateJobObjectW(None, None)
        if not job:
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            _limit(job, limits)
            process = subprocess.Popen(  # noqa: S603  from the user's configuration or command line
                arguments,
                executable=executable,
                # Suspended, it can start nothing before it is in the job.
                creationflags=flags | _CREATE_SUSPENDED,
                **how,
            )
            _let_run(job, process)
        except BaseException:
            if process is not None:  # suspended outside of the job, it would stay forever
                process.kill()
                process.wait()
            _kernel.CloseHandle(job)
            raise
        return job, process

    def _let_run(job: int, process: subprocess.Popen[bytes]) -> None:
        handle = int(process._handle)  # type: ignore[attr-defined]  # noqa: SLF001  by ID it could be another
        if not _kernel.AssignProcessToJobObject(job, handle):
            raise ctypes.WinError(ctypes.get_last_error())
        if status := _resume(handle):  # an NTSTATUS; functions of ntdll set no last error
            raise ctypes.WinError(_error_of(status))

    def _limit(job: int, flags: int) -> None:
        limits = _Limits(flags=flags)
        if not _kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)):
            raise ctypes.WinError(ctypes.get_last_error())
