"""Asks about processes, on POSIX and on Windows."""

from __future__ import annotations

import os
import sys


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _kernel = ctypes.WinDLL("kernel32")
    _kernel.OpenProcess.restype = _kernel.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    _kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD)
    _SYNCHRONIZE = 0x0010_0000

    class _Memory(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("size", wintypes.DWORD),
            ("faults", wintypes.DWORD),
            ("peak", ctypes.c_size_t),
            ("others", ctypes.c_size_t * 7),
        )

    def runs(pid: int) -> bool:
        """Return whether a process runs."""
        handle = _kernel.OpenProcess(_SYNCHRONIZE, False, pid)
        if not handle:
            return False
        try:
            return bool(_kernel.WaitForSingleObject(handle, 0) != 0)
        finally:
            _kernel.CloseHandle(handle)

    def peak_memory() -> int:
        """Return the most bytes of memory that this process had."""
        memory = _Memory(size=ctypes.sizeof(_Memory))
        assert _kernel.K32GetProcessMemoryInfo(_kernel.GetCurrentProcess(), ctypes.byref(memory), memory.size)
        return int(memory.peak)

else:
    import resource

    def runs(pid: int) -> bool:
        """Return whether a process runs, or is not reaped."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def peak_memory() -> int:
        """Return the most bytes of memory that this process had."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
