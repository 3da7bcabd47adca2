"""On Windows a program runs as a child, and is to the user what would have replaced this process elsewhere."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path

import pytest

from console_user import at_console, line_of, press_ctrl_c
from waiting import PATIENCE, until


if sys.platform != "win32":
    pytest.skip("elsewhere, the program replaces the process", allow_module_level=True)

PARENT = """
import os, sys
from freshkey_cli import exec_process
environ = dict(os.environ) | {"APP_TOKEN": "secret"}
try:
    words = ["x" * 33000 if word == "too long" else word for word in sys.argv[1:]]
    code = exec_process.replace(words, environ, [])
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(99)
assert environ == {}
sys.exit(code)
"""


def parent(*words: str) -> list[str]:
    return [sys.executable, "-c", PARENT, *words]


def run(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(parent(*words), input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("code", [0, 1, 127, 259, 0x80000000, 0xC000013A, 0xFFFFFFFF])
def test_exit_code_is_that_of_the_program(code: int) -> None:
    program = f"import ctypes; ctypes.windll.kernel32.ExitProcess({code})"
    assert run(sys.executable, "-c", program).returncode == code


def test_standard_streams_are_those_of_the_program() -> None:
    program = "import sys; print(sys.stdin.read()); print('told', file=sys.stderr); print(sys.argv[1:])"
    done = run(sys.executable, "-c", program, "a b", 'q"', "", text="typed")

    assert (done.returncode, done.stdout, done.stderr) == (0, "typed\n['a b', 'q\"', '']\n", "told\n")


def test_environment_is_the_one_that_was_given() -> None:
    program = "import os; print(os.environ['app_token'], bool(os.environ['SYSTEMROOT']))"
    assert run(sys.executable, "-c", program).stdout == "secret True\n"


@pytest.mark.parametrize("ending", ["kill", "Ctrl-C"])
def test_ctrl_c_is_for_the_program_and_the_end_for_both(tmp_path: Path, ending: str) -> None:
    alive = tmp_path / "alive"
    program = (
        "import pathlib, sys, time\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    while True: pathlib.Path(sys.argv[1]).touch(); time.sleep(0.05)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True); sys.exit(7)"
    )
    with at_console(parent(sys.executable, "-c", program, str(alive))) as process:
        assert line_of(process) == "ready"
        until(alive.exists)
        if ending == "kill":
            process.kill()
            process.wait(PATIENCE)
            until(lambda: is_still(alive), "the program to end", pause=0.5)
        else:
            press_ctrl_c(process)
            assert line_of(process) == "interrupted"
            assert process.wait(PATIENCE) == 7


def is_still(file: Path) -> bool:
    before = file.stat().st_mtime_ns
    time.sleep(1.0)
    return file.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["no-such-program", "", "nowhere\\tool", ".\\tool"])
def test_program_that_does_not_exist(name: str) -> None:
    assert run(name).stdout.startswith("CommandNotFound command not found: ")


def test_file_that_is_not_a_program(tmp_path: Path) -> None:
    (tmp_path / "tool.exe").write_text("no program")
    (tmp_path / "tool.cmd").write_text("@echo ran\n")

    told = run(str(tmp_path / "tool.exe")).stdout
    assert told.startswith("CommandNotExecutable cannot run ")
    assert "it is not a program for Windows" in told
    assert run(str(tmp_path)).stdout.startswith("CommandNotExecutable cannot run ")
    assert "line break" in run(str(tmp_path / "tool.cmd"), "a\nb").stdout
    assert run(str(tmp_path / "tool.cmd"), "a b").stdout == "ran\n"


@pytest.mark.skipif(hasattr(ctypes.WinDLL("ntdll"), "wine_get_version"), reason="Wine 8 runs it")
def test_command_line_that_is_too_long_for_windows() -> None:
    assert run(sys.executable, "-c", "0", "too long").stdout.startswith("CommandNotExecutable cannot run ")
