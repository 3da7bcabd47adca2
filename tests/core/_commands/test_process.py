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
from freshkey._commands.process import Run, find_program, is_bare, is_command
from freshkey.errors import ConfigurationError, TransientError
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tests run shell commands")


class Listener:
    """Records the output."""

    def __init__(self) -> None:
        self.heard = b""

    def __call__(self, pipe: io.RawIOBase) -> None:
        while part := pipe.read(100):
            self.heard += part


def started(code: str, take: Callable[[io.RawIOBase], None], *, with_errors: bool = False) -> Run:
    return Run(["sh", "-c", code], dict(os.environ), take, with_errors=with_errors)


def goes_on(passed: float) -> bool:
    return True


@pytest.mark.parametrize(("with_errors", "heard"), [(False, b"out\n"), (True, b"out\nerr\n")])
def test_output_is_read_and_standard_error_only_on_request(with_errors: bool, heard: bytes) -> None:
    listener = Listener()
    assert started("echo out; echo err >&2; exit 3", listener, with_errors=with_errors).wait(20, goes_on) == 3
    assert listener.heard == heard


def test_output_before_the_timeout_is_kept() -> None:
    listener = Listener()
    assert started("echo early; exec sleep 600", listener).wait(0.5, goes_on) is None
    assert listener.heard == b"early\n"


def test_program_is_killed_when_the_callback_returns_false() -> None:
    began = time.monotonic()
    passed: list[float] = []

    def until_three(seconds: float) -> bool:
        passed.append(seconds)
        return len(passed) < 3

    assert started("exec sleep 600", Listener()).wait(60, until_three) is None
    assert passed == sorted(passed)
    assert len(passed) == 3
    assert time.monotonic() - began < 30


def test_reader_that_stops_early_does_not_delay_the_exit() -> None:
    assert started("exec 1>&-; sleep 0.1; exit 4", lambda pipe: None).wait(20, goes_on) == 4


def test_program_is_found_by_path_or_on_path_only() -> None:
    assert find_program("sh", {"PATH": "/bin"}) == "/bin/sh"
    assert find_program("/bin/sh", {}) == "/bin/sh"
    assert find_program("sh", {"PATH": "."}) is None


def test_valid_commands_and_bare_names() -> None:
    assert is_command(["a", ""])
    assert not any(map(is_command, ([], [""], ["a", "\0"])))
    assert [is_bare(word) for word in ("a", "./a", "/a", ".", "..")] == [True, False, False, False, False]


@proves("TRU-9")
def test_entries_of_path_that_depend_on_the_working_directory_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("work/here", "first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text("")
        (tmp_path / name / "tool").chmod(0o700)
    (tmp_path / "work" / "tool").write_text("")
    (tmp_path / "work" / "tool").chmod(0o700)
    first, second = (str(tmp_path / name) for name in ("first", "second"))

    assert find_program("tool", {"PATH": os.pathsep.join(["", ".", "here", "~", first, second])}) == f"{first}/tool"
    assert find_program("tool", {"PATH": "::.:here"}) is None
    assert find_program("tool", {"PATH": ""}) is None


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a program, and the working directory in it."""
    root = tmp_path / "checkout"
    for folder in (root / ".git", root / "src", root / "bin", tmp_path / "mine"):
        folder.mkdir(parents=True)
    for program, output in ((root / "bin" / "tool", "project"), (tmp_path / "mine" / "other", "mine")):
        program.write_text(f"#!/bin/sh\necho {output}\n")
        program.chmod(0o700)
    monkeypatch.chdir(root / "src")
    return root


@pytest.mark.parametrize("entry", ["{root}/bin", "../bin", "{root}/src/../bin", "{mine}/link"])
def test_program_of_the_project_is_not_looked_up(checkout: Path, tmp_path: Path, entry: str) -> None:
    """TRU-13: neither a command nor what it starts by name is taken from the project, but a path is a path."""
    (tmp_path / "mine" / "link").symlink_to(checkout / "bin")
    path = f"{entry.format(root=checkout, mine=tmp_path / 'mine')}:{tmp_path}/mine:/usr/bin:/bin"
    environ = {"PATH": path}
    assert find_program("tool", environ) is None
    assert find_program("other", environ) == f"{tmp_path}/mine/other"
    assert run_helper([str(checkout / "bin" / "tool")], environ=environ) == Secret("project\n")
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_helper(["tool"], environ=environ)
    if entry.startswith("{"):
        assert "absolute path" in (caught.value.hint or "")
    with raises_code(TransientError, "command-failed"):
        run_helper(["sh", "-c", "tool"], environ=environ)


def test_interpreter_of_the_project_does_not_run_a_script(checkout: Path, tmp_path: Path) -> None:
    """TRU-13: what env finds for a script is looked up in the same places as the script."""
    (tmp_path / "mine" / "script").write_text("#!/usr/bin/env tool\n")
    (tmp_path / "mine" / "script").chmod(0o700)
    with raises_code(TransientError, "command-failed"):
        run_helper(["script"], environ={"PATH": f"{checkout}/bin:{tmp_path}/mine:/usr/bin:/bin"})
