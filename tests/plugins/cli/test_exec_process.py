"""What has to end before a program takes the process's place: every thread that may have spent a refresh token."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from freshkey.errors import TransientError
from freshkey_cli import exec_process
from matrix import row


if sys.platform == "win32":
    pytest.skip("no process takes another's place there", allow_module_level=True)

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


@row(18, "ROT-10")
def test_a_renewal_that_was_not_waited_for_is_kept_first() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\nran\n", "")


def test_one_that_takes_too_long_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_process, "RENEWALS_TIMEOUT", 0.05)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with pytest.raises(TransientError, match="the command would cut it off; nothing was run"):
        exec_process.wait_for_renewals()
    over.set()
    thread.join()
