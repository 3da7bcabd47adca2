"""status: as text and as JSON; one broken profile does not affect the others."""

from __future__ import annotations

from pathlib import Path

from cli_doubles import FakeKeeper, Run
from freshkey.errors import StoreUnavailable


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
    assert "freshkey login" in done.err
    assert any(line.startswith("claude_oauth ") for line in done.out.splitlines())
