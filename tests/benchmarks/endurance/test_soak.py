"""A small endurance run: its results add up, and promises are kept with and without kills."""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from benchmarks.endurance import soak
from benchmarks.endurance.soak_figures import Figures, Loss, Plan, Seen, as_json, report
from benchmarks.endurance.soak_run import Soak, early
from benchmarks.endurance.soak_worker import Worker
from freshkey import OAuthToken, Secret, TransientError
from freshkey.clock import SYSTEM
from freshkey_testing.server import Entry


SMALL = Plan(processes=3, threads=2, expiries=8)
if sys.platform == "win32":  # where each process takes seconds to start
    SMALL = evolve(SMALL, expiries=2, lifetime=12.0)
KILLED = evolve(SMALL, kill=0.5, aim=0.5) if sys.platform != "win32" else evolve(SMALL, kill=0.1, aim=1.0)
UNHURRIED = evolve(SMALL, expiries=3, lifetime=6.0) if sys.platform != "win32" else SMALL
"""On a machine that is busy with other tests, a credential may take two seconds from the request to the store."""

STORES = ["file", "keyring"] if sys.platform == "win32" else ["file"]
"""Only Windows always has a keychain, the Credential Manager."""

GOOD = Figures(expiries=6, refresh_grants=6, seen=Seen(gets=5, longest=0.1))


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_without_kills_each_expiry_is_one_grant(tmp_path: Path, store: str) -> None:
    plan = evolve(UNHURRIED, store=store)
    figures = Soak(plan, tmp_path).run()
    assert figures.broken_promises(plan) == [], report(plan, figures)
    assert figures.refresh_grants == figures.expiries >= plan.expiries
    assert figures.seen.gets > plan.processes * plan.threads * 10
    assert (figures.lost, figures.killed, figures.seen.refused_early) == ([], 0, 0)
    # Each is known, and judged, except perhaps the last one, which may come after the last report.
    assert len({round(end, 3) for end in figures.seen.ends}) >= figures.refresh_grants - 1


@pytest.mark.parametrize("store", STORES)
def test_with_kills_only_responses_of_killed_processes_are_lost(tmp_path: Path, store: str) -> None:
    plan = evolve(KILLED, store=store)
    figures = Soak(plan, tmp_path).run()
    assert figures.broken_promises(plan) == [], report(plan, figures)
    assert figures.killed_spending >= len(figures.lost) > 0
    assert figures.revoked_grants == len(figures.lost)


@pytest.mark.parametrize("store", STORES)
def test_with_kills_and_a_grace_period_nothing_is_lost(tmp_path: Path, store: str) -> None:
    plan = evolve(UNHURRIED, kill=KILLED.kill, aim=KILLED.aim, grace=30.0, store=store)
    figures = Soak(plan, tmp_path).run()
    assert figures.broken_promises(plan) == [], report(plan, figures)
    assert (figures.lost, figures.revoked_grants) == ([], 0)


def test_loss_that_no_kill_explains_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.endurance.soak_run._Member.death", lambda member: None)
    plan = evolve(SMALL, aim=1.0, expiries=2)
    figures = Soak(plan, tmp_path).run()
    assert figures.lost
    assert not any(loss.explained for loss in figures.lost)
    assert figures.broken_promises(plan) == ["a sign-in was lost although no process died between response and commit"]


# --- refusals -------------------------------------------------------------------------------------------------------


class Answering:
    """A keeper that returns these credentials in order."""

    def __init__(self, *credentials: OAuthToken) -> None:
        self._credentials = list(credentials)

    def get(self, profile: str, *, refused: OAuthToken | None = None) -> OAuthToken:
        if not self._credentials:
            raise TransientError("no more credentials")
        return self._credentials.pop(0)


def issued(number: int, seconds_ago: float) -> OAuthToken:
    now = SYSTEM.now()
    obtained = evolve(now, wall=now.wall - seconds_ago, elapsed=now.elapsed - seconds_ago)
    return OAuthToken(obtained=obtained, lifetime=60.0, access_token=Secret(f"at-{number}"))


@pytest.mark.parametrize(
    ("newest", "counted"),
    [([(3, -5.0)], 0), ([(3, 2.0)], 1), ([(2, 4.0)], 1), ([], 1)],
    ids=["renewed in transit", "already renewed", "same credential", "no credential"],
)
def test_second_refusal_counts_unless_the_next_renewal_happened_in_transit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: list[tuple[int, float]], counted: int
) -> None:
    orders = {
        "settings": {"provider": "any"},
        "state_dir": str(tmp_path),
        "resource": "http://127.0.0.1/",
        "threads": 1,
    }
    worker = Worker({**orders, "pace": 0.1})
    keeper = Answering(issued(1, 8.0), issued(2, 4.0), *(issued(*each) for each in newest))
    monkeypatch.setattr(worker, "_get", lambda: keeper.get("soak"))
    monkeypatch.setattr(worker, "_keeper", keeper)
    monkeypatch.setattr(worker, "_status", lambda connection, credential: 401)
    worker._request(HTTPConnection("127.0.0.1"))
    assert (worker._seen.refused, worker._seen.refused_again) == (1, counted)
    assert worker._seen.longest_behind == pytest.approx(4, abs=1)


# --- renewals -------------------------------------------------------------------------------------------------------


def granted(kind: str, seconds: float) -> Entry:
    return Entry(time=seconds, kind=f"grant.{kind}", grant=1)


@pytest.mark.parametrize(
    ("second", "third", "counted"),
    # Of 20 s, the lead is 4 and the longest jitter 1: due from 15 on.
    [(115, 130, 0), (114.9, 130, 1), (115, 129.9, 1), (114, 128.9, 2), (140, 155, 0), (119, 131, 0)],
    ids=["due", "first early", "second early", "both early", "late", "second one long in transit"],
)
def test_renewal_is_early_if_it_was_requested_before_the_process_had_to(
    second: float, third: float, counted: int
) -> None:
    log = [granted("authorization_code", 101), granted("refresh_token", second), granted("refresh_token", third)]
    requested = [100, second - 4 if (second, third) == (119, 131) else second]
    assert early([granted("revoked", 90), *log], [each + 20 for each in (*requested, third)], 20) == counted


def test_renewal_of_a_credential_that_no_process_got_is_not_early() -> None:
    log = [granted("authorization_code", 100), granted("refresh_token", 115), granted("refresh_token", 117)]
    assert early(log, [120.0], 20) == 0


# --- promises -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"seen": Seen(expired=1)},
        {"seen": Seen(refused=1, refused_early=1)},
        {"seen": Seen(refused_again=1)},
        {"seen": Seen(refused_late=1)},
        {"seen": Seen(told_again=1)},
        {"seen": Seen(errors={"TransientError": 1})},
        {"lost": [Loss("why", explained=True)]},
        {"revoked_grants": 1},
        {"refresh_grants": 7},
        {"early": 1},
    ],
)
def test_broken_promise_is_detected(broken: dict[str, Any]) -> None:
    assert GOOD.broken_promises(SMALL) == []
    assert len(evolve(GOOD, **broken).broken_promises(SMALL)) == 1


def test_loss_explained_by_a_kill_is_not_a_broken_promise() -> None:
    figures = evolve(GOOD, refresh_grants=7, revoked_grants=1, lost=[Loss("why", explained=True)])
    assert figures.broken_promises(KILLED) == []
    assert evolve(figures, lost=[Loss("why", explained=False)]).broken_promises(KILLED) != []
    assert figures.broken_promises(evolve(KILLED, grace=30.0)) == ["a sign-in was lost"]


def test_each_response_that_was_not_saved_is_a_loss_except_the_last() -> None:
    assert evolve(GOOD, refresh_grants=7).broken_promises(KILLED) == []
    assert len(evolve(GOOD, refresh_grants=8).broken_promises(KILLED)) == 1
    assert len(evolve(GOOD, refresh_grants=5).broken_promises(KILLED)) == 1


def test_refusals_are_expected_from_a_server_that_revokes_access_tokens() -> None:
    figures = evolve(GOOD, seen=Seen(refused=3, refused_early=3))
    assert figures.broken_promises(evolve(SMALL, access_dies=True)) == []


def test_counts_of_processes_add_up() -> None:
    total = Seen(gets=2, longest=0.5, errors={"a": 1}, texts={"a": "first"}, ends=[1.5])
    errors, texts = {"a": 1, "b": 1}, {"a": "second", "b": "other"}
    total.add(Seen(gets=3, longest=0.2, expired=1, errors=errors, texts=texts, ends=[2.5, 3.5]))
    assert total == Seen(
        gets=5,
        longest=0.5,
        expired=1,
        errors={"a": 2, "b": 1},
        texts={"a": "first", "b": "other"},
        ends=[1.5, 2.5, 3.5],
    )


# --- reporting ------------------------------------------------------------------------------------------------------


def test_report_lists_each_loss_and_each_broken_promise() -> None:
    text = report(KILLED, evolve(GOOD, lost=[Loss("the response was lost", explained=False)]))
    assert "lost: the response was lost (NOT EXPLAINED)" in text
    assert "BROKEN PROMISE: a sign-in was lost" in text


def test_report_tells_errors_of_the_same_class_apart() -> None:
    seen = Seen()
    for error in (
        TransientError("the server is down", code="server-error"),
        TransientError("the network is down", code="network-failed"),
        TransientError("the network is still down", code="network-failed"),
        OSError("closed"),
    ):
        seen.note(error)
    text = report(SMALL, evolve(GOOD, seen=seen))
    assert "1 OSError, 2 TransientError (network-failed), 1 TransientError (server-error)" in text
    assert "  error: OSError: closed\n" in text
    assert "  error: TransientError (network-failed): the network is down\n" in text
    assert "  error: TransientError (server-error): the server is down\n" in text


def test_json_report_has_the_same_results() -> None:
    told = json.loads(as_json(SMALL, GOOD))
    assert told["plan"]["processes"] == 3
    assert told["figures"]["seen"]["gets"] == 5
    assert told["broken"] == []


@pytest.mark.parametrize(("figures", "code"), [(GOOD, 0), (evolve(GOOD, seen=Seen(expired=1)), 1)])
def test_exit_code_shows_whether_promises_were_kept(
    figures: Figures, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans: list[Plan] = []

    class Played:
        def __init__(self, plan: Plan, folder: Path) -> None:
            plans.append(plan)

        def run(self) -> Figures:
            return figures

    monkeypatch.setattr(soak, "Soak", Played)
    assert soak.main(["--processes", "2", "--kill", "--access-dies", "--json"]) == code
    assert plans == [Plan(processes=2, kill=0.5, access_dies=True)]
    assert json.loads(capsys.readouterr().out)["figures"]["expiries"] == 6


def test_without_the_provider_it_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "find", lambda: ())
    assert soak.main(["--expiries", "1"]) == 6
    assert "freshkey-claude-oauth" in capsys.readouterr().err
