"""The points at which tests make a renewal fail: all are reached, in order, and only tests set them."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey import Configuration, Keeper, _failpoints
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow


CORE = Path(_failpoints.__file__).parent


def test_failpoints_are_off_by_default() -> None:
    assert _failpoints.at is None


def test_the_core_never_sets_a_failpoint() -> None:
    assert [str(path) for path in CORE.rglob("*.py") if "_failpoints.at" in path.read_text("utf-8")] == []


def test_renewal_reaches_every_failpoint_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    with AuthorizationServer() as server:
        profile = {**server.settings(), "provider": "claude_oauth", "store": "memory"}
        configuration = Configuration.of({"me": profile}, state_dir=tmp_path / "state", default="me")
        with Keeper(configuration=configuration) as keeper, ScriptedUser(browser=follow) as user:
            keeper.login(interaction=user)
            monkeypatch.setattr("freshkey._stores.memory.MemoryItems.item_limit", 400)
            monkeypatch.setattr(_failpoints, "at", passed.append)
            keeper.refresh()
    assert list(dict.fromkeys(passed)) == list(_failpoints.POINTS)
