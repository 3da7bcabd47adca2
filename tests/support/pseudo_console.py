"""A program for Windows in a console of its own, as a terminal gives it one: keys go in, and what is shown comes out.

See https://learn.microsoft.com/windows/console/creating-a-pseudoconsole-session.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Self


if sys.platform == "win32":
    import _winapi
    import msvcrt
    from ctypes import wintypes

    _PSEUDO_CONSOLE: Final = 0x0002_0016  # PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE
    _EXTENDED: Final = 0x0008_0000  # EXTENDED_STARTUPINFO_PRESENT
    _UNICODE: Final = 0x0400  # CREATE_UNICODE_ENVIRONMENT
    _USE_HANDLES: Final = 0x0100  # STARTF_USESTDHANDLES
    _SECONDS: Final = 25.0
    _SECONDS_TO_CLOSE: Final = 3.0

    # A program in a background job of some kinds inherits that Ctrl-C is ignored; here it is what a user presses.
    # Wine 8 leaves a program in a new console without standard handles, so that Python has no standard streams.
    _PROLOGUE: Final = """\
import ctypes, os, runpy, sys
ctypes.windll.kernel32.SetConsoleCtrlHandler(None, False)
for number, name in enumerate(["CONIN$", "CONOUT$", "CONOUT$"]):
    if (opened := os.open(name, os.O_RDWR)) != number:
        os.dup2(opened, number)
for number, name, mode in [(0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")]:
    setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace" if number == 2 else "strict"))
what = sys.argv.pop(1)
if what.isidentifier():
    runpy.run_module(what, run_name="__main__", alter_sys=True)
else:
    exec(what, {"__name__": "__main__"})
"""

    class _StartupInfo(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD),
            ("texts", wintypes.LPWSTR * 3),
            ("numbers", wintypes.DWORD * 7),
            ("flags", wintypes.DWORD),
            ("show", wintypes.WORD),
            ("reserved_size", wintypes.WORD),
            ("reserved", ctypes.c_void_p),
            ("handles", wintypes.HANDLE * 3),
            ("attributes", ctypes.c_void_p),
        )

    class _ProcessInformation(ctypes.Structure):
        _fields_ = (
            ("process", wintypes.HANDLE),
            ("thread", wintypes.HANDLE),
            ("process_id", wintypes.DWORD),
            ("thread_id", wintypes.DWORD),
        )

    class PseudoConsole:
        """Python in a console that is 100 columns wide, running a module or a program text.

        Args:
            module: What ``-m`` would run, such as ``freshkey``; or else the text of a program.
            arguments: What the program gets as arguments.
            environ: Its whole environment.
        """

        def __init__(self, module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
            self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            keys, self._keyboard = os.pipe()
            self._screen, shown = os.pipe()
            self._console = wintypes.HANDLE()
            size = wintypes._COORD(100, 30)
            ends = [wintypes.HANDLE(msvcrt.get_osfhandle(end)) for end in (keys, shown)]
            failed = self._kernel.CreatePseudoConsole(size, *ends, 0, ctypes.byref(self._console))
            assert failed == 0, hex(failed & 0xFFFF_FFFF)
            for end in (keys, shown):
                os.close(end)
            self._process = self._start([sys.executable, "-c", _PROLOGUE, module, *arguments], environ)
            self._shown = bytearray()
            self._changed = threading.Condition()
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

        def _start(self, argv: Sequence[str], environ: Mapping[str, str]) -> int:
            needed = ctypes.c_size_t()
            self._kernel.InitializeProcThreadAttributeList(None, 1, 0, ctypes.byref(needed))
            attributes = ctypes.create_string_buffer(needed.value)
            assert self._kernel.InitializeProcThreadAttributeList(attributes, 1, 0, ctypes.byref(needed))
            assert self._kernel.UpdateProcThreadAttribute(
                attributes,
                0,
                ctypes.c_size_t(_PSEUDO_CONSOLE),
                self._console,
                ctypes.c_size_t(ctypes.sizeof(self._console)),
                None,
                None,
            )
            # Without handles of its own, the program would inherit those of this process, which are pipes.
            info = _StartupInfo(flags=_USE_HANDLES, attributes=ctypes.addressof(attributes))
            info.size = ctypes.sizeof(info)
            block = ctypes.create_unicode_buffer("".join(f"{name}={value}\0" for name, value in environ.items()))
            line = ctypes.create_unicode_buffer(subprocess.list2cmdline(argv))
            started = _ProcessInformation()
            flags = _EXTENDED | _UNICODE
            ok = self._kernel.CreateProcessW(
                None, line, None, None, False, flags, block, None, ctypes.byref(info), ctypes.byref(started)
            )
            assert ok, ctypes.get_last_error()
            _winapi.CloseHandle(started.thread)
            process: int = started.process
            return process

        def _read(self) -> None:
            with suppress(OSError):
                while piece := os.read(self._screen, 65536):
                    with self._changed:
                        self._shown += piece
                        self._changed.notify_all()

        def type(self, text: str) -> None:
            """Press keys."""
            data = text.encode()
            while data:
                data = data[os.write(self._keyboard, data[:512]) :]

        @property
        def shown(self) -> str:
            """Everything that was shown so far, with the sequences that move the cursor."""
            return self._shown.decode("utf-8", "replace")

        def shows(self, text: str) -> str:
            """Wait until a text is shown, and return everything that was."""
            with self._changed:
                assert self._changed.wait_for(lambda: text in self.shown, _SECONDS), self.shown
            return self.shown

        def end(self) -> int:
            """Wait until the program has ended, and return its exit code."""
            ended = _winapi.WaitForSingleObject(self._process, round(_SECONDS * 1000))
            assert ended == _winapi.WAIT_OBJECT_0, self.shown
            return _winapi.GetExitCodeProcess(self._process)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            with suppress(OSError):
                _winapi.TerminateProcess(self._process, 1)
            _winapi.CloseHandle(self._process)
            os.close(self._keyboard)
            self._kernel.ClosePseudoConsole(self._console)
            self._reader.join(_SECONDS_TO_CLOSE)
            if not self._reader.is_alive():
                os.close(self._screen)
