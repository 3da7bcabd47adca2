"""Another tool's own sign-in: shown line by line, bounded, without secrets, and never twice within a minute."""

from __future__ import annotations

import stat
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from freshkey._commands import external_login
from freshkey._commands.command import Command, pinned
from freshkey._commands.external_login import run_login_command
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from waiting import until


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands of this file are shell scripts")


class Ear(LoggingReporter):
    """Hears what the command prints."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.doing: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, message: str) -> None:
        self.doing.append(message)


class World:
    """A script, and who runs it."""

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


def test_what_it_prints_is_passed_on_line_by_line(world: World) -> None:
    world.does("echo Open https://sso.example.com/; echo and enter ABCD >&2; printf 'no newline'")
    world.run()
    assert world.ear.lines == ["Open https://sso.example.com/", "and enter ABCD", "no newline"]
    assert world.ear.doing == ["Running sign-in"]


def test_a_line_is_passed_on_before_it_ends(world: World) -> None:
    goes_on = world.runs.with_name("goes-on")

    class Person(Ear):
        def line(self, text: str) -> None:
            super().line(text)
            goes_on.touch()

    world.ear = Person()
    world.does(f"echo enter ABCD; until [ -e {goes_on} ]; do sleep 0.02; done")
    world.run()
    assert world.ear.lines == ["enter ABCD"]


def test_it_has_nothing_to_read(world: World) -> None:
    world.does("read answer && echo got $answer; echo done")
    world.run()
    assert world.ear.lines == ["done"]


def test_it_sees_no_secret_of_the_environment(world: World) -> None:
    world.environ |= {"AWS_SECRET_ACCESS_KEY": "canary", "AWS_PROFILE": "dev", "BROWSER": "lynx"}
    world.does("env")
    world.run()
    assert "canary" not in "\n".join(world.ear.lines)
    assert {"AWS_PROFILE=dev", "BROWSER=lynx"} <= set(world.ear.lines)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo nope >&2; exit 3", r"^me: 'sign-in' ended with status 3; it last said: nope. Run it yourself"),
        ("exit 1", r"^me: 'sign-in' ended with status 1. Run it yourself"),
        ("kill -9 $$", r"^me: 'sign-in' ended with status -9. Run it"),
        ("echo enter ABCD; exec sleep 600", r"did not end within 1 s; it last said: enter ABCD"),
    ],
)
def test_one_that_fails_says_how_it_ended_and_what_it_last_said(world: World, script: str, says: str) -> None:
    world.does(script)
    with pytest.raises(LoginRequired, match=says) as error:
        world.run(timeout=1.0 if "sleep" in script else 30.0)
    assert "a-secret-argument" not in str(error.value)


def test_what_it_started_ends_with_it(world: World) -> None:
    pid_file = world.runs.with_name("pid")
    world.does(f"sleep 600 & echo $! > {pid_file}; echo done")
    world.run()
    until(lambda: not alive(int(pid_file.read_text())), "its end")
    assert world.ear.lines == ["done"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("script", ["exit 1", "exit 0"])
def test_it_is_not_run_again_within_a_minute_by_any_process(world: World, script: str) -> None:
    world.does(script)
    first = pytest.raises(LoginRequired) if script == "exit 1" else nullcontext()
    with first:
        world.run()
    for _ in range(2):
        with pytest.raises(LoginRequired):
            world.run()
    assert world.count == 1
    world.clock.advance(59)
    with pytest.raises(LoginRequired, match="a moment ago, and there are still no usable credentials"):
        world.run()
    world.clock.advance(1)
    world.does("exit 0")
    world.run()
    assert world.count == 2


def test_another_profile_does_not_wait(world: World) -> None:
    world.does("exit 0")
    world.run()
    world.run(profile="you")
    assert world.count == 2


def test_where_nothing_can_be_written_this_process_remembers(world: World) -> None:
    world.state.write_text("a file where the directory should be")
    world.does("exit 0")
    world.run()
    with pytest.raises(LoginRequired, match="ended well a moment ago"):
        world.run()
    external_login._unwritten.clear()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"wall": "x"}', '{"wall": 1e999, "elapsed": 1, "boot_id": "b"}'])
def test_a_note_that_cannot_be_read_is_none(world: World, note: str) -> None:
    world.does("exit 0")
    world.run()
    (file,) = (world.state / "login-commands").iterdir()
    file.write_text(note)
    world.run()
    assert world.count == 2


def test_a_flood_is_read_and_dropped(world: World) -> None:
    world.does(f"head -c 3000000 /dev/zero | tr '\\0' x; seq {external_login.MAX_LINES * 2}; printf '\\033[31mred'")
    world.run()
    assert len(world.ear.lines) == external_login.MAX_LINES
    assert max(map(len, world.ear.lines)) <= external_login.MAX_LINE


def test_nothing_that_a_terminal_would_obey_is_passed_on(world: World) -> None:
    world.does("printf 'a\\033[2Jb\\rc\\007\\n'")
    world.run()
    assert world.ear.lines == ["a [2Jb", "c"]


def test_a_projects_command_that_was_changed_is_not_run(world: World) -> None:
    world.does("exit 0")
    command = Command(
        argv=("./sign-in",), directory=world.script.parent, pins=pinned(("./sign-in",), world.script.parent)
    )
    world.does("echo changed")
    with pytest.raises(TrustNeeded, match="is not what it was when you trusted it"):
        world.run(command=command)
    assert world.count == 0


def test_one_that_is_not_there_is_a_fault_of_the_configuration(world: World) -> None:
    with pytest.raises(ConfigurationError, match="'sign-in' is not there"):
        world.run()
    world.does("exit 0")
    world.run()
