"""Time: the wall clock, elapsed time that includes suspend, and the boot that the elapsed time belongs to."""

from __future__ import annotations

import functools
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

_PIECE: Final = 0.25
"""Seconds after which a signal is handled on Windows while the main thread waits."""


def utc_time(wall: float) -> datetime:
    """Return an aware UTC datetime; what `datetime` cannot express becomes the nearest time that it can.

    The program must run although the wall clock is wrong or a server issues a token for thousands of years. Windows
    converts only times from 1970 to 3000: `datetime.fromtimestamp` raises an `OSError` there for all others.

    Args:
        wall: Seconds since 1970-01-01T00:00:00Z.
    """
    try:
        return _EPOCH + timedelta(seconds=wall)
    except OverflowError:
        return _FIRST if wall < 0 else _LAST


@frozen
class Moment:
    """One reading of both clocks.

    Attributes:
        wall: Seconds since 1970-01-01T00:00:00Z by the wall clock, which users and time servers can change.
        elapsed: Seconds by a clock that only moves forward and includes suspend; comparable only within one boot.
        boot_id: The boot that ``elapsed`` belongs to.
    """

    wall: float
    elapsed: float
    boot_id: str

    @property
    def utc(self) -> datetime:
        """The wall clock as an aware UTC datetime."""
        return utc_time(self.wall)


class Clock(Protocol):
    """The clock that the core uses; tests use `freshkey_testing.ManualClock`."""

    def elapsed(self) -> float:
        """Return the seconds since a fixed point of this boot, including suspend; the fast path reads only this."""

    def now(self) -> Moment:
        """Read both clocks."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `event`; return whether it is set."""


@functools.cache
def _boot_id() -> str:
    """Return an ID for this boot, or for this process if the system has no boot ID.

    A per-process ID is the safe fallback: elapsed times of other processes are then never compared with ours, and
    the wall clock decides.
    """
    try:
        return _system_boot_id()
    except (OSError, AttributeError):
        return f"process-{uuid.uuid4()}"


if sys.platform == "win32":

    def _system_boot_id() -> str:
        """Return when this user's registry was loaded, which is after the boot, and which clock `elapsed` is.

        A volatile key is gone once the registry is unloaded, at the latest with the system, and the time of one that
        nobody writes to is that of its creation (``RegCreateKeyExW``, ``RegQueryInfoKeyW`` on learn.microsoft.com).
        """
        import ctypes
        import winreg
        from ctypes import wintypes

        key, user = wintypes.HKEY(), wintypes.HKEY(winreg.HKEY_CURRENT_USER)
        options = winreg.REG_OPTION_VOLATILE
        create = ctypes.WinDLL("advapi32").RegCreateKeyExW
        if status := create(
            user, r"Software\freshkey boot", 0, None, options, winreg.KEY_READ, None, ctypes.byref(key), None
        ):
            raise ctypes.WinError(status)
        try:
            created = winreg.QueryInfoKey(key.value or 0)[2]
        finally:
            winreg.CloseKey(key.value or 0)
        # Two versions of Python may have two clocks here, which began at different times.
        return f"{created}-{time.get_clock_info('monotonic').implementation}"

elif sys.platform == "darwin":

    def _system_boot_id() -> str:
        """Return the kernel's own ID: sysctl(3), ``kern.bootsessionuuid``, which no header declares."""
        import ctypes

        found, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        name = b"kern.bootsessionuuid"
        if ctypes.CDLL(None, use_errno=True).sysctlbyname(name, found, ctypes.byref(size), None, ctypes.c_size_t(0)):
            raise OSError(ctypes.get_errno(), "sysctlbyname failed")
        return found.value.decode("ascii")

else:

    def _system_boot_id() -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class SystemClock:
    """The clocks of this machine."""

    if sys.platform == "win32":
        # GetTickCount64 and QueryPerformanceCounter both include sleep.
        elapsed = staticmethod(time.monotonic)
    elif sys.platform == "linux":
        # CLOCK_MONOTONIC stops in suspend (clock_gettime(2)).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    else:
        # macOS: includes sleep, unlike CLOCK_UPTIME_RAW, which `time.monotonic` uses (see clock_gettime(3) there).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC))

    def now(self) -> Moment:
        """Read both clocks."""
        return Moment(time.time(), self.elapsed(), _boot_id())

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `event`; return whether it is set."""
        return interruptible(event.wait, timeout)


def interruptible(wait: Callable[[float], bool], timeout: float) -> bool:
    """Wait such that Ctrl-C ends the wait; return what `wait` returned last.

    On Windows, a signal interrupts no wait for a lock, an event or a thread: Python handles it after the wait, which
    for a sign-in is after minutes. So there the main thread, which is the one that handles signals, waits in pieces.
    Every wait that it can meet and that can take more than a second goes through this.

    Args:
        wait: Waits for the given number of seconds and returns whether that was long enough.
        timeout: How many seconds to wait in total.
    """
    if sys.platform == "win32" and threading.current_thread() is threading.main_thread():
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > _PIECE:
            if wait(_PIECE):
                return True
        return wait(max(0.0, left))
    return wait(timeout)


SYSTEM: Final = SystemClock()
