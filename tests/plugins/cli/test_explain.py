"""explain: how the profile was selected and which of its sources wins, as text and as JSON."""

from __future__ import annotations

import pytest

from cli_doubles import FakeKeeper, Run
from freshkey.errors import StoreUnavailable


def test_explain_as_text(run: Run) -> None:
    done = run("explain", "me")
    lines = done.out.splitlines()

    assert "selected by: argument" in done.err
    assert [line.split()[0] for line in lines] == ["SELECTED", "argument", "*", "SOURCE", "*", "sign-in"]
    assert lines[2].split() == ["*", "default", "me", "default", "in", "config.toml,", "line", "1"]
    assert lines[4].split()[:2] == ["*", "env"]
    assert "API key: environment variable APP_KEY, ending in abcd" in lines[4]
    assert "'env' comes first" in lines[5]


def test_explain_as_json(run: Run) -> None:
    value = run("explain", "--json").json

    assert (value["profile"], value["provider"], value["selected_by"]) == ("me", "claude_oauth", "argument")
    assert value["selection"] == [
        {"place": "argument", "found": None, "wins": False, "why": "names none"},
        {"place": "default", "found": "me", "wins": True, "why": "default in config.toml, line 1"},
    ]
    assert value["steps"][0]["found"]["last_four"] == "abcd"
    assert [step["wins"] for step in value["steps"]] == [True, False]
    assert value["steps"][1]["found"] is None


def test_what_to_do_next_is_told_if_there_is_nothing_to_use(run: Run) -> None:
    assert "empty: there is nothing to use. Run: freshkey login empty" in run("explain", "empty").err
    assert "nothing to use" not in run("explain", "me").err


def test_status_that_fails_does_not_stop_an_explanation(
    run: Run, keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(held: FakeKeeper, profile: str, *, account: str | None = None) -> None:
        raise StoreUnavailable(f"{profile} is locked", code="keychain-locked")

    monkeypatch.setattr(type(keeper), "status", status)
    done = run("explain", "empty")
    assert (done.code, "SOURCE" in done.out, "nothing to use" in done.err) == (0, True, False)
