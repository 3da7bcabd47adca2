"""login: what reaches the keeper, and what is said of the result."""

from __future__ import annotations

import pytest

from cli_doubles import FakeKeeper, Run, api_key
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
