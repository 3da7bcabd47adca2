"""Sign-in commands of other tools: shown line by line, limited, without secrets, and not twice within a minute."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from freshkey._commands import external_login, process
from freshkey._commands.command import Command
from freshkey._commands.external_login import run_login_command
from freshkey._commands.pins import pinned
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from promises import proves
from raises_code import raises_code
from runnable import runnable
from waiting import until


class Ear(LoggingReporter):
    """Records what the command prints."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.doing: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, message: str) -> None:
        self.doing.append(message)


class World:
    """A sign-in program, and what is needed to run it."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / ("sign-in.cmd" if sys.platform == "win32" else "sign-in")
        self.runs = directory / "runs"
        self.state = directory / "state"
        self.ear = Ear()
        self.clock = ManualClock()
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "USERPROFILE": str(directory)}

    def does(self, code: str) -> None:
        """Write the program, of Python code; each run leaves a line in a file."""
        count = f"with open({str(self.runs)!r}, 'a') as runs:\n    print('run', file=runs)"
        runnable(self.program.with_suffix(""), f"import os, time\n{count}\n{code}")

    def run(self, *, profile: str = "me", timeout: float = 20.0, command: Command | None = None) -> None:
        run_login_command(
            command or Command(argv=(str(self.program), "a-secret-argument")),
            Profile(name=profile, provider="x", settings=None, state_dir=self.state),
            self.ear,
            clock=self.clock,
            timeout=timeout,
            environ=self.environ,
        )

    @property
    def count(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_output_is_passed_on_line_by_line(world: World) -> None:
    world.does(
        "print('Open https://sso.example.com/', flush=True)\n"
        "print('and enter ABCD', file=sys.stderr, flush=True)\n"
        "sys.stdout.write('no newline')"
    )
    world.run()
    assert world.ear.lines == ["Open https://sso.example.com/", "and enter ABCD", "no newline"]
    assert world.ear.doing == [f"Running {world.program.name}"]


def test_line_is_passed_on_while_the_command_runs(world: World) -> None:
    goes_on = world.runs.with_name("goes-on")

    class Continuing(Ear):
        def line(self, text: str) -> None:
            super().line(text)
            goes_on.touch()

    world.ear = Continuing()
    world.does(f"print('enter ABCD', flush=True)\nwhile not os.path.exists({str(goes_on)!r}): time.sleep(0.02)")
    world.run()
    assert world.ear.lines == ["enter ABCD"]


def test_standard_input_is_empty(world: World) -> None:
    world.does("print('got', repr(sys.stdin.read()))")
    world.run()
    assert world.ear.lines == ["got ''"]


def test_environment_has_no_secrets(world: World) -> None:
    world.environ |= {"AWS_SECRET_ACCESS_KEY": "canary", "AWS_PROFILE": "dev", "BROWSER": "lynx"}
    world.does("for name, value in os.environ.items(): print(f'{name}={value}')")
    world.run()
    assert "canary" not in "\n".join(world.ear.lines)
    assert {"AWS_PROFILE=dev", "BROWSER=lynx"} <= set(world.ear.lines)


KILLED = 9 if sys.platform == "win32" else -9


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("print('nope', file=sys.stderr); sys.exit(3)", ["status 3", ": nope"]),
        ("sys.exit(1)", ["status 1"]),
        ("os.kill(os.getpid(), 9)", [f"status {KILLED}"]),
    ],
)
def test_failure_reports_status_and_last_line(world: World, code: str, facts: list[str]) -> None:
    world.does(code)
    check_failure(world, facts)


def check_failure(world: World, facts: list[str]) -> None:
    with raises_code(LoginRequired, "sign-in-command-failed") as error:
        world.run(timeout=60.0)
    assert error.value.profile == "me"
    for fact in (f"'{world.program.name}'", *facts):
        assert fact in error.value.message
    assert "a-secret-argument" not in str(error.value)


def test_command_that_hangs_is_killed_and_its_last_line_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = SimpleNamespace(monotonic=lambda: 60.0 if world.ear.lines else 0.0, sleep=time.sleep)
    monkeypatch.setattr(process, "time", passing)
    world.does("print('enter ABCD', flush=True); time.sleep(600)")
    check_failure(world, ["timed out after 60 s", ": enter ABCD"])


@proves("LEK-9")
@pytest.mark.parametrize(
    "printed",
    [
        "error: bad token sk-ant-api03-abcDEF123456",
        "password=hunter2-canary",
        "https://ada:hunter2-canary@example.com/ refused",
        "SECRET",
        "-----BEGIN PRIVATE KEY-----\nhunter2-canary\n",
    ],
)
def test_output_is_shown_without_secrets_and_not_written(world: World, printed: str) -> None:
    world.environ["EXAMPLE_TOKEN"] = "qwertz-canary-0123456789"
    text = printed.replace("SECRET", f"got {world.environ['EXAMPLE_TOKEN']}")
    world.does(f"print({text!r}); sys.exit(3)")
    with raises_code(LoginRequired, "sign-in-command-failed") as first:
        world.run()
    with raises_code(LoginRequired, "sign-in-command-failed") as again:
        world.run()
    (note,) = (world.state / "login-commands").iterdir()
    for told in (str(first.value), str(again.value), "\n".join(world.ear.lines), note.read_text()):
        assert "canary" not in told
        assert "abcDEF" not in told
    assert "[redacted]" in first.value.message
    assert "exited with status 3" in again.value.message
    assert set(json.loads(note.read_text())) == {"wall", "elapsed", "boot_id", "status"}


@proves("LEK-9")
def test_urls_and_codes_that_the_user_needs_are_passed_on(world: World) -> None:
    url = "https://sso.example.com/device?user_code=ABCD-EFGH&state=f1Yc0aZ&code_challenge=Zx9Qw8eRt7yUi6oPa5sDf4gHj3k"
    world.does(f"print({url!r}); print('enter the code: ABCD-EFGH')")
    world.run()
    assert world.ear.lines == [url, "enter the code: ABCD-EFGH"]


@pytest.mark.skipif(sys.platform == "win32", reason="a browser is one of them there; see test_windows_job.py")
def test_processes_that_it_started_are_killed(world: World) -> None:
    pid_file = world.runs.with_name("pid")
    world.does(
        f"import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); print('done')"
    )
    world.run()
    until(lambda: not alive(int(pid_file.read_text())), "its exit")
    assert world.ear.lines == ["done"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("status", [1, 0])
def test_no_process_runs_it_again_within_a_minute(world: World, status: int) -> None:
    world.does(f"sys.exit({status})")
    first = raises_code(LoginRequired, "sign-in-command-failed") if status else nullcontext()
    with first:
        world.run()
    for _ in range(2):
        with raises_code(LoginRequired, "sign-in-command-failed"):
            world.run()
    assert world.count == 1
    world.clock.advance(59)
    with raises_code(LoginRequired, "sign-in-command-failed") as error:
        world.run()
    assert "60 s" in str(error.value.hint)
    world.clock.advance(1)
    world.does("")
    world.run()
    assert world.count == 2


def test_pause_applies_to_one_profile(world: World) -> None:
    world.does("")
    world.run()
    world.run(profile="you")
    assert world.count == 2


def test_pause_is_kept_in_memory_if_it_cannot_be_written(world: World) -> None:
    world.state.write_text("a file where the directory should be")
    world.does("")
    world.run()
    with raises_code(LoginRequired, "sign-in-command-failed"):
        world.run()
    assert world.count == 1
    external_login._unwritten.clear()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"wall": "x"}', '{"wall": 1e999, "elapsed": 1, "boot_id": "b"}'])
def test_unreadable_note_is_ignored(world: World, note: str) -> None:
    world.does("")
    world.run()
    (file,) = (world.state / "login-commands").iterdir()
    file.write_text(note)
    world.run()
    assert world.count == 2


def test_excess_output_is_dropped(world: World) -> None:
    world.does(
        f"sys.stdout.write('x' * 3_000_000); print(*range({external_login.MAX_LINES * 2}), sep='\\n')\n"
        "sys.stdout.write('\\033[31mred')"
    )
    world.run()
    assert len(world.ear.lines) == external_login.MAX_LINES
    assert max(map(len, world.ear.lines)) <= external_login.MAX_LINE


def test_control_characters_are_removed(world: World) -> None:
    world.does("sys.stdout.buffer.write(b'a\\033[2Jb\\rc\\007\\n')")
    world.run()
    assert world.ear.lines == ["a [2Jb", "c"]


def test_changed_command_of_a_project_is_not_run(world: World) -> None:
    world.does("")
    argv, folder = (f"./{world.program.name}",), world.program.parent
    command = Command(argv=argv, directory=folder, pins=pinned(argv, folder))
    world.program.write_text("changed")
    with raises_code(TrustNeeded, "trusted-command-changed"):
        world.run(command=command)
    assert world.count == 0


def test_missing_program_is_an_error_and_starts_no_pause(world: World) -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as error:
        world.run()
    assert f"'{world.program.name}'" in error.value.message
    world.does("")
    world.run()
