"""Before a program replaces the process, every thread that may have used a refresh token must finish."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from freshkey.errors import TransientError
from freshkey_cli import exec_process
from promises import proves
from raises_code import raises_code


if sys.platform == "win32":
    pytest.skip("Windows cannot replace a process", allow_module_level=True)

PROGRAM = """
import sys, threading, time
from freshkey_cli import exec_process

def renew():
    time.sleep(0.5)
    print("kept", flush=True)

threading.Thread(target=renew).start()
threading.Thread(target=time.sleep, args=[60], daemon=True).start()
exec_process.wait_for_renewals()
exec_process.replace([sys.executable, "-c", "print('ran')"], {}, [])
"""


@proves("FAULT-18", "ROT-10")
def test_renewal_in_background_is_saved_before_the_program_runs() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\nran\n", "")


def test_renewal_that_takes_too_long_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_process, "RENEWALS_TIMEOUT", 0.05)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with raises_code(TransientError, "renewal-timed-out"):
        exec_process.wait_for_renewals()
    over.set()
    thread.join()
