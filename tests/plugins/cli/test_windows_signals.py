"""Ctrl-C and Ctrl-Break on Windows, where nothing interrupts what the main thread waits for (ROT-10)."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from console_user import at_console, line_of, press_ctrl_c
from waiting import PATIENCE


if sys.platform != "win32":
    pytest.skip("signals interrupt waits", allow_module_level=True)

PROGRAM = """
import sys, threading
from freshkey.clock import SYSTEM
from freshkey_cli import process

process.GRACE = {grace}
try:
    with process.orderly_signals(lambda: print("last words", flush=True)):
        print("ready", flush=True)
        try:
            {wait}
        finally:
            print("closed", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_ends_a_wait_of_the_core() -> None:
    program = PROGRAM.format(grace=20, wait="SYSTEM.wait(threading.Event(), 60)")
    with at_console([sys.executable, "-c", program]) as process:
        assert line_of(process) == "ready"
        press_ctrl_c(process)
        began = time.monotonic()
        assert line_of(process) == "closed"
        assert process.wait(PATIENCE) == 130
        assert time.monotonic() - began < 20


def test_ctrl_c_during_another_wait_ends_the_process_after_the_deadline() -> None:
    program = PROGRAM.format(grace=0.5, wait="threading.Event().wait(60)")
    with at_console([sys.executable, "-c", program]) as process:
        assert line_of(process) == "ready"
        press_ctrl_c(process)
        assert line_of(process) == "last words"
        assert process.wait(PATIENCE) == 130


def test_ctrl_break_is_an_orderly_exit() -> None:
    """By its signal: Wine 8 sends no Ctrl-Break."""
    program = PROGRAM.format(grace=20, wait="import signal; signal.raise_signal(signal.SIGBREAK)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (149, "ready\nclosed\n", "")
