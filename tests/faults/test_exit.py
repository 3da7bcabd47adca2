"""What hangs does not keep a process from ending, except for the answer to a token that works once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promises import proves


SCRIPT = Path(__file__).parents[1] / "support" / "exiting_process.py"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that exits during a hang, which only the end of its standard input would end."""
    started: list[subprocess.Popen[str]] = []

    def start(what: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), what, str(tmp_path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FRESHKEY_PASSPHRASE": "long enough for a test"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until_it_ends(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait until a process has ended by itself, while its hang still lasts, and return what it printed."""
    code = process.wait(60)
    assert process.stdout is not None
    assert process.stderr is not None
    said, errors = process.stdout.read(), process.stderr.read()
    assert code == 0, errors
    return said, errors


NOTHING_SENT = [
    "describe",
    "acquire",
    "prefetch",
    "awaited",
    "detect",
    "inspect",
    "store-open",
    "store-load",
    "store-lock",
    "store-probe",
    "reusable",
    "subscriber",
]


@proves("FAULT-18", "FAULT-59", "ROT-10")
@pytest.mark.parametrize("what", NOTHING_SENT)
def test_hang_with_nothing_to_lose_does_not_hold_the_exit(start: Start, what: str) -> None:
    assert until_it_ends(start(what)) == ("ending\n", "")


@proves("FAULT-18", "ROT-10")
def test_token_that_was_sent_holds_the_exit_until_the_answer_is_saved(start: Start) -> None:
    assert until_it_ends(start("answered")) == ("ending\ngeneration 2\n", "")


@proves("FAULT-18", "ROT-10")
def test_token_that_is_never_answered_holds_the_exit_until_its_deadline(start: Start) -> None:
    assert until_it_ends(start("silent", "--impatient")) == ("ending\n", "")


@proves("FAULT-18", "ROT-10", "ROT-11")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_forked_child_does_not_wait_for_what_its_parent_sent(start: Start) -> None:
    # The parent waits for the child before it exits.
    assert until_it_ends(start("silent", "--impatient", "--fork")) == ("ending\nending\n", "")


@proves("FAULT-18", "ROT-10")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_wait_for_an_answer(start: Start, number: signal.Signals) -> None:
    process = start("silent")
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(number)
    process.wait(60)
