"""A program that is terminated, exits or is halted during a renewal saves the result."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashing_process import Ended, Forge, until_halted, works
from freshkey_testing import AuthorizationServer
from promises import proves
from warm_processes import proceed


RENEWAL = "grant.refresh_token"
FIFTY = 50 if sys.platform != "win32" else 2  # where each process takes seconds to start
SENT = ["request_sent", "after_refresh", "item_written", "committed"]


@proves("FAULT-17", "ROT-10")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.parametrize("point", SENT)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_command_finishes_its_renewal_after_a_signal(
    forge: Forge, server: AuthorizationServer, point: str, name: str
) -> None:
    generation = 1
    for _ in range(FIFTY // 12 + 1):
        ended = forge.run("command", at=point, act=name)
        generation += 1
        assert (ended.signal, ended.code) == (0, 128 + signal.Signals[name])
        renewals = server.count(RENEWAL)
        after = forge.run("get")
        assert after.said["generation"] == generation
        assert works(server, after)
        assert server.count(RENEWAL) == renewals == generation - 1


@proves("FAULT-18", "ROT-10")
@pytest.mark.parametrize("verb", ["leave", "leave-daemon"])
@pytest.mark.parametrize("point", SENT)
def test_program_that_exits_during_a_renewal_saves_the_result(
    forge: Forge, server: AuthorizationServer, point: str, verb: str
) -> None:
    generation = 1
    for _ in range(FIFTY // 8 + 1):
        assert forge.run(verb, at=point, act="leaving") == Ended(0, 0, {})
        generation += 1
        after = forge.run("get")
        assert after.said["generation"] == generation
        assert works(server, after)
        assert server.count(RENEWAL) == generation - 1
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-18", "ROT-10", "TIM-6")
def test_exit_handler_that_renews_gets_a_result_or_an_error_and_loses_nothing(
    forge: Forge, server: AuthorizationServer
) -> None:
    for _ in range(min(FIFTY, 5)):
        ended = forge.run("leave-late")
        assert (ended.signal, ended.code) == (0, 0)
        # Newer Python versions cannot start threads at that point, so nothing is sent.
        assert "token" in ended.said or ended.said["error"] == "TransientError"
        after = forge.run("get")
        assert after.said["generation"] == 1 + server.count(RENEWAL)
        assert works(server, after)


@pytest.fixture
def other(server: AuthorizationServer, tmp_path: Path, forge_store: str) -> Iterator[Forge]:
    with Forge({**server.settings(), "provider": "claude_oauth", "store": forge_store}, tmp_path) as forge:
        yield forge


@proves("FAULT-19", "ROT-9", "ROT-1")
def test_halted_lock_holder_blocks_only_renewals(forge: Forge, other: Forge, server: AuthorizationServer) -> None:
    generation = 1
    for _ in range(FIFTY):
        holder = forge.begin("refresh", at="lock_held", act="SIGSTOP")
        until_halted(holder)

        valid = other.run("get")
        assert valid.said["generation"] == generation
        assert works(server, valid)

        waiter = other.run("refresh", patience=0.05)
        assert waiter.said["error"] == "StoreBusy"
        assert str(holder) in waiter.said["message"]
        assert server.count(RENEWAL) == generation - 1

        proceed(holder)
        generation += 1
        assert forge.finish().said["generation"] == generation
        assert server.count(RENEWAL) == generation - 1
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-47", "ROT-6", "ROT-9")
@pytest.mark.parametrize("point", ["intent_written", "after_refresh", "committed"])
def test_process_halted_during_a_renewal_finishes_it_when_it_continues(
    forge: Forge, other: Forge, server: AuthorizationServer, point: str
) -> None:
    generation = 1
    for _ in range(min(FIFTY, 5)):
        halted = forge.begin("refresh", at=point, act="SIGSTOP")
        until_halted(halted)
        # Another process neither breaks the lock nor uses the token again.
        assert other.run("refresh", patience=0.05).said["error"] == "StoreBusy"
        proceed(halted)
        generation += 1
        assert forge.finish().said["generation"] == generation
        assert server.count(RENEWAL) == generation - 1
        assert works(server, other.run("get"))
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-47", "ROT-6", "ROT-10")
def test_process_halted_past_the_deadline_discards_that_response_and_retries_once(
    forge: Forge, server: AuthorizationServer
) -> None:
    server.policy.grace = 60.0
    server.hold()
    halted = forge.begin("refresh", at="request_sent", act="SIGSTOP", deadline=2.0)
    until_halted(halted)
    server.wait_for(RENEWAL)
    time.sleep(2.1)  # there is no event to wait for while the process is halted
    proceed(halted)
    server.wait_for("refresh_token.graced")
    server.release()
    ended = forge.finish()
    assert ended.said["generation"] == 2
    assert works(server, ended)
    assert server.count("refresh_token.reused") == 0
