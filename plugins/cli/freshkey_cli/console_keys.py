"""Reads what is typed into a Windows console, without showing it; keys without a character are dropped."""

from __future__ import annotations

import sys
from typing import Final


_AT_ONCE: Final = 1024
"""Maximum keys to read at once, so that the reader can be canceled during an endless paste."""

_INTERRUPT: Final = 0x03
_KEY_EVENT: Final = 1
_ALT: Final = 0x12


if sys.platform == "win32":
    import ctypes
    import msvcrt
    import signal
    from ctypes import wintypes

    # Not msvcrt.getwch, which reads a paste in as many steps as it has characters, and for an arrow key returns a mark
    # that is also a letter.

    class _Event(ctypes.Structure):
        """``INPUT_RECORD`` of a key; other events are as long."""

        _fields_ = (
            ("kind", wintypes.WORD),
            ("down", wintypes.BOOL),
            ("times", wintypes.WORD),
            ("key", wintypes.WORD),
            ("scan_code", wintypes.WORD),
            ("unit", ctypes.c_uint16),
            ("state", wintypes.DWORD),
        )

    class Keyboard:
        """The keys of a console.

        Args:
            fd: File descriptor of its input.
        """

        def __init__(self, fd: int) -> None:
            self._input = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
            self._system = ctypes.WinDLL("kernel32")

        def typed(self, seconds: float) -> bytes | None:
            """Return what was typed, in UTF-8; None if nothing was within this time, and empty without a console."""
            if self._system.WaitForSingleObject(self._input, round(seconds * 1000)):
                return None
            events, count = (_Event * _AT_ONCE)(), wintypes.DWORD()
            if not self._system.ReadConsoleInputW(self._input, events, _AT_ONCE, ctypes.byref(count)):
                return b""
            units = bytearray()
            for event in events[: count.value]:
                if event.kind == _KEY_EVENT and event.unit and (event.down or event.key == _ALT):  # Alt and a number
                    units += event.unit.to_bytes(2, "little") * (event.times if event.down else 1)
                    if event.unit == _INTERRUPT:  # the console does not handle Ctrl-C itself
                        signal.raise_signal(signal.SIGINT)
            ctypes.memset(events, 0, ctypes.sizeof(events))
            return units.decode("utf-16-le", "replace").encode() or None

        def discard(self) -> None:
            """Drop what was typed and not read."""
            self._system.FlushConsoleInputBuffer(self._input)
