"""Accounts on the command line: ``mail/ada`` in every command, in a variable, in ``status``, and in errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from cli_doubles import FakeKeeper, Run
from freshkey.errors import LoginRequired
from freshkey.events import SignedOut, Unsaved
from freshkey_cli.status import MAX_SHOWN
from freshkey_cli.target import Target


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["login", "mail/ada"], ("login", "mail/ada", None)),
        (["logout", "mail/ada"], ("logout", "mail/ada")),
        (["refresh", "mail/ada"], ("refresh", "mail/ada")),
        (["token", "mail/ada"], ("get", "mail/ada", 0.0)),
        (["export", "mail/ada", "--format", "headers"], ("get", "mail/ada", 0.0)),
        (["whoami", "mail/ada"], ("inspect", "mail/ada")),
        (["token", "mail/a/b"], ("get", "mail/a/b", 0.0)),
        (["token", "mail/ADA"], ("get", "mail/ADA", 0.0)),
        (["token", "mail"], ("get", "mail", 0.0)),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_every_command_takes_an_account(
    run: Run, keeper: FakeKeeper, words: Sequence[str], asked: tuple[object, ...]
) -> None:
    assert run(*words).code == 0
    assert asked in keeper.asked


def test_variable_may_name_an_account_and_the_argument_wins(run: Run, keeper: FakeKeeper) -> None:
    assert run("token", FRESHKEY_PROFILE="mail/ada").code == 0
    assert run("token", "mail", FRESHKEY_PROFILE="mail/ada").code == 0
    assert [asked[1] for asked in keeper.asked if asked[0] == "get"] == ["mail/ada", "mail"]


@pytest.mark.parametrize("command", ["login", "logout", "refresh", "status", "token", "export", "whoami", "explain"])
def test_empty_account_is_an_error(run: Run, command: str) -> None:
    done = run(command, "mail/", "--json")
    assert (done.code, done.error["code"]) == (6, "invalid-account")


def test_json_has_the_account_only_if_there_is_one(run: Run, keeper: FakeKeeper) -> None:
    keeper.signed_out = SignedOut(profile="mail", account="ada", revoked=True, detail="Revoked")
    for command in ("login", "logout", "refresh", "token", "export", "whoami", "explain"):
        found = run(command, "mail/ada", "--json").json
        assert (found["profile"], found["account"]) == ("mail", "ada"), command
        assert "account" not in run(command, "mail", "--json").json, command


def test_errors_and_events_name_the_account(run: Run, keeper: FakeKeeper) -> None:
    keeper.emits = (Unsaved(profile="mail", account="ada", error="disk full", code="store-unavailable"),)
    assert "mail/ada: renewed, but not stored yet" in run("token", "mail/ada").err
    keeper.fails = LoginRequired("no one is signed in", profile="mail", hint="Run: freshkey login mail/ada")
    done = run("token", "mail/ada")
    assert done.code == 3
    assert "mail/ada: no one is signed in" in done.err
    error = run("token", "mail/ada", "--json").error
    assert (error["profile"], error["account"]) == ("mail", "ada")


def test_hints_are_commands_that_a_shell_reads_right(run: Run, keeper: FakeKeeper) -> None:
    quote = '"' if sys.platform == "win32" else "'"
    assert Target("mail", "Ada L").word == f"{quote}mail/Ada L{quote}"
    assert str(Target("mail", "a\x1b[31m")) == "mail/a\\x1b[31m"


def test_status_lists_the_accounts_of_a_profile(run: Run, keeper: FakeKeeper) -> None:
    keeper.listed = {"mail": ("ada", "grace")}
    rows = run("status", "mail").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["mail", "mail/ada", "mail/grace"]
    found = run("status", "mail", "--json").json["profiles"]
    assert [(each["profile"], each.get("account")) for each in found] == [
        ("mail", None),
        ("mail", "ada"),
        ("mail", "grace"),
    ]
    one = run("status", "mail/ada", "--json").json["profiles"]
    assert [(each["profile"], each["account"]) for each in one] == [("mail", "ada")]


def test_status_shows_some_of_many_accounts(run: Run, keeper: FakeKeeper) -> None:
    keeper.listed = {"mail": tuple(f"{number:06}" for number in range(MAX_SHOWN + 950))}
    done = run("status", "mail")
    assert len(done.out.splitlines()) == MAX_SHOWN + 2
    assert "mail: 950 more accounts; to see one, run: freshkey status mail/ACCOUNT" in done.err
