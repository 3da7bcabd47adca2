"""A command that prints a key: when it runs, what is served until it finishes, and how it can misbehave."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

import freshkey_claude_oauth as provider
from freshkey import Configuration, Keeper
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.interaction import Interaction, LoggingReporter, NonInteractive, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.sources import acquire
from freshkey_testing import ManualClock
from freshkey_testing.secret_scan import assert_no_secret
from home import Home
from python_program import written_program
from raises_code import raises_code
from waiting import until


shell = pytest.mark.skipif(sys.platform == "win32", reason="the helper is a shell script")
"""For what does not differ there, or has its own tests in ``tests/core/_commands``."""

CANARY = "sk-canary-0c9a7e5f1d"


class Helper:
    """A program that records each run."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "print-key"
        self.runs_file = directory / "runs"
        self.prints("key-1")

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\necho run >> {self.runs_file}\n{script}\n")
        self.path.chmod(stat.S_IRWXU)
        self.command = [str(self.path)]

    def prints(self, key: str) -> None:
        self._runs(f"print({key!r})")

    def fails(self) -> None:
        self._runs("raise SystemExit(3)")

    def _runs(self, source: str) -> None:
        note = f"with open({str(self.runs_file)!r}, 'a') as runs:\n    print('run', file=runs)"
        self.command = written_program(self.path, f"{note}\n{source}")

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text().splitlines()) if self.runs_file.exists() else 0


class AtOurTime:
    """The provider, with a manual clock."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        return provider.describe(profile=profile, credential=credential)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        return acquire(evolve(profile, clock=self.clock), source, interaction)

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        return provider.refresh(profile=profile, credential=credential, reporter=reporter)


class World:
    """A helper, a clock, and keepers that act as separate processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.helper = Helper(directory)
        self.clock = ManualClock()
        self.keepers: list[Keeper] = []

    def keeper(
        self, reporter: LoggingReporter | None = None, /, *, at_terminal: bool = False, **settings: object
    ) -> Keeper:
        table = {"provider": "claude_oauth", "store": "memory", "api_key_helper": self.helper.command}
        keeper = Keeper(
            configuration=Configuration.of({"me": table | settings}, state_dir=self.directory),
            clock=self.clock,
            providers={"claude_oauth": AtOurTime(self.clock)},
            reporter=reporter,
            random=lambda: 0.0,
            at_terminal=at_terminal,
        )
        self.keepers.append(keeper)
        return keeper


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    for keeper in world.keepers:
        keeper.close()


def key(credential: Credential) -> str:
    assert credential.token is not None
    return credential.token.reveal()


def test_helper_runs_again_after_five_minutes_while_the_last_key_is_served(world: World) -> None:
    keeper = world.keeper()
    assert [key(keeper.get("me")) for _ in range(5)] == ["key-1"] * 5
    world.helper.prints("key-2")
    world.clock.advance(299)
    assert key(keeper.get("me")) == "key-1"
    assert world.helper.runs == 1
    world.clock.advance(1)
    assert key(keeper.get("me")) == "key-1"
    until(lambda: key(keeper.get("me")) == "key-2")
    assert world.helper.runs == 2


def test_ttl_is_configurable(world: World) -> None:
    keeper = world.keeper(api_key_helper_ttl=10)
    keeper.get("me")
    world.helper.prints("key-2")
    world.clock.advance(10)
    until(lambda: key(keeper.get("me")) == "key-2")


@shell
def test_refused_key_runs_the_helper_once_for_all_threads(world: World) -> None:
    keeper = world.keeper()
    refused = keeper.get("me")
    world.clock.advance(60)
    world.helper.does("sleep 0.3; echo key-2")
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(key(keeper.get("me", refused=refused)))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["key-2"] * 20
    assert world.helper.runs == 2


def test_same_key_after_a_refusal_is_an_error(world: World) -> None:
    keeper = world.keeper()
    refused = keeper.get("me")
    world.clock.advance(60)
    with raises_code(ProviderRefused, "credential-refused") as caught:
        keeper.get("me", refused=refused)
    assert str(caught.value).startswith("me: ")
    assert "api-key-helper" in str(caught.value)
    assert key(keeper.get("me")) == "key-1"


@shell
def test_processes_run_the_helper_one_at_a_time(world: World) -> None:
    busy = world.directory / "busy"
    world.helper.does(f"mkdir {busy} || exit 9; sleep 0.2; rmdir {busy}; echo key-1")
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(key(world.keeper().get("me")))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["key-1"] * 3
    assert world.helper.runs == 3


@pytest.mark.parametrize(
    ("gives", "headers"),
    [
        ("api-key", {"x-api-key": "key-1"}),
        ("bearer-token", {"Authorization": "Bearer key-1"}),
        ("oauth-token", {"Authorization": "Bearer key-1", "anthropic-beta": "oauth-2025-04-20"}),
    ],
)
def test_output_is_sent_as_api_key_helper_gives_says(world: World, gives: str, headers: dict[str, str]) -> None:
    assert world.keeper(api_key_helper_gives=gives).get("me").headers() == headers


@shell
def test_slow_helper_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._commands.helper.SLOW", 0.05)
    notices: list[str] = []

    class Ear(LoggingReporter):
        def notice(self, message: str) -> None:
            notices.append(message)

    world.helper.does("sleep 0.5; echo key-1")
    assert key(world.keeper(Ear()).get("me")) == "key-1"
    assert len(notices) == 1
    assert "'print-key'" in notices[0]


MISBEHAVING = {
    "prints two lines": (f"echo one; echo {CANARY}", ProtocolError, "invalid-command-output"),
    "prints nothing": ("exit 0", ProtocolError, "invalid-command-output"),
    "prints an empty line": ("echo", ProtocolError, "invalid-command-output"),
    "prints non-ASCII characters": (f"printf '{CANARY}\\303\\251'", ProtocolError, "invalid-command-output"),
    "prints without end": (f"yes {CANARY}", ProtocolError, "invalid-command-output"),
    "prints too long a line": ("head -c 16385 /dev/zero | tr '\\0' x", ProtocolError, "invalid-command-output"),
    "fails, and prints its secret to stderr": (f"echo {CANARY} >&2; exit 1", TransientError, "command-failed"),
    "fails after printing": (f"echo {CANARY}; exit 1", TransientError, "command-failed"),
    "hangs": ("exec sleep 600", TransientError, "command-timed-out"),
}


@shell
@pytest.mark.parametrize(("script", "kind", "code"), MISBEHAVING.values(), ids=MISBEHAVING)
def test_misbehaving_helper_is_stopped_and_named(
    world: World, script: str, kind: type[FreshkeyError], code: str, caplog: pytest.LogCaptureFixture
) -> None:  # TRU-4
    caplog.set_level("DEBUG")
    world.helper.does(script)
    keeper = world.keeper(api_key_helper_timeout=1 if "sleep" in script else 30)
    with raises_code(kind, code) as caught:
        keeper.get("me")
    assert str(caught.value).startswith("me: ")
    assert "'print-key'" in str(caught.value)
    assert_no_secret(f"{caught.value!r} {caught.value} {caplog.text}", [CANARY], "the error or the log")
    assert 1 <= world.helper.runs <= 4


@shell
def test_child_processes_of_the_helper_are_killed(world: World) -> None:
    pid_file = world.directory / "pid"
    world.helper.does(f"sleep 600 & echo $! > {pid_file}; echo key-1")
    assert key(world.keeper().get("me")) == "key-1"
    until(lambda: not alive(int(pid_file.read_text())))


def alive(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@shell
def test_helper_does_not_see_credentials_in_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    seen = world.directory / "seen"
    world.helper.does(f"env > {seen}; echo key-1")
    world.keeper().get("me")
    assert CANARY not in seen.read_text()
    assert f"PATH={os.environ['PATH']}" in seen.read_text()


@shell
def test_missing_helper_is_a_configuration_error(world: World) -> None:
    world.helper.path.unlink()
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        world.keeper().get("me")
    assert str(caught.value).startswith("me: ")
    assert "'print-key'" in str(caught.value)


def test_without_the_setting_the_source_is_an_error(world: World) -> None:
    profile = Profile(name="me", provider="claude_oauth", settings=ClaudeSettings(), state_dir=world.directory)
    source = description(None).source("api-key-helper")
    assert source is not None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        provider.acquire(profile=profile, source=source, interaction=NonInteractive("me"))
    assert "api_key_helper" in str(caught.value)
    assert "[profiles.me]" in str(caught.value)


@pytest.mark.parametrize("name", ["api_key_helper_ttl", "api_key_helper_timeout"])
@pytest.mark.parametrize("value", [0, -1, 86401, float("nan")])
def test_unreasonable_time_is_refused(world: World, name: str, value: float) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        world.keeper(None, at_terminal=False, **{name: value}).get("me")
    assert name in str(caught.value)
    assert "86400" in str(caught.value)


# --- pauses after failures ------------------------------------------------------------------------------------------


def broken(world: World, keeper: Keeper) -> None:
    """Let the helper fail once, without retries."""
    world.helper.fails()
    keeper._open_profile("me").close()
    with raises_code(TransientError, "command-failed"):
        keeper.get("me")


def test_mended_helper_runs_at_the_next_call(world: World) -> None:
    keeper = world.keeper()
    broken(world, keeper)
    until(lambda: keeper._open_profile("me")._future is None)
    runs = world.helper.runs
    for _ in range(2):
        with raises_code(TransientError, "command-failed") as caught:
            keeper.get("me")
        assert "found 0 s ago; next try in 2 s" in caught.value.message
    assert world.helper.runs == runs, "an unchanged helper is not run again"
    world.helper.prints("key-2")
    assert key(keeper.get("me")) == "key-2"


def test_helper_that_fails_again_is_run_less_and_less_often(world: World) -> None:
    keeper = world.keeper()
    for pause in (2, 4, 8, 16, 30, 30):
        broken(world, keeper)
        until(lambda: keeper._open_profile("me")._future is None)
        with raises_code(TransientError, "command-failed") as caught:
            keeper.get("me")
        assert isinstance(caught.value, TransientError)
        assert caught.value.retry_after == pytest.approx(pause)
        world.clock.advance(pause + 0.1)


@pytest.mark.parametrize("form", ["{}", "--config={}", "sh -c 'cat {}'"])
def test_changed_file_that_an_argument_names_ends_the_pause(world: World, form: str) -> None:
    config = world.directory / "helper.conf"
    command = [*world.helper.command, form.format(config)]
    broken(world, world.keeper(api_key_helper=command))
    world.helper.runs_file.unlink()
    with raises_code(TransientError, "command-failed"):
        world.keeper(api_key_helper=command).get("me")
    assert world.helper.runs == 0
    config.write_text("account = 2")
    keeper = world.keeper(api_key_helper=command)
    keeper._open_profile("me").close()
    with raises_code(TransientError, "command-failed"):
        keeper.get("me")
    assert world.helper.runs == 1


def test_helper_with_other_settings_is_run_at_once(world: World) -> None:
    broken(world, world.keeper(api_key_helper_timeout=5.0))
    world.helper.runs_file.unlink()
    keeper = world.keeper(api_key_helper_timeout=6.0)
    keeper._open_profile("me").close()
    with raises_code(TransientError, "command-failed"):
        keeper.get("me")
    assert world.helper.runs == 1


@shell
@pytest.mark.parametrize("code", ["command-failed", "invalid-command-output", "command-timed-out"])
def test_later_process_runs_a_helper_that_nothing_tells_about(world: World, code: str) -> None:
    """For example one that reads a remote service, which the user has just unlocked."""
    scripts = {"command-failed": "exit 1", "invalid-command-output": "echo", "command-timed-out": "sleep 5"}
    locked = world.directory / "locked"
    locked.touch()
    world.helper.does(f"if [ -e {locked} ]; then {scripts[code]}; else echo key-2; fi")
    first = world.keeper(api_key_helper_timeout=0.5)
    first._open_profile("me").close()
    with raises_code(FreshkeyError, code):
        first.get("me")
    locked.unlink()
    with raises_code(FreshkeyError, code):
        first.get("me")
    world.clock.advance(0.1)
    assert key(world.keeper(api_key_helper_timeout=0.5).get("me")) == "key-2"
    world.clock.advance(2)
    assert key(first.get("me")) == "key-2"


@shell
def test_what_a_helper_reads_is_mended_and_works_in_the_next_process(tmp_path: Path) -> None:
    helper, home = Helper(tmp_path), Home(tmp_path, "memory")
    home.variables |= {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    home.configure(api_key_helper=helper.command)
    helper.does('cat "$(dirname "$0")/vault"')
    failed = home.freshkey("token")
    assert failed.returncode == 5
    assert "[command-failed]" in failed.stderr
    (tmp_path / "vault").write_text("key-2\n")
    assert home.freshkey("token").stdout == "key-2\n"
