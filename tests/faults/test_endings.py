"""A program is told to end, ends by itself, or is halted in the middle of a renewal: what was spent is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashing_process import Ended, Forge, until_halted, works
from freshkey.testing import AuthorizationServer
from matrix import row


RENEWAL = "grant.refresh_token"
FIFTY = 50
SENT = ["P4", "P5", "P6", "P7"]


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
@pytest.mark.parametrize("point", SENT)
def test_a_program_that_ends_meanwhile_keeps_what_was_renewed(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    generation = 1
    for _ in range(FIFTY // 4 + 1):
        assert forge.run("leave", at=point, act="leaving") == Ended(0, 0, {})
        generation += 1
        after = forge.run("get")
        assert after.said["generation"] == generation
        assert works(server, after)
        assert server.count(RENEWAL) == generation - 1
    assert server.count("refresh_token.reused") == 0


@pytest.fixture
def other(server: AuthorizationServer, tmp_path: Path) -> Iterator[Forge]:
    with Forge({**server.settings(), "provider": "claude_oauth", "store": "file"}, tmp_path) as forge:
        yield forge


@row(19, "ROT-9", "ROT-1")
def test_a_halted_holder_of_the_lock(forge: Forge, other: Forge, server: AuthorizationServer) -> None:
    generation = 1
    for _ in range(FIFTY):
        holder = forge.begin("refresh", at="P2", act="SIGSTOP")
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
@pytest.mark.parametrize("point", ["P3", "P5", "P7"])
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
