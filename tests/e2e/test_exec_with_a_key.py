"""freshkey exec on every system: exit codes, the program's environment, and programs that cannot be run (LEK-7)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import define

from console_user import at_console, line_of, press_ctrl_c
from home import Home
from promises import proves
from runnable import python, runnable
from waiting import PATIENCE


KEY = "sk-ant-api03-canary-9a2b7c11-0123456789"
SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
"""A program that prints its arguments and its environment."""

on_windows = pytest.mark.skipif(sys.platform != "win32", reason="only Windows has batch files and such names")


@define(kw_only=True)
class User(Home):
    """A user with an API key in a variable, in a working directory."""

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "freshkey", "exec", "me", "--", *words]

    def run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            cwd=self.work,
            input=text,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    @property
    def work(self) -> Path:
        return self.root / "work"


@pytest.fixture
def user(tmp_path: Path) -> User:
    user = User(root=tmp_path, store="file")
    user.configure()
    user.work.mkdir()
    user.variables |= {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    user.variables |= {"ANTHROPIC_API_KEY": KEY}
    return user


CODES = [0, 1, 3, 127, *([256, 0xC000013A, 0xFFFFFFFF] if sys.platform == "win32" else [])]


@pytest.mark.parametrize("code", CODES)
def test_exit_code_is_that_of_the_program(user: User, code: int) -> None:
    end = f"import ctypes; ctypes.windll.kernel32.ExitProcess({code})"
    if sys.platform != "win32":
        end = f"import sys; sys.exit({code})"
    done = user.run(sys.executable, "-c", end)

    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@proves("LEK-4", "LEK-7")
def test_program_gets_the_credential_and_nothing_that_renews_or_unlocks(user: User) -> None:
    foreign = {"CLAUDE_CODE_OAUTH_REFRESH_TOKEN": "left-over", "FRESHKEY_PASSPHRASE": "correct horse"}
    kept = {"AWS_PROFILE": "mine", "ANTHROPIC_BASE_URL": "https://gateway.example", "ODD": "a  b & %PATH% \u00e9"}
    user.variables |= foreign | kept
    if sys.platform == "win32":  # where names of variables have no case
        user.variables |= {"Claude_Code_Api_Key_Helper": "x", "Freshkey_Other_Secret": "correct horse"}
    done = user.run(sys.executable, "-c", SHOW, "a b", "", 'q"q', "back\\")
    assert (done.returncode, done.stderr) == (0, "")
    words, seen = json.loads(done.stdout)

    assert words == ["a b", "", 'q"q', "back\\"]
    assert seen["ANTHROPIC_API_KEY"] == KEY
    assert {name: seen.get(name) for name in kept} == kept
    assert not {name.upper() for name in seen} & {*foreign, "CLAUDE_CODE_USE_BEDROCK"}
    assert "correct horse" not in done.stdout
    assert "left-over" not in done.stdout


def test_streams_are_those_of_the_program(user: User) -> None:
    program = "import sys; print(sys.stdin.read() + '!'); print('told', file=sys.stderr)"
    done = user.run(sys.executable, "-c", program, text="typed\n")

    assert (done.returncode, done.stdout, done.stderr) == (0, "typed\n!\n", "told\n")


def test_nothing_runs_without_a_credential(user: User) -> None:
    del user.variables["ANTHROPIC_API_KEY"]
    done = user.run(*python("open('ran', 'w').close()"))

    assert (done.returncode, done.stdout) == (3, "")
    assert not (user.work / "ran").exists()


def refused(done: subprocess.CompletedProcess[str], exit_code: int, code: str) -> bool:
    assert "Traceback" not in done.stderr
    return (done.returncode, done.stdout) == (exit_code, "") and f"[{code}]" in done.stderr


@pytest.mark.parametrize(
    "command", ["no-such-command", "", str(Path("nowhere", "tool")), str(Path(sys.executable, "tool"))]
)
def test_command_that_does_not_exist(user: User, command: str) -> None:
    assert refused(user.run(command), 127, "command-not-found")


def test_file_that_is_not_a_program(user: User) -> None:
    for name in ("tool.exe", "tool.txt"):
        (user.work / name).write_bytes(b"no program")
        assert refused(user.run(str(user.work / name)), 126, "command-not-executable")
    done = user.run(str(user.work))
    assert refused(done, 126, "command-not-executable")
    if sys.platform == "win32":
        assert "it is not a program for Windows" in done.stderr
        assert "Name the program that opens it" in done.stderr


@proves("TRU-13")
def test_name_is_looked_up_on_path_and_not_in_the_working_directory(user: User) -> None:
    runnable(user.work / "tool", "print('from here')")
    assert refused(user.run("tool"), 127, "command-not-found")

    mine = runnable(user.root / "my tools" / "tool", "print('from PATH')")
    separator = ";" if sys.platform == "win32" else ":"
    user.variables["PATH"] = separator.join([".", str(mine.parent), user.environment["PATH"]])
    if sys.platform != "win32":  # there, "." in PATH is what the user chose
        user.variables["PATH"] = user.variables["PATH"].removeprefix(".:")
    assert user.run("tool").stdout == "from PATH\n"


def test_relative_path_is_one_in_the_working_directory(user: User) -> None:
    tool = runnable(user.work / "tools" / "tool", "print('from here', *sys.argv[1:])")
    assert user.run(str(Path("tools", tool.name)), "x").stdout == "from here x\n"
    assert user.run(str(Path("tools", "tool"))).stdout == "from here\n"


HARMLESS = [
    "a",
    "b c",
    "",
    "&echo evil",
    '" & echo evil & "',
    'a"b',
    "a^b",
    "!OS!",
    "C:\\x y\\",
    "(x)|<y>",
]


@proves("LEK-7")
def test_program_that_is_a_script_gets_its_arguments_as_they_are(user: User) -> None:
    tool = runnable(user.root / "my tool", "import json; print(json.dumps(sys.argv[1:]))")
    done = user.run(str(tool), *HARMLESS)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == HARMLESS


@on_windows
def test_batch_file_is_not_run_with_arguments_that_cmd_would_cut_off(user: User) -> None:
    tool = runnable(user.work / "tool", "open('ran', 'w').close()")
    for argument in ("canary\nb", "x" * 8200):
        done = user.run(str(tool), argument)
        assert refused(done, 126, "command-not-executable")
        assert "the batch file 'tool.cmd' cannot be given its arguments" in done.stderr
        assert "canary" not in done.stderr
    assert not (user.work / "ran").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="test_exec.py has this for a terminal")
def test_ctrl_c_is_for_the_program_whose_exit_code_is_returned(user: User) -> None:
    program = python(
        "try: print('ready', flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print('told'); sys.exit(7)"
    )
    with at_console(user.command(*program), user.environment) as process:
        assert line_of(process) == "ready"
        press_ctrl_c(process)
        assert line_of(process) == "told"
        assert process.wait(PATIENCE) == 7
