"""A command that prints a key: when it runs, what is served meanwhile, and every way in which it can misbehave."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import freshkey_claude_oauth as provider
from freshkey import Configuration, Keeper
from freshkey.errors import ConfigurationError, FreshkeyError, ProtocolError, ProviderRefused, TransientError
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.interaction import Interaction, LoggingReporter, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.sources import acquire
from freshkey_testing import ManualClock
from freshkey_testing.secret_scan import assert_no_secret
from waiting import until


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the helpers of this file are shell scripts")

CANARY = "sk-canary-0c9a7e5f1d"


class Helper:
    """A shell script that notes each run."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "print-key"
        self.runs_file = directory / "runs"
        self.prints("key-1")

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\necho run >> {self.runs_file}\n{script}\n")
        self.path.chmod(stat.S_IRWXU)

    def prints(self, key: str) -> None:
        self.does(f"printf '%s\\n' '{key}'")

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text().splitlines()) if self.runs_file.exists() else 0


class AtOurTime:
    """The provider, with a clock that is moved by hand."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        return provider.describe(profile=profile, credential=credential)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        return acquire(profile, source, interaction, clock=self.clock)

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        return provider.refresh(profile=profile, credential=credential, reporter=reporter)


class World:
    """A helper, a clock, and keepers that stand for processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.helper = Helper(directory)
        self.clock = ManualClock()
        self.keepers: list[Keeper] = []

    def keeper(self, reporter: LoggingReporter | None = None, /, **settings: object) -> Keeper:
        table = {"provider": "claude_oauth", "store": "memory", "api_key_helper": [str(self.helper.path)]}
        keeper = Keeper(
            configuration=Configuration.of({"me": table | settings}, state_dir=self.directory),
            clock=self.clock,
            providers={"claude_oauth": AtOurTime(self.clock)},
            reporter=reporter,
            random=lambda: 0.0,
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


def test_it_runs_once_and_is_asked_again_after_five_minutes_while_the_last_key_is_served(world: World) -> None:
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


def test_the_time_can_be_set(world: World) -> None:
    keeper = world.keeper(api_key_helper_ttl=10)
    keeper.get("me")
    world.helper.prints("key-2")
    world.clock.advance(10)
    until(lambda: key(keeper.get("me")) == "key-2")


def test_a_refusal_runs_it_at_once_and_one_run_is_shared(world: World) -> None:
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


def test_the_same_key_again_after_a_refusal_is_an_error_that_says_so(world: World) -> None:
    keeper = world.keeper()
    refused = keeper.get("me")
    world.clock.advance(60)
    with pytest.raises(ProviderRefused, match=r"^me: the credential from api_key_helper command was refused"):
        keeper.get("me", refused=refused)
    assert key(keeper.get("me")) == "key-1"


def test_two_processes_run_it_one_after_the_other(world: World) -> None:
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
def test_what_it_gives_is_sent_as_what_it_is(world: World, gives: str, headers: dict[str, str]) -> None:
    assert world.keeper(api_key_helper_gives=gives).get("me").headers() == headers


def test_a_slow_one_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._commands.helper.SLOW", 0.05)
    notices: list[str] = []

    class Ear(LoggingReporter):
        def notice(self, message: str) -> None:
            notices.append(message)

    world.helper.does("sleep 0.5; echo key-1")
    assert key(world.keeper(Ear()).get("me")) == "key-1"
    assert len(notices) == 1
    assert "'print-key' has been running for" in notices[0]


MISBEHAVING = {
    "prints two lines": (f"echo one; echo {CANARY}", ProtocolError),
    "prints nothing": ("exit 0", ProtocolError),
    "prints an empty line": ("echo", ProtocolError),
    "prints what is no ASCII": (f"printf '{CANARY}\\303\\251'", ProtocolError),
    "floods": (f"yes {CANARY}", ProtocolError),
    "prints too long a line": ("head -c 16385 /dev/zero | tr '\\0' x", ProtocolError),
    "fails, and tells its secret on standard error": (f"echo {CANARY} >&2; exit 1", TransientError),
    "fails after printing": (f"echo {CANARY}; exit 1", TransientError),
    "hangs": ("exec sleep 600", TransientError),
}


@pytest.mark.parametrize(("script", "kind"), MISBEHAVING.values(), ids=MISBEHAVING)
def test_one_that_misbehaves_is_bounded_and_named(
    world: World, script: str, kind: type[FreshkeyError], caplog: pytest.LogCaptureFixture
) -> None:  # TRU-4
    caplog.set_level("DEBUG")
    world.helper.does(script)
    keeper = world.keeper(api_key_helper_timeout=1 if "sleep" in script else 30)
    with pytest.raises(kind) as error:
        keeper.get("me")
    assert str(error.value).startswith("me: ")
    assert "'print-key'" in str(error.value)
    assert_no_secret(repr(error.value) + caplog.text, [CANARY], "the error or the log")
    assert 1 <= world.helper.runs <= 4


def test_what_it_started_does_not_outlive_it(world: World) -> None:
    pid_file = world.directory / "pid"
    world.helper.does(f"sleep 600 & echo $! > {pid_file}; echo key-1")
    assert key(world.keeper().get("me")) == "key-1"
    until(lambda: not alive(int(pid_file.read_text())))


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that is only waiting to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_sees_no_credential_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    seen = world.directory / "seen"
    world.helper.does(f"env > {seen}; echo key-1")
    world.keeper().get("me")
    assert CANARY not in seen.read_text()
    assert f"PATH={os.environ['PATH']}" in seen.read_text()


def test_one_that_is_not_there_is_a_fault_of_the_configuration(world: World) -> None:
    world.helper.path.unlink()
    with pytest.raises(ConfigurationError, match=r"^me: the helper 'print-key' is not there"):
        world.keeper().get("me")


@pytest.mark.parametrize("name", ["api_key_helper_ttl", "api_key_helper_timeout"])
@pytest.mark.parametrize("value", [0, -1, 86401, float("nan")])
def test_times_are_within_reason(world: World, name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be between 0 and 86400 seconds"):
        world.keeper(None, **{name: value}).get("me")
