"""The endurance run in small: its figures add up, and what it promises holds with and without kills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freshkey.testing import soak
from freshkey.testing.soak import Figures, Plan, Soak, report


SMALL = Plan(processes=3, threads=2, expiries=6, lifetime=1.5)
TOLD = {"gets": 5, "expired": 0, "refused": 0, "refused_again": 0, "errors": {}, "longest": 0.1, "longest_valid": 0.0}


def test_without_kills_each_expiry_is_one_grant_and_nobody_notices(tmp_path: Path) -> None:
    figures = Soak(SMALL, tmp_path).run()
    assert figures.holds(SMALL), report(SMALL, figures)
    assert figures.refresh_grants == figures.expiries >= SMALL.expiries
    assert figures.told["gets"] > SMALL.processes * SMALL.threads * 10
    assert (figures.lost, figures.killed) == ([], 0)


def test_with_kills_and_a_lenient_server_nothing_is_lost(tmp_path: Path) -> None:
    plan = Plan(processes=3, threads=2, expiries=6, lifetime=1.5, kill=0.5, aim=0.05, grace=30.0)
    figures = Soak(plan, tmp_path).run()
    assert figures.lost == []
    assert figures.revoked_grants == 0
    assert figures.told["expired"] == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"told": {**TOLD, "expired": 1}},
        {"told": {**TOLD, "refused_again": 1}},
        {"told": {**TOLD, "errors": {"TransientError": 1}}},
        {"lost": ["why"]},
        {"lost_unexplained": 1},
        {"revoked_grants": 1},
        {"refresh_grants": 7},
    ],
)
def test_a_broken_promise_is_seen(broken: dict[str, Any]) -> None:
    good: dict[str, Any] = {"expiries": 6, "refresh_grants": 6, "told": TOLD}
    assert Figures(**good).holds(SMALL)
    assert not Figures(**{**good, **broken}).holds(SMALL)


def test_a_loss_is_no_broken_promise_if_a_kill_explains_it() -> None:
    plan = Plan(kill=1.0)
    assert Figures(expiries=5, refresh_grants=6, lost=["why"], revoked_grants=1, told=TOLD).holds(plan)
    assert not Figures(expiries=5, refresh_grants=6, lost=["why"], lost_unexplained=1, told=TOLD).holds(plan)


def test_without_the_provider_it_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "find", lambda: ())
    assert soak.main(["--expiries", "1"]) == 6
    assert "freshkey-claude-oauth" in capsys.readouterr().err
