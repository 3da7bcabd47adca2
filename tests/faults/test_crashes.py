"""A process is killed at each point of a renewal: what the next process finds, and what the server received."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from counterparts.oidc import OidcServer, sign_in
from crashing_process import Ended, Forge, works
from freshkey import Configuration, Keeper
from freshkey_testing import AuthorizationServer, ScriptedUser
from promises import proves
from waiting import until
from warm_processes import KILLED
from warm_processes import kill as kill_process


RENEWAL = "grant.refresh_token"
FIFTY = 50 if sys.platform != "win32" else 2  # where each process takes seconds to start
GRACE = 600.0
"""Seconds, more than any test takes on a busy machine."""


@pytest.fixture
def warm() -> bool:
    """A killed process has imported what it needs: when that happens makes no difference here, and takes most time."""
    return True


def kill(forge: Forge, point: str) -> None:
    assert forge.run("refresh", at=point) == Ended(KILLED, 0, {})


@proves("FAULT-14", "ROT-3", "ROT-7")
@pytest.mark.parametrize("point", ["before_lock", "lock_held", "intent_written"])
def test_killed_before_sending_does_not_use_the_token(forge: Forge, server: AuthorizationServer, point: str) -> None:
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        assert server.count(RENEWAL) == repetition
        after = forge.run("refresh")
        assert works(server, after)
        assert server.count(RENEWAL) == repetition + 1
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-15", "ROT-6", "ROT-7")
@proves("FAULT-16", "ROT-4", "STO-5")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh", "item_written"])
def test_killed_between_response_and_save_gets_the_response_again_in_the_grace_period(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    server.policy.grace = GRACE
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        server.wait_for(RENEWAL, repetition + 1)
        assert works(server, forge.run("refresh"))
        # One renewal whose response was lost, and one retry with the same token.
        assert server.count(RENEWAL) == server.count("refresh_token.graced") == repetition + 1


@proves("FAULT-15", "ROT-6")
def test_two_processes_killed_in_a_row_lose_nothing_in_the_grace_period(
    forge: Forge, server: AuthorizationServer
) -> None:
    server.policy.grace = GRACE
    for _ in range(FIFTY // 5 or 1):
        kill(forge, "request_sent")
        kill(forge, "after_refresh")
        assert works(server, forge.run("refresh"))


@proves("FAULT-15", "ROT-6", "ROT-7")
@pytest.mark.parametrize("repeats_for", [None, 600])
def test_each_start_asks_again_in_the_grace_period_however_many_were_killed(
    server: AuthorizationServer, tmp_path: Path, repeats_for: int | None
) -> None:
    server.policy.grace = GRACE
    declared = {} if repeats_for is None else {"repeats_for": repeats_for}
    with Forge({**server.settings(), "provider": "claude_oauth", "store": "file", **declared}, tmp_path) as forge:
        forge.run("login")
        for repetition in range(min(FIFTY, 5)):
            kill(forge, "request_sent" if repetition % 2 else "after_refresh")
            # One new response, then the same response again.
            server.wait_for(RENEWAL)
            server.wait_for("refresh_token.graced", repetition)
        assert works(server, forge.run("refresh"))
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-15", "ROT-6")
def test_declared_strict_server_is_not_asked_again_after_a_kill(server: AuthorizationServer, tmp_path: Path) -> None:
    settings = {**server.settings(), "provider": "claude_oauth", "store": "file", "repeats_for": 0}
    with Forge(settings, tmp_path) as forge:
        before = forge.run("login")
        kill(forge, "request_sent")
        server.wait_for(RENEWAL)
        for _ in range(3):
            ended = forge.run("refresh")
            assert (ended.said["error"], ended.said["code"]) == ("TransientError", "renewal-postponed")
        assert forge.run("get").said["token"] == before.said["token"]
        assert works(server, before), "asking again would have ended the access token, too"
    assert server.count(RENEWAL) == 1
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-15", "ROT-6", "ROT-7", "ROT-5")
@proves("FAULT-16", "ROT-4")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh", "item_written"])
def test_killed_between_response_and_save_ends_the_sign_in_at_a_strict_server(
    forge: Forge, server: AuthorizationServer, point: str
) -> None:
    before = forge.run("get")
    for repetition in range(FIFTY // 3 + 1):
        kill(forge, point)
        server.wait_for(RENEWAL, repetition + 1)
        asked = len(server.requests)
        # The old record is intact, and its access token is served as long as that is enough.
        old = forge.run("get")
        assert old.said == before.said
        assert len(server.requests) == asked

        first = forge.run("refresh")
        assert first.said["error"] == "LoginRequired"
        assert first.said["code"] == "renewal-response-lost"
        assert "freshkey login me" in first.said["message"]
        assert len(server.requests) == asked + 1  # the same token, once

        again = forge.run("refresh")
        assert again.said["error"] == "LoginRequired"
        assert len(server.requests) == asked + 1  # and never again
        before = forge.run("login")
        assert works(server, before)


@pytest.mark.counterpart
@proves("FAULT-15", "ROT-6", "ROT-5")
@pytest.mark.parametrize("point", ["request_sent", "after_refresh"])
def test_killed_between_response_and_save_retries_once_at_a_certified_server(tmp_path: Path, point: str) -> None:
    with OidcServer(access_token_seconds=3600) as server:
        settings = {
            "provider": "claude_oauth",
            "store": "file",
            "client_id": server.client_id,
            # Not discovered through the issuer, because that request would also pass request_sent.
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
        assert answers[0]["code"] == "renewal-response-lost"
        # A strict server revokes the grant when it sees a token twice; there was no third request.
        assert server.count("grant.revoked") == 1
        assert server.count("grant.error") == 1


@proves("FAULT-16", "ROT-4", "ROT-7", "STO-5")
@pytest.mark.parametrize("point", ["committed", "read_back"])
def test_killed_after_the_commit_leaves_the_new_record(forge: Forge, server: AuthorizationServer, point: str) -> None:
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


@proves("FAULT-15", "ROT-6", "ROT-7")
@proves("FAULT-16", "ROT-4")
def test_killed_at_any_time_loses_nothing_in_the_grace_period(forge: Forge, server: AuthorizationServer) -> None:
    server.policy.grace = GRACE
    began = time.monotonic()
    assert works(server, forge.run("refresh"))
    takes = time.monotonic() - began
    killed, repetitions = 0, max(FIFTY // 2, 4)
    for repetition in range(repetitions):
        pid = forge.begin("refresh")
        time.sleep(takes * repetition / repetitions)  # each repetition kills at a different time
        kill_process(pid)
        killed += forge.finish().signal == KILLED
        assert works(server, forge.run("refresh"))
    assert killed > FIFTY // 10
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-20", "ROT-1")
def test_killed_lock_holder_does_not_delay_the_next_process(forge: Forge, server: AuthorizationServer) -> None:
    for _ in range(FIFTY):
        kill(forge, "lock_held")
        # If the lock were still held, this would fail with StoreBusy after the timeout.
        assert works(server, forge.run("refresh"))
