"""A process is killed at each point of a renewal; what the next one finds, and what the server saw of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from counterparts.oidc import OidcServer, sign_in
from crashing_process import Ended, Forge, works
from freshkey import Configuration, Keeper
from freshkey_testing import AuthorizationServer, ScriptedUser
from matrix import row
from waiting import until


RENEWAL = "grant.refresh_token"
FIFTY = 50


def kill(forge: Forge, point: str) -> None:
    assert forge.run("refresh", at=point) == Ended(signal.SIGKILL, 0, {})


@row(14, "ROT-3", "ROT-7")
@pytest.mark.parametrize("point", ["before_lock", "lock_held", "intent_written"])
def test_killed_before_sending_nothing_is_spent(forge: Forge, server: AuthorizationServer, point: str) -> None:
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        assert server.count(RENEWAL) == repetition
        after = forge.run("refresh")
        assert works(server, after)
        assert server.count(RENEWAL) == repetition + 1
    assert server.count("refresh_token.reused") == 0


@row(15, "ROT-6", "ROT-7")
@row(16, "ROT-4", "STO-5")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh", "item_written"])
def test_killed_between_answer_and_save_a_lenient_server_gives_the_answer_again(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    server.policy.grace = 30.0
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        server.wait_for(RENEWAL, repetition + 1)
        assert works(server, forge.run("refresh"))
        # The renewal whose answer was lost, and the same token once more.
        assert server.count(RENEWAL) == server.count("refresh_token.graced") == repetition + 1


@row(15, "ROT-6")
def test_two_processes_killed_in_a_row_lose_nothing_at_a_lenient_server(
    forge: Forge, server: AuthorizationServer
) -> None:
    server.policy.grace = 30.0
    for _ in range(FIFTY // 5):
        kill(forge, "request_sent")
        kill(forge, "after_refresh")
        assert works(server, forge.run("refresh"))


@row(15, "ROT-6", "ROT-5")
def test_processes_killed_one_after_the_other_send_the_token_three_times_and_never_again(
    forge: Forge, server: AuthorizationServer
) -> None:
    server.policy.grace = 30.0
    for repetition in range(3):
        kill(forge, "request_sent")
        # The first time, and then the same answer again.
        server.wait_for(RENEWAL)
        server.wait_for("refresh_token.graced", repetition)
    asked = len(server.requests)
    for _ in range(3):
        ended = forge.run("refresh")
        assert ended.said["error"] == "LoginRequired"
        assert "was lost" in ended.said["message"]
    assert len(server.requests) == asked


@row(15, "ROT-6", "ROT-7", "ROT-5")
@row(16, "ROT-4")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh", "item_written"])
def test_killed_between_answer_and_save_a_strict_server_ends_the_sign_in_and_that_is_said_once(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    before = forge.run("get")
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        server.wait_for(RENEWAL, repetition + 1)
        asked = len(server.requests)
        # The old record is whole, and its access token is served to whoever asks no more than that.
        old = forge.run("get")
        assert old.said == before.said
        assert len(server.requests) == asked

        first = forge.run("refresh")
        assert first.said["error"] == "LoginRequired"
        assert "was lost" in first.said["message"]
        assert "freshkey login me" in first.said["message"]
        assert len(server.requests) == asked + 1  # the same token, once

        again = forge.run("refresh")
        assert again.said["error"] == "LoginRequired"
        assert len(server.requests) == asked + 1  # and never again
        before = forge.run("login")
        assert works(server, before)


@pytest.mark.counterpart
@row(15, "ROT-6", "ROT-5")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh"])
def test_killed_between_answer_and_save_a_certified_server_sees_the_token_once_more_and_never_again(
    tmp_path: Path, point: str
) -> None:
    with OidcServer(access_token_seconds=3600) as server:
        settings = {
            "provider": "claude_oauth",
            "store": "file",
            "client_id": server.client_id,
            # Not found through the issuer: asking it is an exchange of its own, which passes request_sent as well.
            "authorize_url": server.url("/auth"),
            "token_url": server.url("/token"),
            "encoding": "form",
            "profile_url": server.url("/me"),
            "scopes": ["openid", "offline_access"],
            "authorize_parameters": {"prompt": "consent"},
            "allow_insecure_loopback": True,
        }
        configuration = Configuration.of({"me": settings}, state_dir=tmp_path / "state", default="me")
        with Keeper(configuration=configuration) as keeper, ScriptedUser(browser=sign_in) as user:
            keeper.login(interaction=user)
        with Forge(settings, tmp_path) as forge:
            kill(forge, point)
            until(lambda: server.count("refresh_token.consumed") == 1, "the renewal")
            answers = [forge.run("refresh").said for _ in range(3)]
        assert [answer["error"] for answer in answers] == ["LoginRequired"] * 3
        assert "was lost" in answers[0]["message"]
        # What a strict server does to a token that it sees twice; nobody asked it a third time.
        assert server.count("grant.revoked") == 1
        assert server.count("grant.error") == 1


@row(16, "ROT-4", "ROT-7", "STO-5")
@pytest.mark.parametrize("point", ["committed", "read_back"])
def test_killed_after_the_commit_the_next_process_has_the_new_record(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    generation = 1
    for _ in range(FIFTY // 2):
        kill(forge, point)
        generation += 1
        renewals = server.count(RENEWAL)
        after = forge.run("get")
        assert after.said["generation"] == generation
        assert works(server, after)
        assert server.count(RENEWAL) == renewals
    assert server.count("refresh_token.reused") == 0


@row(15, "ROT-6", "ROT-7")
@row(16, "ROT-4")
def test_killed_at_any_moment_a_lenient_server_loses_nothing(forge: Forge, server: AuthorizationServer) -> None:
    server.policy.grace = 30.0
    began = time.monotonic()
    assert works(server, forge.run("refresh"))
    takes = time.monotonic() - began
    killed = 0
    for repetition in range(FIFTY // 2):
        pid = forge.begin("refresh")
        time.sleep(takes * repetition / (FIFTY // 2))  # the moment is what differs
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed += forge.finish().signal == signal.SIGKILL
        assert works(server, forge.run("refresh"))
    assert killed > FIFTY // 10
    assert server.count("refresh_token.reused") == 0


@row(20, "ROT-1")
def test_a_killed_holder_of_the_lock_holds_up_nobody(forge: Forge, server: AuthorizationServer) -> None:
    for _ in range(FIFTY):
        kill(forge, "lock_held")
        # Bounded waiting for a lock that nobody holds would show as a StoreBusy after its patience.
        assert works(server, forge.run("refresh"))
