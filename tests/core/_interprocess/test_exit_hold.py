"""The guard that an exiting interpreter waits for: when it runs, and when nothing may be sent."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from freshkey._interprocess import exit_hold
from freshkey._interprocess.exit_hold import ExitHold, sending_nothing
from freshkey.errors import TransientError
from raises_code import raises_code
from waiting import until


def guards() -> list[threading.Thread]:
    """Return the running guards."""
    return [thread for thread in threading.enumerate() if thread.name == "freshkey exit"]


def test_one_thread_that_is_no_daemon_runs_as_long_as_the_hold() -> None:  # ROT-10
    with ExitHold("me") as hold:
        assert guards() == []
        for step in (hold.sending, hold.sending, hold.saving):
            step()
            until(lambda: len(guards()) == 1)
            assert not guards()[0].daemon
    until(lambda: guards() == [])
    hold.close()


def test_answer_that_is_late_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:  # ROT-10
    monkeypatch.setattr(exit_hold, "ANSWER_TIMEOUT", 0.01)
    with ExitHold("me") as hold:
        hold.sending()
        until(lambda: guards() == [])


def test_nothing_is_sent_without_a_guard_but_what_arrived_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:  # TIM-6
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with ExitHold("me") as hold:
        hold.saving()
        with raises_code(TransientError, "out-of-threads"):
            hold.sending()


LATE = """
import atexit, threading
from freshkey._interprocess.exit_hold import ExitHold
from freshkey.errors import TransientError

def send(when):
    with ExitHold("me") as hold:
        try:
            hold.sending()
        except TransientError as error:
            print(when, error.code, flush=True)
        else:
            print(when, "sent", flush=True)

def working():
    threading.main_thread().join()
    send("while another thread runs")

atexit.register(send, "in an exit handler")
thread = threading.Thread(target=working, daemon=False)
thread.start()
"""


def test_what_the_interpreter_would_not_wait_for_is_not_sent() -> None:  # ROT-10
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=True)
    first, second = done.stdout.splitlines()
    # Some versions (3.12.0 and 3.12.1) start no threads once the main thread has ended, so nothing can be sent there.
    assert first in {"while another thread runs sent", "while another thread runs out-of-threads"}
    assert second == "in an exit handler out-of-threads"
    assert done.stderr == ""


STALLED = """
import threading
from freshkey._interprocess import exit_hold

exit_hold.SAVE_TIMEOUT = 0.2
exit_hold.ExitHold("me").saving()
"""


def test_save_that_does_not_return_is_reported_as_lost() -> None:  # ROT-4
    done = subprocess.run([sys.executable, "-c", STALLED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.startswith("me: the process is exiting")


def test_nothing_is_sent_while_the_process_is_being_replaced() -> None:  # ROT-10
    with sending_nothing(), ExitHold("me") as hold, raises_code(TransientError, "out-of-threads"):
        hold.sending()
    with ExitHold("me") as hold:
        hold.sending()
    until(lambda: guards() == [])
