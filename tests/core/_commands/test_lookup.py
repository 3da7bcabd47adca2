"""Where programs are found: on PATH only, with the extensions of Windows, and never in the working directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from freshkey._commands.command import Command
from freshkey._commands.environ import with_safe_path
from freshkey._commands.helper import run_helper
from freshkey._commands.lookup import find_program, find_users_program, how_to_name, is_bare, is_command
from freshkey._commands.process import refuse_unsafe_words
from freshkey._files import variable_paths
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from runnable import runnable


on_windows = pytest.mark.skipif(sys.platform != "win32", reason="other systems have no extensions for programs")


def same(found: str | None, place: Path) -> bool:
    return found is not None and Path(found) == place


def test_valid_commands_and_bare_names() -> None:
    assert is_command(["a", ""])
    assert not any(map(is_command, ([], [""], ["a", "\0"])))
    assert [is_bare(word) for word in ("a", "./a", "/a", ".", "..")] == [True, False, False, False, False]


@proves("TRU-9")
def test_entries_of_path_that_depend_on_the_working_directory_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runnable(tmp_path / "work" / "here" / "tool", "print('evil')")
    runnable(tmp_path / "work" / "tool", "print('evil')")
    first, second = (runnable(tmp_path / name / "tool", "print('mine')") for name in ("first", "second"))
    monkeypatch.chdir(tmp_path / "work")
    mine = [str(first.parent), str(second.parent)]

    assert same(find_program("tool", {"PATH": os.pathsep.join(["", ".", "here", "~", *mine])}), first)
    assert find_program("tool", {"PATH": os.pathsep.join(["", "", ".", "here"])}) is None
    assert find_program("tool", {"PATH": ""}) is None
    assert find_program("tool", {}) is None
    assert same(find_program(str(second), {}), second)


@pytest.mark.skipif(sys.platform == "win32", reason="only elsewhere, words are looked up")
def test_path_is_read_once_however_many_words_a_command_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: str) -> list[str]:
        read.append(path)
        return variable_paths.path_entries(path)

    monkeypatch.setattr("freshkey._files.project_place.path_entries", counted)
    refuse_unsafe_words(["-c", " ".join(f"word{number}" for number in range(50))], {"PATH": str(tmp_path)}, tmp_path)
    assert read == [str(tmp_path)]


def test_entry_of_path_in_quotation_marks_has_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installer for Windows writes them; a helper must find what `freshkey exec` finds."""
    monkeypatch.setattr(variable_paths, "_MARK", '"')
    tool = runnable(tmp_path / "my tools" / "tool", "")
    path = {"PATH": os.pathsep.join(['"missing"', f'"{tool.parent}"'])}
    assert same(find_program("tool", path), tool)
    assert with_safe_path({"PATH": f'"{tool.parent}"'}) == {"PATH": str(tool.parent)}


def test_default_path_of_windows_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has ``C:\\bin``, which every user of the machine may create; elsewhere it has only the system's folders."""
    tool = runnable(tmp_path / "tool", "")
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    assert same(find_program("tool", {}), tool) is (sys.platform != "win32")


@on_windows
@proves("TRU-9", "TRU-13")
def test_program_in_the_working_directory_is_not_run_before_those_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CreateProcess and cmd.exe look there first; neither is asked."""
    runnable(tmp_path / "work" / "tool", "print('evil')")
    mine = runnable(tmp_path / "mine" / "tool", "print('mine')")
    outer = tmp_path / "mine" / "outer.cmd"
    outer.write_text("@tool\n")
    monkeypatch.chdir(tmp_path / "work")
    environ = {**os.environ, "PATH": os.pathsep.join([str(mine.parent), os.environ["PATH"]])}
    assert run_helper(["tool"], environ=environ, directory=tmp_path / "work") == Secret("mine\r\n")
    seen = run_helper(
        [sys.executable, "-I", "-c", "import os; print(os.environ['NoDefaultCurrentDirectoryInExePath'])"],
        environ=environ,
    )
    assert seen == Secret("1\r\n"), "what cmd.exe and Python look up themselves"


@on_windows
@proves("TRU-13")
def test_shell_of_a_helper_is_the_system_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = str(tmp_path / "evil.exe")
    environ = {"PATH": os.environ["PATH"], "ComSpec": evil, "SystemRoot": str(tmp_path), "windir": str(tmp_path)}
    code = "import subprocess; print(subprocess.check_output('echo fine', shell=True, text=True).strip())"
    assert run_helper([sys.executable, "-I", "-c", code], environ=environ) == Secret("fine\r\n")


@on_windows
def test_variables_are_found_however_they_are_written(tmp_path: Path) -> None:
    tool = runnable(tmp_path / "tool", "")
    assert same(find_program("tool", {"Path": str(tmp_path)}), tool)
    assert same(find_program("TOOL.Cmd", {"path": str(tmp_path)}), tool)


@on_windows
def test_extensions_are_tried_in_the_order_of_pathext(tmp_path: Path) -> None:
    for name in ("tool", "tool.bat", "tool.exe", "tool.vbs", "tool.py", "dotted.1.exe", "script.js"):
        (tmp_path / name).touch()
    (tmp_path / "folder.exe").mkdir()
    path = {"PATH": str(tmp_path)}
    assert same(find_program("tool", path), tmp_path / "tool.exe")
    assert same(find_program("tool", {**path, "PATHEXT": ".VBS;.PY;.BAT;.EXE"}), tmp_path / "tool.bat")
    assert same(find_program("tool", {**path, "PATHEXT": ".VBS"}), tmp_path / "tool.exe")
    assert same(find_program(str(tmp_path / "tool"), {}), tmp_path / "tool.exe")
    assert same(find_program("dotted.1", path), tmp_path / "dotted.1.exe")
    for name in ("folder", "script", "script.js", "tool.py", "tool.bat.", "tool.bat ", str(tmp_path / "tool.py")):
        assert find_program(name, path) is None, name
    assert "name the program that runs it" in how_to_name(str(tmp_path / "tool.py"), path)


@on_windows
@pytest.mark.parametrize("program", [r"C:tool.exe", r"\tool.exe", r"..\tool.exe", r".\tool.exe", r"a\tool.exe"])
def test_path_that_depends_on_a_directory_or_drive_is_refused(program: str) -> None:
    with pytest.raises(ValueError, match="has a relative path"):
        Command.of([program])
    with raises_code(ConfigurationError, "invalid-command") as caught:
        run_helper([program])
    assert "'tool.exe' has a relative path" in caught.value.message


@on_windows
@proves("TRU-13")
def test_program_that_the_user_asks_for_may_be_in_the_project_but_not_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = runnable(tmp_path / "bin" / "tool", "")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tool.parent)

    for path in ("", ".", os.pathsep):
        assert find_users_program("tool", {"PATH": path}) is None
    assert find_program("tool", {"PATH": str(tool.parent)}) is None
    assert same(find_users_program("tool", {"PATH": os.pathsep.join([".", str(tool.parent)])}), tool)
    assert same(find_users_program(os.path.join(os.curdir, "tool"), {}), tool)  # noqa: PTH118  pathlib drops the dot
    assert same(find_users_program(str(tool), {}), tool)
    assert find_users_program(os.path.join(os.curdir, "missing"), {}) is None  # noqa: PTH118


@on_windows
def test_path_that_the_user_names_means_a_batch_file_before_the_script_for_other_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tool", "tool.cmd", "other"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    for named in (tmp_path / "tool", tmp_path / "tool.cmd.", tmp_path / "tool.cmd. ."):
        assert same(find_users_program(str(named), {}), tmp_path / "tool.cmd")
    assert find_users_program(str(tmp_path / "other"), {}) is None
    assert same(find_users_program("tool", {"Path": f'"{tmp_path}"'}), tmp_path / "tool.cmd")
    assert find_users_program("tool", {"PATH": "C:"}) is None


@on_windows
@pytest.mark.parametrize("program", [r"C:\tools\tool.exe", r"\\server\share\tool.exe", "C:/tools/tool.exe", "tool.exe"])
def test_absolute_path_or_name_is_a_command(program: str) -> None:
    assert Command.of([program]).name == "tool.exe"
