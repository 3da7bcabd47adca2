"""status: as text and as JSON; one broken profile does not affect the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from cli_doubles import FakeKeeper, Run, hidden_sign_in
from freshkey.errors import StoreUnavailable
from freshkey.expiry import Freshness
from freshkey.model.source import Detected


def test_status_shows_every_configured_profile(run: Run, config: Path) -> None:
    config.write_text('[profiles.me]\nprovider = "p"\n[profiles.empty]\nprovider = "p"\n')
    done = run("status")
    header, me, empty = done.out.splitlines()

    assert header.split() == ["PROFILE", "PROVIDER", "STORE", "SOURCE", "TIME", "LEFT", "STATE", "ACCOUNT"]
    assert me.split()[:4] == ["me", "claude_oauth", "file", "sign-in"]
    assert "1 h 0 min" in me
    assert "ada@example.com" in me
    assert "sign-in required" in empty
    assert "the server refused" not in done.out  # a sentence would widen the table
    assert "empty: the server refused" in done.err


def test_status_as_json(run: Run, config: Path) -> None:
    config.write_text('[profiles.me]\nprovider = "p"\n[profiles.empty]\nprovider = "p"\n')
    me, empty = run("status", "--json").json["profiles"]

    assert me == me | {
        "profile": "me",
        "provider": "claude_oauth",
        "signed_in": True,
        "store": "file",
        "source": "sign-in",
        "generation": 3,
        "freshness": "fresh",
        "sign_in_needed": None,
        "renewable": True,
        "identity": {"email": "ada@example.com", "plan": "max"},
    }
    assert me["seconds_left"] == 3600
    assert me["refresh_at"] < me["expires_at"]
    assert (empty["signed_in"], empty["sign_in_needed"]) == (False, "the server refused")


def test_control_characters_in_status_errors_are_not_printed(run: Run, config: Path, keeper: FakeKeeper) -> None:
    config.write_text('[profiles.broken]\nprovider = "p"\n')
    keeper.fails = StoreUnavailable("the daemon said \x1b]0;title\x07 and\u202e went")
    done = run("status")

    assert "broken: the daemon said \ufffd]0;title\ufffd and\ufffd went\n" in done.err


def test_broken_profile_does_not_hide_the_others(run: Run, config: Path, keeper: FakeKeeper) -> None:
    config.write_text('[profiles.broken]\nprovider = "p"\n[profiles.me]\nprovider = "p"\n')
    keeper.fails = StoreUnavailable("the keychain is locked", code="keychain-locked")
    done = run("status")
    lines = done.out.splitlines()
    broken, me = run("status", "--json").json["profiles"]

    assert lines[1].split()[-2:] == ["error", "-"]
    assert "broken: the keychain is locked" in done.err
    assert lines[2].startswith("me ")
    assert broken["error"] == {
        "code": "keychain-locked",
        "kind": "StoreUnavailable",
        "message": "the keychain is locked",
    }
    assert me["signed_in"]


def test_status_of_one_profile(run: Run) -> None:
    assert [profile["profile"] for profile in run("status", "other", "--json").json["profiles"]] == ["other"]


def test_status_without_configuration_shows_how_to_start(run: Run, config: Path) -> None:
    config.unlink()
    done = run("status")

    assert str(config) in done.err
    assert '  provider = "' in done.err
    assert "then run: freshkey status\n" in done.err
    assert any(line.startswith("claude_oauth ") for line in done.out.splitlines())
    assert str(config) not in run("status", "claude_oauth").err


def test_reason_and_next_step_are_below_the_table(run: Run, config: Path) -> None:
    config.write_text('[profiles.empty]\nprovider = "p"\n')
    assert run("status").err == "empty: the server refused. Run: freshkey login empty\n"
    assert run("status", "--json").json["profiles"][0]["next_step"] == "Run: freshkey login empty"


def test_hidden_sign_in_is_shown_below_the_table_and_as_json(run: Run, keeper: FakeKeeper) -> None:
    keeper.hidden = hidden_sign_in()
    done = run("status")

    assert "using the API key from environment variable APP_KEY, not the Sign-in of ada@example.com" in done.err
    assert 'source = "sign-in"' in done.err
    assert run("status", "--json").json["profiles"][0]["hidden_sign_in"] == {
        "source": "sign-in",
        "store": "file",
        "identity": {"email": "ada@example.com", "plan": "max"},
        "hidden_by": {
            "kind": "API key",
            "origin": "environment variable APP_KEY",
            "expires_at": None,
            "last_four": "abcd",
        },
    }


@pytest.mark.parametrize(
    ("chosen_by", "advice"),
    [
        ((), "remove the API key from environment variable APP_KEY"),
        (("helper",), "remove helper from the profile"),
        (("APP_PROFILE",), "unset APP_PROFILE"),
        (("profile", "APP_PROFILE"), "remove profile from the profile and unset APP_PROFILE"),
    ],
)
def test_advice_on_a_hidden_sign_in_names_what_chose_the_other_source(
    run: Run, keeper: FakeKeeper, chosen_by: tuple[str, ...], advice: str
) -> None:
    keeper.hidden = evolve(hidden_sign_in(), chosen_by=chosen_by)
    assert f'To use that one, {advice}, or set source = "sign-in"' in run("status").err


def test_overruled_setting_is_shown_below_the_table_and_as_json(run: Run, keeper: FakeKeeper) -> None:
    keeper.detected = Detected(kind="API key", origin="environment variable APP_KEY")
    keeper.overruled = {"helper": "a-helper"}

    assert "me: using the API key from environment variable APP_KEY, not what helper selects. " in run("status").err
    assert 'or set source = "a-helper"' in run("status").err
    assert run("status", "--json").json["profiles"][0]["overruled"] == {"helper": "a-helper"}


def test_setting_that_the_source_ignores_is_shown_below_the_table_and_as_json(run: Run, keeper: FakeKeeper) -> None:
    assert "does not use" not in run("status").err
    keeper.ignored = ("helper", "region")
    assert "me: source 'sign-in' does not use helper and region" in run("status").err
    assert run("status", "--json").json["profiles"][0]["ignored"] == ["helper", "region"]


@pytest.mark.parametrize(
    ("away", "shown"), [(-5.0, ("expired", "expired")), (600.0, ("9", "available")), (None, ("-", "available"))]
)
def test_what_was_found_in_a_source_is_shown_as_far_as_it_can_be_seen(
    run: Run, config: Path, keeper: FakeKeeper, away: float | None, shown: tuple[str, str]
) -> None:
    config.write_text('[profiles.found]\nprovider = "p"\n')
    ends = None if away is None else datetime.now(UTC) + timedelta(seconds=away)
    keeper.detected = Detected(kind="AWS access key", origin="AWS profile 'dev'", expires_at=ends, last_four="LE12")
    row = run("status").out.splitlines()[1].split()
    assert (row[4], row[-2]) == shown
    found = run("status", "--json").json["profiles"][0]["found"]
    assert (found["kind"], found["last_four"]) == ("AWS access key", "LE12")
    assert (found["expires_at"] is None) is (ends is None)


@pytest.mark.parametrize(
    ("profile", "freshness", "state"),
    [
        ("found", Freshness.FRESH, "failed"),
        ("me", Freshness.EXPIRED, "failed"),
        ("me", Freshness.DUE, "use"),
        ("me", Freshness.FRESH, "fresh"),
        ("empty", Freshness.FRESH, "required"),
    ],
)
def test_failure_is_the_state_of_a_profile_without_a_credential_that_works(
    run: Run, keeper: FakeKeeper, profile: str, freshness: Freshness, state: str
) -> None:
    keeper.detected = Detected(kind="API key", origin="helper command false")
    keeper.last_error, keeper.freshness = "the command failed (found 2 s ago)", freshness
    done = run("status", profile)
    assert done.out.splitlines()[1].rpartition("  ")[0].split()[-1] == state
    if profile != "empty":
        assert f"{profile}: the command failed (found 2 s ago)" in done.err
