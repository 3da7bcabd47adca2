"""Which file a program's name means on Windows, and what a batch file is passed (LEK-7)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from freshkey_cli import windows_program
from freshkey_cli.windows_program import UnsafeArgumentError, batch_line


BATCH = r"C:\My tools\tool.cmd"
START = r'/e:ON /v:OFF /d /c ""C:\My tools\tool.cmd"'


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain", "plain"),
        (r"C:\a-b_c\d.txt", r"C:\a-b_c\d.txt"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a&calc.exe", '"a&calc.exe"'),
        ('" & calc.exe & "', '""" & calc.exe & """'),
        ('\\" & calc.exe', '"\\\\"" & calc.exe"'),
        ("back\\", '"back\\\\"'),
        ("^", '"^"'),
        ("!PATH!", '"!PATH!"'),
        ("%PATH%", '"%%cd:~,%PATH%%cd:~,%"'),
        ("é", "é"),
    ],
)
def test_argument_of_a_batch_file_is_one_word_to_the_command_processor(argument: str, written: str) -> None:
    assert batch_line(BATCH, [argument]) == f'{START} {written}"'


@pytest.mark.parametrize("argument", ["a\rb", "a\ncalc.exe", "\n", "a" * 8200, "%" * 1100])
def test_what_a_batch_file_cannot_be_passed_is_refused(argument: str) -> None:
    with pytest.raises(UnsafeArgumentError) as caught:
        batch_line(BATCH, [argument])
    assert argument not in str(caught.value)


@pytest.mark.skipif(sys.platform != "win32", reason="names of programs for Windows")
class TestFind:
    def there(self, folder: Path, *names: str) -> None:
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_bytes(b"")

    def find(self, named: str, *folders: object, pathext: str = ".COM;.EXE;.BAT;.CMD") -> str | None:
        return windows_program.find(named, {"PATH": ";".join(map(str, folders)), "PATHEXT": pathext})

    def test_working_directory_is_not_searched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there(tmp_path, "tool.exe")
        monkeypatch.chdir(tmp_path)

        assert self.find("tool", "", ".", "C:") is None
        assert self.find("tool.exe", "", ".", "C:") is None
        assert self.find(".\\tool") == str(tmp_path / "tool.exe")

    def test_first_folder_counts_and_in_it_the_first_extension(self, tmp_path: Path) -> None:
        self.there(tmp_path / "a", "tool", "tool.cmd", "tool.txt")
        self.there(tmp_path / "b", "tool.exe", "tool.bat")

        assert self.find("tool", tmp_path / "a", tmp_path / "b") == str(tmp_path / "a" / "tool.cmd")
        assert self.find("tool", f'"{tmp_path / "b"}"', tmp_path / "a") == str(tmp_path / "b" / "tool.exe")
        assert self.find("tool", tmp_path / "b", pathext="bad;.BAT;.EXE") == str(tmp_path / "b" / "tool.bat")
        assert self.find("tool.BAT", tmp_path / "a", tmp_path / "b") == str(tmp_path / "b" / "tool.BAT")
        assert self.find("tool.txt", tmp_path / "a") is None

    def test_path_means_a_batch_file_before_the_script_for_other_systems_beside_it(self, tmp_path: Path) -> None:
        self.there(tmp_path, "tool", "tool.cmd", "other")

        assert self.find(str(tmp_path / "tool")) == str(tmp_path / "tool.cmd")
        assert self.find(str(tmp_path / "other")) == str(tmp_path / "other")
        assert self.find(str(tmp_path / "missing")) is None

    @pytest.mark.parametrize("end", [".", " ", ". ."])
    def test_dots_and_spaces_do_not_hide_a_batch_file(self, tmp_path: Path, end: str) -> None:
        self.there(tmp_path, "tool.cmd")

        found = self.find(str(tmp_path / f"tool.cmd{end}"))
        assert found is None or windows_program.is_batch(found)

    def test_empty_name_means_nothing(self) -> None:
        assert self.find("", *sys.path) is None


@pytest.mark.skipif(sys.platform != "win32", reason="batch files")
@pytest.mark.parametrize(
    "words",
    [
        ["a", "b c", ""],
        ["a&echo injected", "a|b", "<x>", "^"],
        ['" & echo injected & "', 'q"q', '\\"'],
        ["back\\", "x y\\", "!PATH!"],
    ],
)
def test_batch_file_gets_its_arguments_and_runs_nothing_else(tmp_path: Path, words: list[str]) -> None:
    batch = tmp_path / "show it.cmd"
    batch.write_text(f'@"{sys.executable}" -c "import sys; print(sys.argv[1:])" %*\n')
    program = "import os, sys; from freshkey_cli import windows_child as it; it.run(sys.argv[1:], dict(os.environ))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(batch), *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.rstrip("\n"), done.stderr) == (0, str(words), "")
