"""Refusals and malformed responses: what happens to the sign-in, and how many requests the server gets."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from benchmarks.endurance.soak_figures import Plan, report
from benchmarks.endurance.soak_run import Soak
from fault_proxy import Exchange, Fault, passing, saying
from freshkey import Keeper
from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.events import RenewalFailed, SignInNeeded
from freshkey_testing.server import Rotation
from line import Line
from promises import proves
from raises_code import raises_code
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
    """Return a token response with this JSON literal as its lifetime."""
    return json.dumps({**GOOD, "expires_in": "LITERAL"}).replace('"LITERAL"', literal).encode()


def spent(line: Line) -> list[bytes]:
    """Return the request bodies that reached the token endpoint."""
    return [request.partition(b"\r\n\r\n")[2] for request in line.proxy.requests]


def pass_time(line: Line, keeper: Keeper, seconds: float, step: float = 1.0) -> None:
    """Let time pass, and run the timer and a caller at each step."""
    end = line.clock.elapsed() + seconds
    while line.clock.elapsed() < end:
        line.run_once(keeper)
        line.clock.advance(step)


# --- FAULT-28: no new refresh token -----------------------------------------------------------------------------------


@proves("FAULT-28", "ROT-8")
@pytest.mark.parametrize("rotation", [Rotation.OMIT, Rotation.REPEAT])
def test_refresh_token_that_is_not_replaced_is_kept(line: Line, rotation: Rotation) -> None:
    line.server.policy.rotation = rotation
    keeper = line.keeper()
    tokens = {token_of(keeper.get())}
    for _ in range(3):
        renewed = token_of(keeper.refresh())
        assert works(line, renewed)
        tokens.add(renewed)
    assert len(tokens) == 4
    assert len(set(spent(line))) == 1


# --- FAULT-29, FAULT-30: invalid_grant --------------------------------------------------------------------------------


@proves("FAULT-29", "ROT-5")
def test_token_renewed_by_another_machine_is_adopted_silently(line: Line, tmp_path: Path) -> None:
    """The store is on a network share, where the lock has no effect."""
    line.server.policy.reuse_kills_grant = False
    here = line.keeper()
    copy = tmp_path / "elsewhere" / "state"
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


@proves("FAULT-30", "ROT-5")
def test_revoked_sign_in_is_used_until_it_expires_and_never_renewed_again(line: Line) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    events = collect(keeper)
    line.server.revoke_grants()
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        keeper.refresh()
    assert "invalid_grant" in str(caught.value)
    assert kept.items() < line.stored().items(), "byte for byte, and the refusal"
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
    assert kept.items() < line.stored().items()
    assert len([event for event in events if isinstance(event, SignInNeeded)]) == 1, "reported once"
    assert keeper.status().sign_in_needed


# --- FAULT-31: the client is refused ----------------------------------------------------------------------------------


@proves("FAULT-31", "NET-1")
@pytest.mark.parametrize(
    "error", ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"]
)
def test_refused_client_does_not_end_the_sign_in(line: Line, error: str) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    status = "401 Unauthorized" if error == "invalid_client" else "400 Bad Request"
    line.proxy.always(answer(json.dumps({"error": error, "error_description": CANARY}).encode(), status))
    with raises_code(ProviderRefused, "request-refused") as caught:
        keeper.refresh()
    assert error in str(caught.value)
    assert CANARY not in str(caught.value)
    assert len(line.proxy.requests) == 1, "final"
    assert keeper.get() == before
    assert line.stored() == kept
    assert keeper.status().sign_in_needed is None
    line.proxy.always(passing)
    assert works(line, token_of(keeper.refresh()))


# --- FAULT-40, FAULT-41, FAULT-42: malformed responses ----------------------------------------------------------------

INCOMPLETE = {
    "cut off": written("3600")[:-5],
    "a refresh token that is no text": json.dumps({**GOOD, "refresh_token": [CANARY]}).encode(),
    "nested deeply": written("3600")[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}
USELESS: dict[str, dict[str, object]] = {
    "CR LF": {"access_token": f"{CANARY}\r\nX-Injected: yes"},
    "a line feed": {"access_token": f"{CANARY}\nX"},
    "a megabyte": {"access_token": CANARY * 50_000},
    "non-ASCII": {"access_token": f"{CANARY}\u00e9"},
    "a NUL": {"access_token": f"{CANARY}\0"},
    "a number": {"access_token": 1},
    "null": {"access_token": None},
    "mac": {"token_type": "mac"},
    "DPoP": {"token_type": "DPoP"},
}


@proves("FAULT-40", "NET-6", "NET-8")
@pytest.mark.parametrize("body", INCOMPLETE.values(), ids=INCOMPLETE)
def test_malformed_response_is_refused_and_never_quoted(
    line: Line, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    keeper = line.keeper()
    before = keeper.get()
    line.server.policy.grace = 30
    line.proxy.always(answer(body))
    with pytest.raises(OutcomeUnknown) as caught:
        keeper.refresh()
    assert len(spent(line)) == 3, "retried as if the response had been lost"
    assert keeper.get() == before
    assert CANARY not in str(caught.value)
    assert CANARY not in caplog.text
    line.proxy.always(passing)
    assert works(line, token_of(keeper.refresh()))


def but(change: Callable[[bytes], bytes], *headers: bytes) -> Fault:
    """Return the fault of a server whose good response is changed on its way."""

    def fault(exchange: Exchange) -> None:
        head, _, body = exchange.forward().partition(b"\r\n\r\n")
        changed = change(body)
        lines = (head.partition(b"\r\n")[0], b"Content-Length: %d" % len(changed), *headers, b"", changed)
        exchange.send(b"\r\n".join(lines))

    return fault


def rewritten(**changes: object) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps({**json.loads(body), **changes}).encode()


@proves("FAULT-40", "FAULT-41", "NET-6")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(but(gzip.compress, b"Content-Encoding: gzip"), id="gzip"),
        pytest.param(but(zlib.compress, b"Content-Encoding: deflate"), id="deflate"),
        pytest.param(but(gzip.compress), id="gzip without a header"),
        pytest.param(but(lambda body: b"\xef\xbb\xbf" + body), id="a byte order mark"),
        pytest.param(but(lambda body: body.decode().encode("utf-16")), id="UTF-16"),
        pytest.param(but(lambda body: body[:-1] + b', "token_type": "Bearer"}'), id="a member twice"),
        pytest.param(but(lambda body: body + b"\0"), id="a NUL"),
        pytest.param(but(lambda body: body, *(b"X-%d: 1" % number for number in range(500))), id="500 headers"),
        pytest.param(but(rewritten(expires_in=3599.5)), id="a fraction"),
        pytest.param(but(rewritten(expires_in=-1)), id="a negative lifetime"),
        pytest.param(but(rewritten(expires_in="3600 ")), id="a space"),
        pytest.param(but(rewritten(scope={"a": 1})), id="an odd scope"),
    ],
)
def test_response_of_a_strict_server_is_read_in_any_wrapping(line: Line, fault: Fault) -> None:
    keeper = line.keeper()
    line.proxy.next(fault)
    assert works(line, token_of(keeper.refresh()))
    assert works(line, token_of(keeper.refresh())), "the refresh token was saved"
    assert len(spent(line)) == 2
    assert line.server.count("grant.revoked") == 0


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize("change", USELESS.values(), ids=USELESS)
def test_useless_access_token_is_not_served_and_its_refresh_token_is_saved(
    line: Line, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    caplog.set_level(logging.DEBUG)
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    line.proxy.next(but(rewritten(**change)))
    code = "unsupported-token-type" if "token_type" in change else "unusable-access-token"
    with raises_code(ProviderRefused, code) as caught:
        keeper.refresh()
    assert keeper.get() == before, "served until it expires"
    assert line.stored() != kept
    assert CANARY not in f"{caught.value} {caplog.text}"
    assert works(line, token_of(line.keeper(sign_in=False).refresh())), "in another process, too"
    assert len(spent(line)) == 2
    assert line.server.count("grant.revoked") == 0


# --- FAULT-41, FAULT-43: lifetimes that could cause a loop ------------------------------------------------------------


def announcing(literal: str | None) -> Callable[[Exchange], None]:
    """Return the fault of a server that announces this literal as every lifetime."""

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


@proves("FAULT-41", "NET-6", "TIM-4")
@pytest.mark.parametrize(
    ("literal", "most"),
    [
        *(("3600", 1), ("3600.0", 1), ('"3600"', 1), ("null", 3), (None, 3), ("2147483647", 1)),
        *(("0", 21), ("0.0", 21), ('"0"', 21), ("1", 601), ("60", 13)),
        *(("-1", 3), ("true", 3), ("NaN", 3), ("1e999", 1), ("0.5", 601)),
    ],
)
def test_no_lifetime_causes_a_renewal_loop(line: Line, literal: str | None, most: int) -> None:
    keeper = line.keeper()
    line.proxy.always(announcing(literal))
    line.clock.advance(3310)
    pass_time(line, keeper, TEN_MINUTES if most < 100 else TEN_MINUTES / 10)
    assert 1 <= len(line.proxy.requests) <= (most if most < 100 else most / 10 + 1)


@proves("FAULT-43", "TIM-4")
def test_server_that_issues_expired_tokens_gets_at_most_one_request_every_thirty_seconds(line: Line) -> None:
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
            assert keeper.get() == before, "served until it expires"
        asked += [line.clock.elapsed()] * (len(line.proxy.requests) - count)
        line.clock.advance(1)
    assert 5 <= len(asked) <= 21
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) >= 29
    with raises_code(TransientError, "credential-already-expired"):
        keeper.get()
    failures = [event for event in events if isinstance(event, RenewalFailed)]
    assert failures
    assert all("already" in event.error for event in failures)
    assert keeper.status().last_error is not None
    line.proxy.always(passing)
    line.clock.advance(61)
    assert works(line, token_of(keeper.get()))


# --- access tokens that a renewal revokes -----------------------------------------------------------------------------

PUBLISHED_WITHIN = 3.0
"""Seconds until all processes have the result of a renewal: one is promised, the rest is for a busy machine."""


@proves("FAULT-24", "ROT-1", "TIM-5")
def test_request_whose_access_token_was_revoked_by_a_renewal_is_retried_without_renewing(
    tmp_path: Path,
) -> None:
    plan = Plan(processes=4, threads=5, expiries=7, access_dies=True)  # 200 requests a second
    if sys.platform == "win32":  # where each process takes seconds to start
        plan = evolve(plan, expiries=3, lifetime=8.0)
    figures = Soak(plan, tmp_path).run()
    seen = figures.seen
    assert seen.refused > 0, "the server revokes access tokens"
    assert seen.refused_late == 0, "each request started before its process had the newer token"
    assert seen.longest_behind < PUBLISHED_WITHIN
    assert seen.refused_again == 0, "each was retried once, with the newer token"
    assert (figures.early, figures.revoked_grants) == (0, 0)
    assert figures.refresh_grants == figures.expiries >= plan.expiries
    assert figures.broken_promises(plan) == [], report(plan, figures)
