"""login, logout, refresh: what reaches the keeper, and what is said of the result."""

from __future__ import annotations

import pytest

from cli_doubles import ADA, FakeKeeper, Run, api_key
from freshkey.events import AccountChanged, ObserverFailed, Renewed, SignedOut, Unsaved
from freshkey.model.identity import Identity
from freshkey_cli.key_input import KeyGiver
from freshkey_cli.terminal import Terminal


def test_login_says_who_where_and_how_long(run: Run, keeper: FakeKeeper) -> None:
    done = run("login")

    assert done.code == 0
    assert keeper.asked == [("login", "me", None)]
    assert isinstance(keeper.interaction, Terminal)
    assert done.out.splitlines() == [
        "me: Signed in as ada@example.com",
        "  good for 1 h 0 min, then renewed by itself",
        "  kept in: file",
    ]


def test_login_for_programs(run: Run) -> None:
    value = run("login", "--json").json

    assert value["profile"] == "me"
    assert value["store"] == "file"
    assert value["identity"] == {"email": "ada@example.com", "plan": "max"}
    assert value["renewable"] is True


def test_credential_without_end_and_name(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()

    assert run("login").out.splitlines() == ["me: Signed in", "  kept in: file"]


def test_source_and_store_of_the_run_are_passed_on(run: Run, keeper: FakeKeeper) -> None:
    run("login", "me", "--source", "sign-in", "--store", "memory")

    assert keeper.asked == [("login", "me", "sign-in")]
    assert keeper.configuration is not None
    assert keeper.configuration.table("me").store == "memory"


def test_a_key_that_exists_is_kept(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()
    done = run("login", "me", "--api-key")

    assert keeper.asked == [("login", "me", "pasted")]
    assert isinstance(keeper.interaction, KeyGiver)
    assert done.out.splitlines() == ["me: Key kept", "  kept in: file"]


def test_a_key_of_another_program_is_imported_and_each_step_is_told(
    run: Run, keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]
) -> None:
    keeper.credential = api_key()
    done = run("login", "--api-key", "--import-from", "https://example.com/Old Tool/ada")

    assert keeper.asked == [("import_key", "me", "https://example.com/Old Tool", "ada")]
    assert done.out.splitlines() == ["me: Key kept", "  kept in: file"]
    assert keeper.reporter is not None
    keeper.reporter.progress("Reading it")
    assert capfd.readouterr().err == "Reading it\n"


def test_refresh_renews_now(run: Run, keeper: FakeKeeper) -> None:
    done = run("refresh", "me")

    assert keeper.asked == [("refresh", "me")]
    assert done.out.startswith("me: Renewed as ada@example.com\n")


def test_logout_tells_whether_it_was_revoked(run: Run, keeper: FakeKeeper) -> None:
    assert run("logout").out == "me: Revoked and deleted\n"

    keeper.signed_out = SignedOut(profile="me", revoked=False, detail="Deleted here, but not revoked: no answer")
    done = run("logout", "--json")
    assert done.code == 0
    assert done.json == {"profile": "me", "revoked": False, "detail": "Deleted here, but not revoked: no answer"}


def test_what_no_result_tells_is_told_on_standard_error(run: Run, keeper: FakeKeeper) -> None:
    keeper.emits = (
        Unsaved(profile="me", error="the keychain is locked"),
        ObserverFailed(profile="me", observer="audit", hook="refresh", error="ValueError"),
        AccountChanged(profile="me", before=Identity(), after=ADA),
        Renewed(profile="me", generation=2, expires_at=None),
    )
    done = run("refresh")

    assert done.err.splitlines() == [
        "me: renewed, but not stored yet: the keychain is locked",
        "me: observer 'audit' failed after refresh: ValueError",
        "me: the account changed from unknown to ada@example.com",
    ]
    assert run("refresh", "--json").err == ""
