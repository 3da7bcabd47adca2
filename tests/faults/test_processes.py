"""Forks, orphans, crowds of processes and of threads: one renewal per expiry, and one lock that is nobody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from counterparts.oidc import OidcServer, sign_in
from crashing_process import Ended, Forge, until_halted, works
from forking_process import Children, lock_file, until_it_has_open
from freshkey import LoginRequired
from freshkey.testing import AuthorizationServer, ScriptedPerson
from home import Home
from matrix import row
from rotating import World, in_threads, token_of


SUPPORT = Path(__file__).parents[1] / "support"
RENEWAL = "grant.refresh_token"
FIFTY = 50


@pytest.fixture
def settings(server: AuthorizationServer) -> dict[str, Any]:
    return {**server.settings(), "provider": "claude_oauth", "store": "file"}


@pytest.fixture
def other(settings: dict[str, Any], tmp_path: Path) -> Iterator[Forge]:
    with Forge(settings, tmp_path) as forge:
        yield forge


# --- a holder that is killed ----------------------------------------------------------------------------------------


@row(20, "ROT-1", "ROT-9")
def test_who_waits_for_a_killed_holder_goes_on(
    forge: Forge, other: Forge, server: AuthorizationServer, tmp_path: Path
) -> None:
    for repetition in range(FIFTY):
        holder = forge.begin("refresh", at="P3", act="SIGSTOP")
        until_halted(holder)
        waiter = other.begin("refresh")
        until_it_has_open(waiter, lock_file(tmp_path))
        os.kill(holder, signal.SIGKILL)
        assert forge.finish() == Ended(signal.SIGKILL, 0, {})
        went_on = other.finish()
        assert works(server, went_on)
        assert server.count(RENEWAL) == repetition + 1
    assert server.count("refresh_token.reused") == 0


# --- children in the middle of a renewal ----------------------------------------------------------------------------


def begin(what: str, how: str, settings: dict[str, Any], home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SUPPORT / "forking_process.py"), what, how, json.dumps(settings), str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@row(22, "ROT-11", "ROT-1")
@pytest.mark.parametrize("how", ["fork", "multiprocessing-fork", "multiprocessing-forkserver", "multiprocessing-spawn"])
def test_children_of_a_process_in_the_middle_of_a_renewal_wait_for_it_and_share_its_result(
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


@row(23, "ROT-11", "ROT-12")
@pytest.mark.parametrize("how", ["fork", "program"])
def test_a_child_that_outlives_us_does_not_keep_our_lock(
    forge: Forge, server: AuthorizationServer, settings: dict[str, Any], tmp_path: Path, how: str
) -> None:
    done = begin("orphan", how, settings, tmp_path)
    child = int(done.stdout)
    try:
        assert done.returncode == -signal.SIGKILL
        after = forge.run("refresh", patience=0)
        os.kill(child, 0)
        assert works(server, after)
        assert server.count(RENEWAL) == 1
    finally:
        os.kill(child, signal.SIGKILL)


# --- crowds ---------------------------------------------------------------------------------------------------------

PROCESSES = 10
THREADS = 10
EXPIRIES = 3


@pytest.mark.counterpart
@row(24, "ROT-1")
def test_a_hundred_threads_in_ten_processes_spend_each_refresh_token_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, "file")
    for name in ("config", "state"):
        home.variables[f"FRESHKEY_{name.upper()}_DIR"] = str(tmp_path / name)
        monkeypatch.setenv(f"FRESHKEY_{name.upper()}_DIR", str(tmp_path / name))
    with OidcServer(access_token_seconds=3) as server:
        home.use(server)
        with home.keeper() as keeper, ScriptedPerson(browser=sign_in) as person:
            keeper.login("me", ask=person)
        command = [sys.executable, str(SUPPORT / "crowded_process.py"), "me", str(THREADS), str(EXPIRIES + 1)]
        processes = [
            subprocess.Popen(
                command,
                env=home.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        # All of them stand ready before the first one asks.
        assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * PROCESSES
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=90) for process in processes]

        assert [(process.returncode, error) for process, (_, error) in zip(processes, outputs, strict=True)] == [
            (0, "")
        ] * PROCESSES
        reports = [json.loads(output) for output, _ in outputs]
        assert [report["errors"] for report in reports] == [[]] * PROCESSES
        assert all(len(report["seen"]) > EXPIRIES for report in reports)

        different = {token for report in reports for token in report["seen"]}
        renewals = server.count("grant.success", grant_type="refresh_token")
        # The first may have ended before anybody looked; whoever ended last may have renewed once more.
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


@row(25, "ROT-1")
def test_a_thousand_threads_share_one_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(THOUSAND, lambda: keeper.get("me"))
    assert [token_of(answer) for answer in answers] == ["at-2"] * THOUSAND
    assert world.provider.sent == ["rt-1"]


@row(25, "ROT-1", "ROT-5")
def test_a_thousand_threads_share_one_refusal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([LoginRequired("the server no longer knows the refresh token")])
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(THOUSAND, lambda: keeper.get("me"))
    assert [type(answer) for answer in answers] == [LoginRequired] * THOUSAND
    assert len({id(answer) for answer in answers}) == THOUSAND, "each caller raises a copy of its own"
    assert world.provider.sent == ["rt-1"]
