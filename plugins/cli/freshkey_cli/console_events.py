"""What a Windows console tells its processes: Ctrl-C, Ctrl-Break, and that it or the session ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final


ENDING: Final = frozenset({2, 5, 6})
"""CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT and CTRL_SHUTDOWN_EVENT: Windows ends the process when the handler returns."""

if sys.platform == "win32":

    @contextmanager
    def handled(handle: Callable[[int], bool]) -> Iterator[None]:
        """Call `handle` with the number of each event, on a thread of the system, before any earlier handler.

        Children do not inherit it, unlike the state in which a process ignores Ctrl-C.

        Args:
            handle: Returns whether to keep the event from earlier handlers; Python's own turns it into a signal.
        """
        import ctypes
        from ctypes import wintypes

        ending = False

        def noted(event: int) -> bool:
            nonlocal ending
            ending = ending or event in ENDING
            return handle(event)

        handler = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)(noted)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.SetConsoleCtrlHandler(handler, True)
        try:
            yield
        finally:
            # Windows removes no handler while one runs, and that of an ending console runs until the process exits.
            if not ending:
                kernel.SetConsoleCtrlHandler(handler, False)
