"""The setting ``api_key_helper`` with a program of this system: on Windows also a script for cmd.exe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from freshkey import Configuration, Keeper
from freshkey.errors import ConfigurationError, ProtocolError
from python_program import command_line, written_program
from raises_code import raises_code


def keeper(command: list[str], state_dir: Path) -> Keeper:
    table = {"provider": "claude_oauth", "store": "memory", "api_key_helper": command}
    return Keeper(configuration=Configuration.of({"me": table}, state_dir=state_dir))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_printed_key_is_used_without_its_line_ending(tmp_path: Path, ending: str) -> None:
    script = f"import sys\nsys.stdout.buffer.write({f'key-1{ending}'.encode()!r})"
    running = keeper(written_program(tmp_path / "print key", script), tmp_path)
    assert running.get("me").headers()["x-api-key"] == "key-1"


def test_program_that_prints_two_lines_is_refused(tmp_path: Path) -> None:
    command = written_program(tmp_path / "print-keys", "print('canary-1')\nprint('canary-2')")
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        keeper(command, tmp_path).get("me")
    assert "canary" not in str(caught.value)


def test_missing_program_is_named(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        keeper([str(tmp_path / "print-key.exe")], tmp_path).get("me")
    assert "'print-key.exe'" in caught.value.message


@pytest.mark.skipif(sys.platform != "win32", reason="scripts for cmd.exe run only on Windows")
def test_script_for_cmd_is_run_by_its_name_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors install their tools as ``NAME.cmd``; users write only the name."""
    folder = tmp_path / "with spaces"
    folder.mkdir()
    command = written_program(tmp_path / "program", "print('key-of-cmd')")
    (folder / "print-key.cmd").write_text(f"@{command_line(command)}\n", "utf-8")
    monkeypatch.setenv("PATH", str(folder))
    assert keeper(["print-key"], tmp_path).get("me").headers()["x-api-key"] == "key-of-cmd"
