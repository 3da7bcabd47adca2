"""Signals to a command line process: a renewal in progress finishes, within a time limit (ROT-10)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from promises import proves


if sys.platform == "win32":
    pytest.skip("these signals are POSIX", allow_module_level=True)

PROGRAM = """
import sys, threading, time
from freshkey_cli import process

process.GRACE = {grace}

def renew():
    time.sleep({takes})
    print("finished", flush=True)

def last_words():
    print("last words", flush=True)

with process.orderly_signals(last_words):
    threading.Thread(target=renew).start()
    try:
        print("ready", flush=True)
        time.sleep(30)
    finally:
        print("closed", flush=True)
"""


def start(*, grace: float, takes: float) -> subprocess.Popen[str]:
    program = PROGRAM.format(grace=grace, takes=takes)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_renewal_in_progress_finishes_before_the_process_exits(number: signal.Signals) -> None:
    process = start(grace=20, takes=0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 128 + number
    assert out.splitlines() == ["closed", "finished"]
    assert "Traceback" not in err


@proves("FAULT-17", "ROT-10")
def test_renewal_that_takes_too_long_does_not_block_the_exit() -> None:
    process = start(grace=0.2, takes=30)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)

    assert process.returncode == 128 + signal.SIGTERM
    assert out.splitlines() == ["closed", "last words"]
    assert time.monotonic() - began < 30


def test_further_signals_do_not_interrupt_the_exit() -> None:
    process = start(grace=20, takes=0.5)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "closed\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 128 + signal.SIGTERM
    assert out == "finished\n"
    assert "Traceback" not in err


@proves("FAULT-54")
def test_signal_that_did_not_reach_the_main_thread_interrupts_its_wait() -> None:
    """The same happens to a signal that arrives after the last instruction before a wait, but not on demand."""
    program = (
        "import signal, threading; from freshkey_cli import process\n"
        "def elsewhere(): signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
        "with process.orderly_signals(print):\n"
        "    threading.Timer(0.2, elsewhere).start()\n"
        "    try: threading.Event().wait()\n"
        "    except KeyboardInterrupt: print('interrupted')\n"
        "print([each.name for each in threading.enumerate() if 'signals' in each.name and each.join(20)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20)

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n[]\n", "")


def test_ignored_signals_stay_ignored() -> None:
    program = (
        "import signal; from freshkey_cli import process; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with process.orderly_signals(print): print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_catching_system_exit_of_plugins_does_not_swallow_a_signal(number: signal.Signals) -> None:
    program = (
        "import signal; from freshkey_cli import process\n"
        "with process.orderly_signals(print):\n"
        f"    try: signal.raise_signal({int(number)})\n"
        "    except (Exception, SystemExit): print('swallowed')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")
