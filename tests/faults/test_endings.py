"""A program is told to end, ends by itself, or is halted in the middle of a renewal: what was spent is kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashing_process import Ended, Forge, until_halted, works
from freshkey_testing import AuthorizationServer
from matrix import row


RENEWAL = "grant.refresh_token"
FIFTY = 50
SENT = ["request_sent", "after_refresh", "item_written", "committed"]


@row(17, "ROT-10")
@pytest.mark.parametrize("point", SENT)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_lets_the_command_finish_the_renewal(
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


@row(18, "ROT-10")
@pytest.mark.parametrize("verb", ["leave", "leave-daemon"])
@pytest.mark.parametrize("point", SENT)
def test_a_program_that_ends_meanwhile_keeps_what_was_renewed(
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


@row(18, "ROT-10", "TIM-6")
def test_an_exit_handler_that_renews_gets_the_answer_or_an_error_and_loses_nothing(
    forge: Forge, server: AuthorizationServer
) -> None:
    for _ in range(5):
        ended = forge.run("leave-late")
        assert (ended.signal, ended.code) == (0, 0)
        # Newer interpreters start no thread by then, and nothing is sent.
        assert "token" in ended.said or ended.said["error"] == "TransientError"
        after = forge.run("get")
        assert after.said["generation"] == 1 + server.count(RENEWAL)
        assert works(server, after)


@pytest.fixture
def other(server: AuthorizationServer, tmp_path: Path) -> Iterator[Forge]:
    with Forge({**server.settings(), "provider": "claude_oauth", "store": "file"}, tmp_path) as forge:
        yield forge


@row(19, "ROT-9", "ROT-1")
def test_a_halted_holder_of_the_lock(forge: Forge, other: Forge, server: AuthorizationServer) -> None:
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

        os.kill(holder, signal.SIGCONT)
        generation += 1
        assert forge.finish().said["generation"] == generation
        assert server.count(RENEWAL) == generation - 1
    assert server.count("refresh_token.reused") == 0


@row(47, "ROT-6", "ROT-9")
@pytest.mark.parametrize("point", ["intent_written", "after_refresh", "committed"])
def test_a_process_that_is_halted_in_the_middle_of_a_renewal_finishes_it_when_it_goes_on(
    forge: Forge, other: Forge, server: AuthorizationServer, point: str
) -> None:
    generation = 1
    for _ in range(5):
        halted = forge.begin("refresh", at=point, act="SIGSTOP")
        until_halted(halted)
        # Whoever else comes meanwhile neither breaks the lock nor spends the token again.
        assert other.run("refresh", patience=0.05).said["error"] == "StoreBusy"
        os.kill(halted, signal.SIGCONT)
        generation += 1
        assert forge.finish().said["generation"] == generation
        assert server.count(RENEWAL) == generation - 1
        assert works(server, other.run("get"))
    assert server.count("refresh_token.reused") == 0


@row(47, "ROT-6", "ROT-10")
def test_a_process_that_was_halted_past_the_deadline_gives_up_that_answer_and_asks_once_more(
    forge: Forge, server: AuthorizationServer
) -> None:
    server.policy.grace = 60.0
    server.hold()
    halted = forge.begin("refresh", at="request_sent", act="SIGSTOP", deadline=2.0)
    until_halted(halted)
    server.wait_for(RENEWAL)
    time.sleep(2.1)  # nothing shows that time has passed, and a halted process notices nothing else
    os.kill(halted, signal.SIGCONT)
    server.wait_for("refresh_token.graced")
    server.release()
    ended = forge.finish()
    assert ended.said["generation"] == 2
    assert works(server, ended)
    assert server.count("refresh_token.reused") == 0
