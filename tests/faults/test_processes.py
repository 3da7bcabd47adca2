"""Forks, orphans, and many processes and threads: one renewal per expiry, and locks that belong to one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen

from counterparts.oidc import OidcServer, sign_in
from crashing_process import Ended, Forge, until_halted, works
from forking_process import Children, lock_file, until_it_has_open
from freshkey import Configuration, Keeper, LoginRequired
from freshkey._interprocess import lock
from freshkey_testing import AuthorizationServer, ScriptedUser
from home import Home
from promises import proves
from rotating import World, in_threads, token_of
from waiting import PATIENCE, until
from warm_processes import KILLED, kill, proceed


SUPPORT = Path(__file__).parents[1] / "support"
RENEWAL = "grant.refresh_token"
FIFTY = 50 if sys.platform != "win32" else 2  # where each process takes seconds to start
no_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")


@pytest.fixture
def settings(server: AuthorizationServer, forge_store: str) -> dict[str, Any]:
    return {**server.settings(), "provider": "claude_oauth", "store": forge_store}


@pytest.fixture
def other(settings: dict[str, Any], tmp_path: Path) -> Iterator[Forge]:
    with Forge(settings, tmp_path) as forge:
        yield forge


@pytest.fixture
def two(forge: Forge, other: Forge) -> tuple[Forge, Forge]:
    return forge, other


# --- a lock holder that is killed -----------------------------------------------------------------------------------


@proves("FAULT-20", "ROT-1", "ROT-9")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not list the open files of a process")
@pytest.mark.parametrize("_half", range(2))
def test_process_waiting_for_a_killed_lock_holder_continues(
    forge: Forge, other: Forge, server: AuthorizationServer, tmp_path: Path, _half: int
) -> None:
    for repetition in range(FIFTY // 2):
        holder = forge.begin("refresh", at="intent_written", act="SIGSTOP")
        until_halted(holder)
        waiter = other.begin("refresh")
        until_it_has_open(waiter, lock_file(tmp_path))
        kill(holder)
        assert forge.finish() == Ended(KILLED, 0, {})
        went_on = other.finish()
        assert works(server, went_on)
        assert server.count(RENEWAL) == repetition + 1
    assert server.count("refresh_token.reused") == 0


POLL = 0.05
"""Maximum seconds between two attempts to lock: two of them are less than the 0.1 s that a waiter may take."""


@proves("FAULT-20", "ROT-1", "ROT-9")
def test_process_waiting_for_a_killed_lock_holder_gets_the_lock_at_its_next_attempt(
    forge: Forge, server: AuthorizationServer, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    with Keeper(configuration=Configuration.of({"me": settings}, state_dir=tmp_path / "state")) as keeper:
        for repetition in range(min(FIFTY, 10)):
            holder = forge.begin("refresh", at="intent_written", act="SIGSTOP")
            until_halted(holder)
            pauses.clear()
            waiter = threading.Thread(target=keeper.refresh, args=["me"])
            waiter.start()
            until(lambda: len(pauses) > 1, "the waiter")
            kill(holder)
            assert forge.finish().signal == KILLED
            looks = len(pauses)
            waiter.join(PATIENCE)
            assert len(pauses) <= looks + 1, "an attempt in progress when the holder died, and the next one"
            assert max(pauses) <= POLL
            assert server.count(RENEWAL) == repetition + 1
    assert server.count("refresh_token.reused") == 0


# --- a lock holder that is halted -----------------------------------------------------------------------------------


def until_refused(forge: Forge) -> dict[str, Any]:
    """Get the credential until it has expired; return the error."""
    answers: list[dict[str, Any]] = []

    def refused() -> bool:
        answers.append(forge.run("get", patience=0.05).said)
        return "error" in answers[-1]

    until(refused, "the credential to expire")
    return answers[-1]


@proves("FAULT-19", "ROT-9", "ROT-1")
def test_error_while_waiting_for_a_halted_lock_holder_names_its_process(
    forge: Forge, other: Forge, server: AuthorizationServer, tmp_path: Path
) -> None:
    for repetition in range(min(FIFTY, 5)):
        server.policy.lifetime = 1.0
        generation = forge.run("refresh").said["generation"]
        server.policy.lifetime = 3600.0
        holder = forge.begin("refresh", at="lock_held", act="SIGSTOP")
        until_halted(holder)
        refused = until_refused(other)
        assert refused["error"] == "StoreBusy"
        assert refused["code"] == "store-busy"
        assert f"process {holder} " in refused["message"]
        assert "0.05 s" in refused["message"]
        assert server.count(RENEWAL) == 2 * repetition + 1

        waiter = other.begin("get")
        if sys.platform != "win32":  # does not list them; there it may ask a moment later
            until_it_has_open(waiter, lock_file(tmp_path))
        proceed(holder)
        renewed = forge.finish()
        assert renewed.said["generation"] == generation + 1
        assert other.finish() == renewed
        assert server.count(RENEWAL) == 2 * repetition + 2
    assert server.count("refresh_token.reused") == 0


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    path.unlink()
    path.touch(mode=0o600)


@proves("FAULT-47", "ROT-2", "ROT-6", "ROT-9")
@proves("FAULT-21", "ROT-1")
@pytest.mark.parametrize("point", ["intent_written", "request_sent", "after_refresh", "committed"])
@pytest.mark.parametrize("lose", [removed, replaced])
def test_token_in_use_by_a_halted_process_is_not_used_by_others_if_its_lock_file_is_removed(
    two: tuple[Forge, Forge], server: AuthorizationServer, tmp_path: Path, point: str, lose: Callable[[Path], None]
) -> None:
    first, second = two
    halted = first.begin("refresh", at=point, act="SIGSTOP")
    until_halted(halted)
    if sys.platform == "win32":
        with pytest.raises(PermissionError):  # an open file cannot be removed
            lose(lock_file(tmp_path))
    else:
        lose(lock_file(tmp_path))
    for _ in range(2):
        assert second.run("refresh", patience=0.1).said["error"] == "StoreBusy"
    proceed(halted)
    renewed = first.finish()
    assert renewed.said["generation"] == 2
    assert works(server, renewed)
    assert server.count(RENEWAL) == 1
    again = second.run("refresh")
    assert again.said["generation"] == 3
    assert works(server, again)
    assert server.count("refresh_token.reused") == 0


# --- child processes during a renewal -------------------------------------------------------------------------------


def begin(what: str, how: str, settings: dict[str, Any], home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SUPPORT / "forking_process.py"), what, how, json.dumps(settings), str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@proves("FAULT-22", "ROT-11", "ROT-1")
@no_fork
@pytest.mark.parametrize("how", ["fork", "multiprocessing-fork", "multiprocessing-forkserver", "multiprocessing-spawn"])
def test_child_processes_started_during_a_renewal_wait_for_it_and_share_its_result(
    forge: Forge, server: AuthorizationServer, settings: dict[str, Any], tmp_path: Path, how: str
) -> None:
    before = forge.run("get").said["token"]
    done = begin("children", how, settings, tmp_path)
    assert done.returncode == 0, done.stderr
    became = Children(**json.loads(done.stdout))
    assert became == Children(first=before, kept=True, renewed=became.second, second=became.second)
    assert became.second != before
    assert server.count(RENEWAL) == 1
    assert works(server, forge.run("get"))


@proves("FAULT-23", "ROT-11", "ROT-12")
@no_fork
@pytest.mark.parametrize("how", ["fork", "program"])
def test_child_process_that_outlives_its_parent_does_not_keep_the_lock(
    forge: Forge, server: AuthorizationServer, settings: dict[str, Any], tmp_path: Path, how: str
) -> None:
    done = begin("orphan", how, settings, tmp_path)
    child = int(done.stdout)
    try:
        assert done.returncode == -KILLED
        after = forge.run("refresh", patience=0)
        os.kill(child, 0)
        assert works(server, after)
        assert server.count(RENEWAL) == 1
    finally:
        kill(child)


# --- many processes and threads -------------------------------------------------------------------------------------


@frozen
class Crowd:
    """Programs that fork processes with threads, all of which use a credential over several expiries."""

    programs: int
    forks: int
    threads: int
    expiries: int
    lifetime: int

    def live(self, home: Home) -> list[dict[str, list[str]]]:
        """Make all of them get the credential at once; return what each process saw."""
        numbers = [str(number) for number in (self.forks, self.threads, self.expiries + 1)]
        programs = [
            subprocess.Popen(
                [sys.executable, str(SUPPORT / "crowded_process.py"), "me", *numbers],
                env=home.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(self.programs)
        ]
        # All programs are ready before the first one gets the credential.
        assert [program.stdout.readline() for program in programs if program.stdout] == ["ready\n"] * self.programs
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.flush()
        ended = [(program.communicate(timeout=90), program.returncode) for program in programs]
        assert [(code, errors) for (_, errors), code in ended] == [(0, "")] * self.programs
        return [json.loads(line) for (said, _), _ in ended for line in said.splitlines()]


@pytest.mark.counterpart
@proves("FAULT-24", "ROT-1")
@pytest.mark.parametrize(
    "crowd",
    [
        Crowd(programs=10, forks=1, threads=10, expiries=3, lifetime=3),
        Crowd(programs=1, forks=50, threads=20, expiries=1, lifetime=6),
    ],
    ids=["10 programs of 10 threads", "50 processes of 20 threads"],
)
def test_many_threads_and_processes_use_each_refresh_token_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    home = Home(tmp_path, "file")
    for name in ("config", "state"):
        home.variables[f"FRESHKEY_{name.upper()}_DIR"] = str(tmp_path / name)
        monkeypatch.setenv(f"FRESHKEY_{name.upper()}_DIR", str(tmp_path / name))
    with OidcServer(access_token_seconds=crowd.lifetime) as server:
        home.use(server)
        with home.keeper() as keeper, ScriptedUser(browser=sign_in) as user:
            keeper.login("me", interaction=user)
        reports = crowd.live(home)

        assert [report["errors"] for report in reports] == [[]] * crowd.programs * crowd.forks
        assert all(len(report["seen"]) > crowd.expiries for report in reports)

        different = {token for report in reports for token in report["seen"]}
        renewals = server.count("grant.success", grant_type="refresh_token")
        # The first token may have expired before any process got it; the last process may have renewed once more.
        assert len(different) - 1 <= renewals <= len(different) + 1
        assert server.count("refresh_token.consumed") == renewals
        assert server.count("grant.error") == 0
        assert server.count("grant.revoked") == 0


THOUSAND = 1000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "state")
    yield world
    world.close()


@proves("FAULT-25", "ROT-1")
def test_thousand_threads_share_one_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(THOUSAND, lambda: keeper.get("me"))
    assert [token_of(answer) for answer in answers] == ["at-2"] * THOUSAND
    assert world.provider.sent == ["rt-1"]


@proves("FAULT-25", "ROT-1", "ROT-5")
def test_thousand_threads_share_one_refusal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([LoginRequired("the server no longer knows the refresh token")])
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(THOUSAND, lambda: keeper.get("me"))
    assert [type(answer) for answer in answers] == [LoginRequired] * THOUSAND
    assert len({id(answer) for answer in answers}) == THOUSAND, "each caller raises its own copy"
    assert world.provider.sent == ["rt-1"]
