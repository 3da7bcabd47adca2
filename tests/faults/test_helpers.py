"""Misbehaving helper commands: each is limited in time and output, leaves nothing running, and is never quoted."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from freshkey._commands import helper, process
from freshkey._commands.helper import read_helper_json, run_helper
from freshkey.errors import FreshkeyError, ProtocolError, TransientError
from freshkey.secret import Secret
from processes import peak_memory, runs
from promises import proves
from raises_code import raises_code
from runnable import python
from waiting import PATIENCE, leaving_nothing, until


CANARY = "canary-1f88c02b6d3e4975"
KILLED = 9 if sys.platform == "win32" else -9
PROGRAM = Path(sys.executable).name
MARK = "TEST_MARK"

PRELUDE = """
import signal, subprocess
from contextlib import suppress
folder = os.environ["TEST_MARK"]
def note(name):
    open(os.path.join(folder, str(name)), "x").close()
def start(code):
    started = f"started-{os.getpid()}-{time.monotonic_ns()}"
    whole = f"import os, sys, time\\nPRELUDE = {PRELUDE!r}{PRELUDE}note({started!r})\\n{code}"
    subprocess.Popen([sys.executable, "-I", "-c", whole])
    while not os.path.exists(os.path.join(folder, started)):
        time.sleep(0.01)
def hang():
    note("hangs")
    time.sleep(600)
note(os.getpid())
"""
"""What helpers of the zoo can do: each notes its process ID, starts others, and hangs when all have started."""

PRELUDE = f"PRELUDE = {PRELUDE!r}{PRELUDE}"
SLEEP = "time.sleep(600)"
START = f"start({SLEEP!r})"


class Zoo:
    """Starts helpers, which are Python code, and finds every process that they leave behind.

    On Linux by a mark in the environment, elsewhere by the process IDs that they note.
    """

    def __init__(self, folder: Path, patched: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patched = patched

    def run(self, code: str, timeout: float = 60.0) -> Secret:
        environ = {"PATH": os.environ["PATH"], MARK: str(self._folder)}
        return run_helper(python(PRELUDE + code), timeout=timeout, environ=environ)

    def run_hanging(self, code: str) -> Secret:
        """Run code that calls ``hang()``, until when no time passes."""
        passing = SimpleNamespace(monotonic=lambda: 1000.0 if self.hangs else 0.0, sleep=time.sleep)
        with self._patched.context() as patched:
            patched.setattr(process, "time", passing)
            return self.run(code, timeout=0.4)

    @property
    def hangs(self) -> bool:
        return (self._folder / "hangs").exists()

    @property
    def running(self) -> list[int]:
        if sys.platform != "linux":
            return [int(note.name) for note in self._folder.glob("[0-9]*") if runs(int(note.name))]
        wanted = f"{MARK}={self._folder}\0".encode()
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
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zoo]:
    zoo = Zoo(tmp_path, monkeypatch)
    yield zoo
    left = zoo.running
    for pid in left:
        os.kill(pid, 9)
    assert left == []


def test_the_zoo_finds_processes_left_behind(zoo: Zoo) -> None:
    helper = threading.Thread(target=_outcome, args=(lambda: zoo.run(f"{START}; hang()"),))
    helper.start()
    until(lambda: zoo.hangs)
    for pid in (found := zoo.running):
        os.kill(pid, 9)
    helper.join(PATIENCE)
    zoo.wait_until_all_gone()
    assert len(found) == 2


@proves("FAULT-58", "TRU-4")
@pytest.mark.parametrize(
    "code",
    [
        "hang()",
        "for each in signal.valid_signals():\n    with suppress(OSError): signal.signal(each, signal.SIG_IGN)\nhang()",
        f"{START}; {START}; hang()",
        f"start({START + '; hang()'!r}); {SLEEP}",
        "os.close(1); hang()",
        "sys.stdin.read(); hang()",
        pytest.param(
            "note('hangs'); os.kill(os.getpid(), signal.SIGSTOP)",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no process stops there"),
        ),
    ],
    ids=["sleeps", "ignores signals", "children", "grandchild", "closes its output", "reads input", "stopped"],
)
def test_helper_that_hangs_is_killed_with_its_child_processes(zoo: Zoo, code: str) -> None:
    started = time.monotonic()
    with raises_code(TransientError, "command-timed-out") as caught:
        zoo.run_hanging(f"print({CANARY!r}, flush=True)\n{code}")
    assert f"'{PROGRAM}'" in str(caught.value)
    assert "0.4 s" in str(caught.value)
    assert time.monotonic() - started < 60
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
@pytest.mark.parametrize(("code", "status"), [("", 0), ("sys.exit(1)", 1), ("os.kill(os.getpid(), 9)", KILLED)])
def test_child_processes_are_killed_when_the_helper_ends(zoo: Zoo, code: str, status: int) -> None:
    code = f"{START}; print({CANARY!r}, flush=True); {code}"
    if status:
        with raises_code(TransientError, "command-failed") as caught:
            zoo.run(code)
        assert f"status {status}" in str(caught.value)
    else:
        assert zoo.run(code) == Secret(f"{CANARY}{os.linesep}")
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
def test_helper_that_prints_endlessly_costs_neither_time_nor_memory(zoo: Zoo) -> None:
    before = peak_memory()
    printing = "while True: os.write(1, bytes(65536))"
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        zoo.run(f"start({printing!r})\n{printing}")
    assert "65536 bytes" in str(caught.value)
    assert peak_memory() - before < 20 * 1024 * 1024
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
@pytest.mark.skipif(sys.platform == "win32", reason="nothing leaves a job; see test_windows_job.py")
def test_child_process_that_left_the_session_does_not_delay_the_caller(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_READER_TIMEOUT", 0.2)
    leaving = f"os.setsid(); note('left'); {SLEEP}"
    waiting = "while not os.path.exists(os.path.join(folder, 'left')): time.sleep(0.01)"
    assert zoo.run(f"start({leaving!r})\n{waiting}\nprint('done')") == Secret("done\n")
    # It cannot be found, just like a daemon that is meant to keep running.
    (daemon,) = zoo.running
    os.kill(daemon, 9)
    zoo.wait_until_all_gone()


def _outcome(act: Callable[[], object]) -> FreshkeyError:
    with pytest.raises(FreshkeyError) as caught:
        act()
    return caught.value


@proves("FAULT-58", "TRU-4", "LEK-3")
@pytest.mark.parametrize(
    "code",
    [
        f"print({CANARY!r}, file=sys.stderr); sys.exit(1)",
        f"print({CANARY!r}, file=sys.stderr)",
        f"print({CANARY!r}); print({CANARY!r}, file=sys.stderr); sys.exit(1)",
        f"print({CANARY!r}, flush=True); hang()",
        f"sys.stdout.buffer.write({CANARY.encode()!r} + bytes([255]))",
        f"while True: print({CANARY!r})",
        f"print({CANARY!r})",
        f"print({json.dumps([CANARY])!r})",
        f"print({json.dumps({'version': 1, 'token': CANARY})!r}, 'trailing')",
        f"print({json.dumps({'version': 2, 'token': CANARY})!r})",
        f"print({json.dumps({'version': 1, 'token': CANARY + chr(13)})!r})",
        "",
    ],
    ids=range(12),
)
def test_output_of_a_helper_is_never_quoted(
    zoo: Zoo, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, code: str
) -> None:
    from rich.console import Console
    from rich.traceback import Traceback

    caplog.set_level(logging.DEBUG)
    run = zoo.run_hanging if "hang()" in code else zoo.run
    error = _outcome(lambda: read_helper_json(run(code), f"'{PROGRAM}'"))
    printed = Console(width=400)
    # Every local variable of freshkey's frames; the frames of this test contain the command itself.
    shown = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True, suppress=[__file__])
    with printed.capture() as capture:
        printed.print(shown)
    assert PROGRAM in str(error)
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
        if zoo.hangs:
            raise KeyboardInterrupt
        time.sleep(seconds)

    monkeypatch.setattr(process.Run, "_rest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zoo.run(f"{START}; hang()")
    zoo.wait_until_all_gone()


@proves("FAULT-58", "TRU-4")
def test_many_helpers_at_once_leak_no_thread_and_no_file_descriptor(zoo: Zoo) -> None:
    number = 4 if sys.platform == "win32" else 16  # there, each takes seconds to start
    with leaving_nothing():
        runs = [threading.Thread(target=zoo.run, args=(f"{START}; print(1)",)) for _ in range(number)]
        for run in runs:
            run.start()
        for run in runs:
            run.join(PATIENCE)
    zoo.wait_until_all_gone()
