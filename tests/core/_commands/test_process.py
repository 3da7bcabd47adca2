"""The runner of programs: reads output while the program runs, and kills it on timeout or request."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._commands.helper import run_helper
from freshkey._commands.lookup import find_program
from freshkey._commands.process import Run
from freshkey.errors import ConfigurationError, TransientError
from promises import proves
from raises_code import raises_code
from runnable import python, runnable


class Listener:
    """Records the output."""

    def __init__(self) -> None:
        self.heard = b""

    def __call__(self, pipe: io.RawIOBase) -> None:
        while part := pipe.read(100):
            self.heard += part


def started(code: str, take: Callable[[io.RawIOBase], None], *, with_errors: bool = False) -> Run:
    return Run(python(code), dict(os.environ), take, with_errors=with_errors)


def goes_on(passed: float) -> bool:
    return True


@pytest.mark.parametrize(("with_errors", "heard"), [(False, [b"out"]), (True, [b"out", b"err"])])
def test_output_is_read_and_standard_error_only_on_request(with_errors: bool, heard: list[bytes]) -> None:
    listener = Listener()
    code = "print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    assert started(code, listener, with_errors=with_errors).wait(50, goes_on) == 3
    assert listener.heard.split() == heard


def test_output_before_the_timeout_is_kept() -> None:
    listener = Listener()
    run = started("print('early', flush=True); time.sleep(600)", listener)
    assert run.wait(50, lambda passed: not listener.heard) is None
    assert listener.heard.split() == [b"early"]


def test_program_is_killed_when_the_callback_returns_false() -> None:
    began = time.monotonic()
    passed: list[float] = []

    def until_three(seconds: float) -> bool:
        passed.append(seconds)
        return len(passed) < 3

    assert started("time.sleep(600)", Listener()).wait(60, until_three) is None
    assert passed == sorted(passed)
    assert len(passed) == 3
    assert time.monotonic() - began < 30


def test_reader_that_stops_early_does_not_delay_the_exit() -> None:
    assert started("os.close(1); time.sleep(0.1); os._exit(4)", lambda pipe: None).wait(50, goes_on) == 4


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a program, and the working directory in it."""
    root = tmp_path / "checkout"
    for folder in (root / ".git", root / "src"):
        folder.mkdir(parents=True)
    runnable(root / "bin" / "tool", "print('project')")
    runnable(tmp_path / "mine" / "other", "print('mine')")
    monkeypatch.chdir(root / "src")
    return root


STARTING = "import shutil, subprocess; sys.exit(subprocess.call(shutil.which('tool') or ['no-such-program']))"


@proves("TRU-13")
@pytest.mark.parametrize("entry", ["{root}/bin", "../bin", "{root}/src/../bin", "{mine}/link"])
def test_program_of_the_project_is_not_looked_up(checkout: Path, tmp_path: Path, entry: str) -> None:
    """Neither a command nor what it starts by name is taken from the project, but a path is a path."""
    mine = tmp_path / "mine"
    (mine / "link").symlink_to(checkout / "bin", target_is_directory=True)
    if "link" in entry and not (mine / "link").is_symlink():
        pytest.skip("Wine 8 makes no symbolic links")
    environ = {"PATH": os.pathsep.join([entry.format(root=checkout, mine=mine), str(mine), os.environ["PATH"]])}
    tool, other = checkout / "bin" / "tool", mine / "other"
    assert find_program("tool", environ) is None
    assert Path(find_program("other", environ) or "").with_suffix("") == other
    assert run_helper([str(tool)], environ=environ).reveal().split() == ["project"]
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_helper(["tool"], environ=environ)
    if entry.startswith("{"):
        assert "absolute path" in (caught.value.hint or "")
    with raises_code(TransientError, "command-failed"):
        run_helper(python(STARTING), environ=environ)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows starts no scripts by their first line")
def test_interpreter_of_the_project_does_not_run_a_script(checkout: Path, tmp_path: Path) -> None:
    """TRU-13: what env finds for a script is looked up in the same places as the script."""
    (tmp_path / "mine" / "script").write_text("#!/usr/bin/env tool\n")
    (tmp_path / "mine" / "script").chmod(0o700)
    with raises_code(TransientError, "command-failed"):
        run_helper(["script"], environ={"PATH": f"{checkout}/bin:{tmp_path}/mine:/usr/bin:/bin"})
