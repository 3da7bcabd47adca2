"""What signals do to a command line process (ROT-10), and what it shows of what libraries log, warn of or raise.

For signals on Windows, see test_windows_signals.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from promises import proves


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")

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


@on_posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_renewal_in_progress_finishes_before_the_process_exits(name: str) -> None:
    number = signal.Signals[name]
    process = start(grace=20, takes=0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 128 + number
    assert out.splitlines() == ["closed", "finished"]
    assert "Traceback" not in err


@on_posix
@proves("FAULT-17", "ROT-10")
def test_renewal_that_takes_too_long_does_not_block_the_exit() -> None:
    process = start(grace=0.2, takes=30)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)

    assert process.returncode == 128 + signal.SIGTERM
    assert out.splitlines() == ["closed", "last words"]
    assert time.monotonic() - began < 30


@on_posix
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


@on_posix
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


@on_posix
def test_ignored_signals_stay_ignored() -> None:
    program = (
        "import signal; from freshkey_cli import process; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with process.orderly_signals(print): print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGBREAK" if sys.platform == "win32" else "SIGHUP"])
def test_catching_system_exit_of_plugins_does_not_swallow_a_signal(name: str) -> None:
    number = signal.Signals[name]
    program = (
        "import signal; from freshkey_cli import process\n"
        "with process.orderly_signals(print):\n"
        f"    try: signal.raise_signal({int(number)})\n"
        "    except (Exception, SystemExit): print('swallowed')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


_QUIET = (
    "import logging, sys, threading, warnings\n"
    "from freshkey_cli import process; from freshkey_cli.output import Output\n"
    "process.quiet_libraries(Output().instruct)\n"
    "log = logging.getLogger('a.plugin')\n"
    "token = 'rt-NmL9k3jHg4fDs5aPo6iUy7tRe8wQ'\n"
)


def _said(program: str, **environ: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"} | environ
    env["PYTHONIOENCODING"] = "utf-8"
    done = subprocess.run(
        [sys.executable, "-c", _QUIET + program], capture_output=True, encoding="utf-8", check=False, env=env
    )
    assert done.stdout == ""
    return done.stderr


@proves("LEK-9")
@pytest.mark.parametrize(
    "program",
    [
        "log.warning('server refused %s', token)",
        "log.critical(token)",
        "log.error('%d %s', object(), token)",
        "logging.warning(token)",
        "logging.basicConfig(); log.warning(token)",
        "log.propagate = False; log.warning(token)",
        "logging.getLogger('freshkey').warning(token)",
        "logging.getLogger('freshkey.acme').warning(token)",
        "logging.getLogger('freshkey_acme').warning(token)",
        "try: raise ValueError(token)\nexcept ValueError: log.exception('failed')",
        "thread = threading.Thread(target=log.warning, args=[token]); thread.start(); thread.join()",
        "log.addHandler(logging.StreamHandler(sys.__stdin__)); log.warning(token)",
        "warnings.warn(token)",
        "warnings.warn(token, DeprecationWarning)",
    ],
)
def test_logs_and_warnings_of_plugins_are_not_shown(program: str) -> None:
    assert _said(program) == ""


@proves("LEK-9")
@pytest.mark.parametrize(
    "program",
    [
        "raise ValueError(token)",
        "try: raise KeyError(token)\nexcept KeyError as error: raise ValueError(token) from error",
        "thread = threading.Thread(target=int, args=[token]); thread.start(); thread.join()",
        "class A:\n    def __del__(self): raise ValueError(token)\nA()",
    ],
)
def test_of_an_error_that_nobody_catches_only_kind_and_place_are_shown(program: str) -> None:
    said = _said(program)
    assert said.startswith("freshkey: unexpected error: ValueError\n")
    assert "NmL9" not in said


def test_what_freshkey_logs_is_shown_cleaned() -> None:
    program = (
        "from freshkey import events\n"
        "code = compile(r'log.warning(\"bad %s\\x1b[2J\", \"sk-ant-api03-abcDEF123456\")', events.__file__, 'exec')\n"
        "exec(code, vars(events))\n"
    )
    assert _said(program) == "freshkey: bad [redacted]\N{REPLACEMENT CHARACTER}[2J\n"


def test_of_a_warning_that_was_asked_for_kind_and_place_are_shown() -> None:
    assert _said("warnings.warn(token)", PYTHONWARNINGS="default") == "freshkey: UserWarning at <string>:6\n"
