"""Sign-in commands of other tools: shown line by line, limited, without secrets, and not twice within a minute."""

from __future__ import annotations

import json
import stat
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from freshkey._commands import external_login
from freshkey._commands.command import Command
from freshkey._commands.external_login import run_login_command
from freshkey._commands.pins import pinned
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from promises import proves
from raises_code import raises_code
from waiting import until


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands of this file are shell scripts")


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
    """A sign-in script, and what is needed to run it."""

    def __init__(self, directory: Path) -> None:
        self.script = directory / "sign-in"
        self.runs = directory / "runs"
        self.state = directory / "state"
        self.ear = Ear()
        self.clock = ManualClock()
        self.environ: dict[str, str] = {"PATH": "/usr/bin:/bin", "HOME": str(directory)}

    def does(self, script: str) -> None:
        self.script.write_text(f"#!/bin/sh\necho run >> {self.runs}\n{script}\n")
        self.script.chmod(stat.S_IRWXU)

    def run(self, *, profile: str = "me", timeout: float = 20.0, command: Command | None = None) -> None:
        run_login_command(
            command or Command(argv=(str(self.script), "a-secret-argument")),
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
    world.does("echo Open https://sso.example.com/; echo and enter ABCD >&2; printf 'no newline'")
    world.run()
    assert world.ear.lines == ["Open https://sso.example.com/", "and enter ABCD", "no newline"]
    assert world.ear.doing == ["Running sign-in"]


def test_line_is_passed_on_while_the_command_runs(world: World) -> None:
    goes_on = world.runs.with_name("goes-on")

    class Continuing(Ear):
        def line(self, text: str) -> None:
            super().line(text)
            goes_on.touch()

    world.ear = Continuing()
    world.does(f"echo enter ABCD; until [ -e {goes_on} ]; do sleep 0.02; done")
    world.run()
    assert world.ear.lines == ["enter ABCD"]


def test_standard_input_is_empty(world: World) -> None:
    world.does("read answer && echo got $answer; echo done")
    world.run()
    assert world.ear.lines == ["done"]


def test_environment_has_no_secrets(world: World) -> None:
    world.environ |= {"AWS_SECRET_ACCESS_KEY": "canary", "AWS_PROFILE": "dev", "BROWSER": "lynx"}
    world.does("env")
    world.run()
    assert "canary" not in "\n".join(world.ear.lines)
    assert {"AWS_PROFILE=dev", "BROWSER=lynx"} <= set(world.ear.lines)


@pytest.mark.parametrize(
    ("script", "facts"),
    [
        ("echo nope >&2; exit 3", ["status 3", ": nope"]),
        ("exit 1", ["status 1"]),
        ("kill -9 $$", ["status -9"]),
        ("echo enter ABCD; exec sleep 600", [" 1 s", ": enter ABCD"]),
    ],
)
def test_failure_reports_status_and_last_line(world: World, script: str, facts: list[str]) -> None:
    world.does(script)
    with raises_code(LoginRequired, "sign-in-command-failed") as error:
        world.run(timeout=1.0 if "sleep" in script else 30.0)
    assert error.value.profile == "me"
    for fact in ("'sign-in'", *facts):
        assert fact in error.value.message
    assert "a-secret-argument" not in str(error.value)


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
    world.does(f"cat <<'END'\n{text}\nEND\nexit 3")
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
    world.does(f"echo '{url}'; echo 'enter the code: ABCD-EFGH'")
    world.run()
    assert world.ear.lines == [url, "enter the code: ABCD-EFGH"]


def test_processes_that_it_started_are_killed(world: World) -> None:
    pid_file = world.runs.with_name("pid")
    world.does(f"sleep 600 & echo $! > {pid_file}; echo done")
    world.run()
    until(lambda: not alive(int(pid_file.read_text())), "its exit")
    assert world.ear.lines == ["done"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("script", ["exit 1", "exit 0"])
def test_no_process_runs_it_again_within_a_minute(world: World, script: str) -> None:
    world.does(script)
    first = raises_code(LoginRequired, "sign-in-command-failed") if script == "exit 1" else nullcontext()
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
    world.does("exit 0")
    world.run()
    assert world.count == 2


def test_pause_applies_to_one_profile(world: World) -> None:
    world.does("exit 0")
    world.run()
    world.run(profile="you")
    assert world.count == 2


def test_pause_is_kept_in_memory_if_it_cannot_be_written(world: World) -> None:
    world.state.write_text("a file where the directory should be")
    world.does("exit 0")
    world.run()
    with raises_code(LoginRequired, "sign-in-command-failed"):
        world.run()
    assert world.count == 1
    external_login._unwritten.clear()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"wall": "x"}', '{"wall": 1e999, "elapsed": 1, "boot_id": "b"}'])
def test_unreadable_note_is_ignored(world: World, note: str) -> None:
    world.does("exit 0")
    world.run()
    (file,) = (world.state / "login-commands").iterdir()
    file.write_text(note)
    world.run()
    assert world.count == 2


def test_excess_output_is_dropped(world: World) -> None:
    world.does(f"head -c 3000000 /dev/zero | tr '\\0' x; seq {external_login.MAX_LINES * 2}; printf '\\033[31mred'")
    world.run()
    assert len(world.ear.lines) == external_login.MAX_LINES
    assert max(map(len, world.ear.lines)) <= external_login.MAX_LINE


def test_control_characters_are_removed(world: World) -> None:
    world.does("printf 'a\\033[2Jb\\rc\\007\\n'")
    world.run()
    assert world.ear.lines == ["a [2Jb", "c"]


def test_changed_command_of_a_project_is_not_run(world: World) -> None:
    world.does("exit 0")
    command = Command(
        argv=("./sign-in",), directory=world.script.parent, pins=pinned(("./sign-in",), world.script.parent)
    )
    world.does("echo changed")
    with raises_code(TrustNeeded, "trusted-command-changed"):
        world.run(command=command)
    assert world.count == 0


def test_missing_program_is_an_error_and_starts_no_pause(world: World) -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as error:
        world.run()
    assert "'sign-in'" in error.value.message
    world.does("exit 0")
    world.run()
