"""Answers that say no, say nothing, or say nonsense: what becomes of the sign-in, and how often the server is asked."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.endurance.soak_figures import Plan, report
from benchmarks.endurance.soak_run import Soak
from fault_proxy import Exchange, Fault, passing, saying
from freshkey import Keeper
from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.events import RenewalFailed, SignInNeeded
from freshkey_testing.server import Rotation
from line import Line
from matrix import row
from rotating import collect, token_of


CANARY = "canary-7c1b0e55d2"
GOOD = {"access_token": f"{CANARY}-access", "refresh_token": f"{CANARY}-refresh", "token_type": "Bearer"}

TEN_MINUTES = 600.0


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with Line(tmp_path) as line:
        yield line


def works(line: Line, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(line.server.urls.resource, headers=headers, trust_env=False).status_code == 200


def answer(body: bytes, status: str = "200 OK") -> Fault:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return saying(head.encode() + body)


def written(literal: str) -> bytes:
    """Return a token response whose lifetime is this literal."""
    return json.dumps({**GOOD, "expires_in": "LITERAL"}).replace('"LITERAL"', literal).encode()


def spent(line: Line) -> list[bytes]:
    """Return the bodies that reached the token endpoint."""
    return [request.partition(b"\r\n\r\n")[2] for request in line.proxy.requests]


def pass_time(line: Line, keeper: Keeper, seconds: float, step: float = 1.0) -> None:
    """Let time pass, with a caller and the timer at each step."""
    end = line.clock.elapsed() + seconds
    while line.clock.elapsed() < end:
        line.run_once(keeper)
        line.clock.advance(step)


# --- row 28: no new refresh token -------------------------------------------------------------------------------------


@row(28, "ROT-8")
@pytest.mark.parametrize("rotation", [Rotation.OMIT, Rotation.REPEAT])
def test_a_refresh_token_that_is_not_replaced_is_kept(line: Line, rotation: Rotation) -> None:
    line.server.policy.rotation = rotation
    keeper = line.keeper()
    tokens = {token_of(keeper.get())}
    for _ in range(3):
        renewed = token_of(keeper.refresh())
        assert works(line, renewed)
        tokens.add(renewed)
    assert len(tokens) == 4
    assert len(set(spent(line))) == 1


# --- rows 29 and 30: invalid_grant ------------------------------------------------------------------------------------


@row(29, "ROT-5")
def test_a_token_that_another_machine_has_renewed_meanwhile_is_adopted_silently(line: Line, tmp_path: Path) -> None:
    """The store is shared over a network, and the lock does not reach that far."""
    line.server.policy.reuse_kills_grant = False
    here = line.keeper()
    copy = tmp_path / "elsewhere"
    shutil.copytree(line.state_dir, copy)
    adopted: list[str] = []

    def be_too_late(exchange: Exchange) -> None:
        ours, line.state_dir = line.state_dir, copy
        adopted.append(token_of(line.keeper(sign_in=False).refresh()))
        for file in (copy / "store").iterdir():
            shutil.copy(file, ours / "store" / file.name)
        line.state_dir = ours
        passing(exchange)

    events = collect(here)
    line.proxy.next(be_too_late)
    assert [token_of(here.refresh())] == adopted
    assert works(line, adopted[0])
    assert not [event for event in events if isinstance(event, RenewalFailed | SignInNeeded)]
    assert token_of(here.refresh()) not in adopted


@row(30, "ROT-5")
def test_a_sign_in_that_was_revoked_is_used_to_its_end_and_never_sent_again(line: Line) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    events = collect(keeper)
    line.server.revoke_grants()
    with pytest.raises(LoginRequired, match="invalid_grant"):
        keeper.refresh()
    assert line.stored() == kept, "byte for byte"
    line.proxy.requests.clear()
    another = line.keeper(sign_in=False)
    for _ in range(5):
        for each in (keeper, another):
            assert each.get() == before
            with pytest.raises(LoginRequired):
                each.refresh()
            with pytest.raises(LoginRequired):
                each.get(refused=before)
            line.run_once(each)
        line.clock.advance(700)
    line.clock.advance(200)
    for each in (keeper, another):
        with pytest.raises(LoginRequired):
            each.get()
    assert line.proxy.requests == []
    assert line.stored() == kept
    assert len([event for event in events if isinstance(event, SignInNeeded)]) == 1, "said once"
    assert keeper.status().sign_in_needed


# --- row 31: it is the client that is refused -------------------------------------------------------------------------


@row(31, "NET-1")
@pytest.mark.parametrize(
    "code", ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"]
)
def test_a_refused_client_is_no_lost_sign_in(line: Line, code: str) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    status = "401 Unauthorized" if code == "invalid_client" else "400 Bad Request"
    line.proxy.always(answer(json.dumps({"error": code, "error_description": CANARY}).encode(), status))
    with pytest.raises(ProviderRefused, match=code) as caught:
        keeper.refresh()
    assert CANARY not in str(caught.value)
    assert len(line.proxy.requests) == 1, "final"
    assert keeper.get() == before
    assert line.stored() == kept
    assert keeper.status().sign_in_needed is None
    line.proxy.always(passing)
    assert works(line, token_of(keeper.refresh()))


# --- rows 40 to 42: nonsense ------------------------------------------------------------------------------------------

NONSENSE = {
    "HTML": b"<!doctype html><title>" + CANARY.encode() + b"</title>",
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf" + written("3600"),
    "UTF-16": written("3600").decode().encode("utf-16"),
    "an array": b"[" + written("3600") + b"]",
    "a form": f"access_token={CANARY}&token_type=bearer".encode(),
    "a key twice": written("3600")[:-1] + f', "access_token": "{CANARY}-other"}}'.encode(),
    "nested deeply": written("3600")[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}
BROKEN_TOKENS = {
    "CR LF": f"{CANARY}\r\nX-Injected: yes",
    "a line feed": f"{CANARY}\n",
    "a megabyte": CANARY * 50_000,
    "non-ASCII": f"{CANARY}\u00e9",
    "a NUL": f"{CANARY}\0",
    "a number": 1,
    "null": None,
}
NO_LIFETIME = ("-1", "true", "NaN", "1e999", "1" + "0" * 40, '"3600\u0663"', '"soon"', "[]")


def refused(line: Line, keeper: Keeper, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Check that an answer is refused, costs nothing, and is quoted nowhere."""
    caplog.set_level(logging.DEBUG)
    before = keeper.get()
    line.server.policy.grace = 30
    line.proxy.always(answer(body))
    with pytest.raises(OutcomeUnknown) as caught:
        keeper.refresh()
    assert len(spent(line)) == 3, "as if it had been lost"
    assert keeper.get() == before
    assert CANARY not in str(caught.value)
    assert CANARY not in caplog.text
    line.proxy.always(passing)
    assert works(line, token_of(keeper.refresh()))


@row(40, "NET-6", "NET-8")
@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_and_quoted_nowhere(line: Line, caplog: pytest.LogCaptureFixture, body: bytes) -> None:
    refused(line, line.keeper(), body, caplog)


@row(41, "NET-6")
@pytest.mark.parametrize("literal", NO_LIFETIME)
def test_a_lifetime_that_is_none_is_refused(line: Line, caplog: pytest.LogCaptureFixture, literal: str) -> None:
    refused(line, line.keeper(), written(literal), caplog)


@row(42, "NET-6")
@pytest.mark.parametrize(
    ("member", "token"),
    [
        pytest.param(member, token, id=f"{member}: {name}")
        for member in ("access_token", "refresh_token")
        for name, token in BROKEN_TOKENS.items()
        if (member, token) != ("refresh_token", None)  # which means that the old one stays
    ],
)
def test_a_token_that_could_break_a_header_is_refused(
    line: Line, caplog: pytest.LogCaptureFixture, member: str, token: object
) -> None:
    refused(line, line.keeper(), json.dumps({**GOOD, "expires_in": 3600, member: token}).encode(), caplog)


# --- rows 41 and 43: lifetimes that would make a loop -----------------------------------------------------------------


def announcing(literal: str | None) -> Callable[[Exchange], None]:
    """Return the fault of a server that says this of every lifetime."""

    def change(exchange: Exchange) -> None:
        head, _, body = exchange.forward().partition(b"\r\n\r\n")
        fields: dict[str, Any] = json.loads(body)
        fields["expires_in"] = "LITERAL"
        if literal is None:
            del fields["expires_in"]
        changed = json.dumps(fields).replace('"LITERAL"', literal or "").encode()
        status = head.partition(b"\r\n")[0]
        exchange.send(status + b"\r\nContent-Length: %d\r\n\r\n" % len(changed) + changed)

    return change


@row(41, "NET-6", "TIM-4")
@pytest.mark.parametrize(
    ("literal", "most"),
    [
        *(("3600", 1), ("3600.0", 1), ('"3600"', 1), ("null", 3), (None, 3), ("2147483647", 1)),
        *(("0", 21), ("0.0", 21), ('"0"', 21), ("1", 601), ("60", 13)),
        *(("-1", 4), ("true", 4), ("NaN", 4), ("1e999", 4)),
    ],
)
def test_no_lifetime_makes_a_loop(line: Line, literal: str | None, most: int) -> None:
    keeper = line.keeper()
    line.proxy.always(announcing(literal))
    line.clock.advance(3310)
    pass_time(line, keeper, TEN_MINUTES if most < 100 else TEN_MINUTES / 10)
    assert 1 <= len(line.proxy.requests) <= (most if most < 100 else most / 10 + 1)


@row(43, "TIM-4")
def test_a_server_whose_tokens_are_always_expired_is_asked_every_thirty_seconds_at_the_most(line: Line) -> None:
    keeper = line.keeper()
    before = keeper.get()
    events = collect(keeper)
    line.proxy.always(announcing("0"))
    line.clock.advance(3310)
    asked: list[float] = []
    end = line.clock.elapsed() + TEN_MINUTES
    while line.clock.elapsed() < end:
        count = len(line.proxy.requests)
        line.run_once(keeper)
        if line.clock.elapsed() - end + TEN_MINUTES < 280:
            assert keeper.get() == before, "served to its end"
        asked += [line.clock.elapsed()] * (len(line.proxy.requests) - count)
        line.clock.advance(1)
    assert 5 <= len(asked) <= 21
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) >= 29
    with pytest.raises(TransientError, match="already expired"):
        keeper.get()
    assert all("already expired" in event.error for event in events if isinstance(event, RenewalFailed))
    assert keeper.status().last_error is not None
    line.proxy.always(passing)
    line.clock.advance(61)
    assert works(line, token_of(keeper.get()))


# --- access tokens that a renewal ends --------------------------------------------------------------------------------

PUBLISHED_WITHIN = 3.0
"""Seconds until a renewal of one process has reached all others: one is promised, the rest is a busy machine's."""


@row(24, "ROT-1", "TIM-5")
def test_requests_whose_access_token_a_renewal_ended_are_sent_once_more_and_nothing_is_renewed_for_them(
    tmp_path: Path,
) -> None:
    plan = Plan(processes=4, threads=5, expiries=7, access_dies=True)  # 200 requests a second
    figures = Soak(plan, tmp_path).run()
    seen = figures.seen
    assert seen.refused > 0, "the server ends access tokens"
    assert seen.refused_late == 0, "each had been begun before the newer token was published to its process"
    assert seen.longest_behind < PUBLISHED_WITHIN
    assert seen.refused_again == 0, "each was sent once more, with the newer token"
    assert (figures.early, figures.revoked_grants) == (0, 0)
    assert figures.refresh_grants == figures.expiries >= plan.expiries
    assert figures.broken_promises(plan) == [], report(plan, figures)
