"""Misbehaving helper commands: each is limited in time and output, leaves nothing running, and is never quoted."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from freshkey._commands import helper, process
from freshkey._commands.helper import read_helper_json, run_helper
from freshkey.errors import FreshkeyError, ProtocolError, TransientError
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from waiting import PATIENCE, leaving_nothing, until


if sys.platform != "win32":
    import resource


pytestmark = pytest.mark.skipif(
    sys.platform == "win32",
    reason="sessions and shell commands; see tests/core/_commands/test_windows_job.py",
)

CANARY = "canary-1f88c02b6d3e4975"
MARK = "TEST_MARK"


class Zoo:
    """Starts helpers, and finds every process they leave behind by a mark in the environment."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)

    def run(self, code: str, timeout: float = 20.0) -> Secret:
        environ = {"PATH": os.environ["PATH"], MARK: self._mark}
        return run_helper(["sh", "-c", code], timeout=timeout, environ=environ)

    @property
    def running(self) -> list[int]:
        wanted = f"{MARK}={self._mark}".encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if wanted in _environ(folder)]

    def wait_until_all_gone(self) -> None:
        """Wait until they are gone: init needs a moment to reap killed processes."""
        until(lambda: not self.running, "the processes to end")


def _environ(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    zoo = Zoo()
    yield zoo
    left = zoo.running
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_the_zoo_finds_processes_left_behind(zoo: Zoo) -> None:
    helper = threading.Thread(target=_outcome, args=(lambda: zoo.run("sleep 60"),))
    helper.start()
    for pid in until(lambda: zoo.running):
        os.kill(pid, signal.SIGKILL)
    helper.join(PATIENCE)
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
@pytest.mark.parametrize(
    "code",
    [
        "exec sleep 600",
        "trap '' TERM INT HUP; sleep 600; sleep 600",
        "sleep 600 & sleep 600 & wait",
        "(sleep 600; sleep 600) & (sh -c 'sleep 600; true') & exec sleep 600",
        "exec 1>&-; exec sleep 600",
        "cat; sleep 600",
        "kill -STOP $$",
    ],
)
def test_helper_that_hangs_is_killed_with_its_child_processes(zoo: Zoo, code: str) -> None:
    started = time.monotonic()
    with raises_code(TransientError, "command-timed-out") as caught:
        zoo.run(f"echo {CANARY}; {code}", timeout=0.4)
    assert "'sh'" in str(caught.value)
    assert "0.4 s" in str(caught.value)
    assert time.monotonic() - started < 60
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
@pytest.mark.parametrize(("code", "status"), [("exit 0", 0), ("exit 1", 1), ("kill -9 $$", -9)])
def test_child_processes_are_killed_when_the_helper_ends(zoo: Zoo, code: str, status: int) -> None:
    if status:
        with raises_code(TransientError, "command-failed") as caught:
            zoo.run(f"sleep 600 & echo {CANARY}; {code}")
        assert f"status {status}" in str(caught.value)
    else:
        assert zoo.run(f"sleep 600 & echo {CANARY}; {code}") == Secret(f"{CANARY}\n")
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
def test_helper_that_prints_endlessly_costs_neither_time_nor_memory(zoo: Zoo) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        zoo.run("cat /dev/zero & exec cat /dev/zero")
    assert "65536 bytes" in str(caught.value)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 20 * 1024
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
def test_child_process_that_left_the_session_does_not_delay_the_caller(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_READER_TIMEOUT", 0.2)
    left = tmp_path / "left"
    leaving = f"setsid sh -c 'touch {left}; exec sleep 600'"
    assert zoo.run(f"{leaving} & until [ -e {left} ]; do sleep 0.01; done; echo done") == Secret("done\n")
    # It cannot be found, just like a daemon that is meant to keep running.
    (daemon,) = zoo.running
    os.kill(daemon, signal.SIGKILL)
    zoo.wait_until_all_gone()


def _outcome(act: Callable[[], object]) -> FreshkeyError:
    with pytest.raises(FreshkeyError) as caught:
        act()
    return caught.value


@proves("FAULT-58", "TRU-4", "LEK-3")
@pytest.mark.parametrize(
    "code",
    [
        f"echo {CANARY} >&2; exit 1",
        f"echo {CANARY} >&2",
        f"echo {CANARY}; echo {CANARY} >&2; exit 1",
        f"echo {CANARY}; exec sleep 600",
        f"printf '{CANARY}\\377'",
        f"while :; do echo {CANARY}; done",
        f"echo {CANARY}",
        f"echo '[\"{CANARY}\"]'",
        f'echo \'{{"version": 1, "token": "{CANARY}"}} trailing\'',
        f'echo \'{{"version": 2, "token": "{CANARY}"}}\'',
        f'echo \'{{"version": 1, "token": "{CANARY}\\\\r"}}\'',
        ":",
    ],
    ids=range(12),
)
def test_output_of_a_helper_is_never_quoted(
    zoo: Zoo, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, code: str
) -> None:
    from rich.console import Console
    from rich.traceback import Traceback

    caplog.set_level(logging.DEBUG)
    error = _outcome(lambda: read_helper_json(zoo.run(code, timeout=0.5), "'sh'"))
    printed = Console(width=400)
    # Every local variable of freshkey's frames; the frames of this test contain the command itself.
    shown = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True, suppress=[__file__])
    with printed.capture() as capture:
        printed.print(shown)
    assert "sh" in str(error)
    assert CANARY not in str(error)
    assert CANARY not in "".join(traceback.format_exception(error))
    assert CANARY not in _of_ours(shown)
    assert "run_helper" in capture.get() or "read_helper_json" in capture.get()
    assert (CANARY in caplog.text, capfd.readouterr()) == (False, ("", ""))
    zoo.wait_until_all_gone()


def _of_ours(shown: object) -> str:
    """Return the local variables of freshkey's frames in a traceback by rich."""
    from rich.traceback import Traceback

    assert isinstance(shown, Traceback)
    frames = [frame for stack in shown.trace.stacks for frame in stack.frames]
    ours = [frame for frame in frames if frame.filename in {helper.__file__, process.__file__}]
    assert ours
    # `argv` comes from the caller; only the output is secret.
    return str([(name, value) for frame in ours for name, value in (frame.locals or {}).items() if name != "argv"])


@proves("FAULT-58", "TRU-4")
def test_interrupted_caller_leaves_nothing_running(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(run: process.Run, seconds: float) -> None:
        if zoo.running:
            raise KeyboardInterrupt

    monkeypatch.setattr(process.Run, "_rest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zoo.run("sleep 600 & exec sleep 600")
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
def test_many_helpers_at_once_leak_no_thread_and_no_file_descriptor(zoo: Zoo) -> None:
    with leaving_nothing():
        runs = [threading.Thread(target=zoo.run, args=(f"sleep 600 & echo {number}",)) for number in range(16)]
        for run in runs:
            run.start()
        for run in runs:
            run.join(PATIENCE)
    zoo.wait_until_all_gone()
