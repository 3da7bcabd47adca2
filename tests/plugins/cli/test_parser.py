"""Parsing: usage errors as text and JSON, options common to all commands, help."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_doubles import FakeKeeper, Run
from promises import proves


COMMANDS = ["login", "logout", "status", "token", "export", "whoami", "refresh", "explain", "providers", "trust"]
COMMANDS += ["demo", "exec"]


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nothing"],
        ["token", "--min-ttl", "-1"],
        ["token", "--min-ttl", "nan"],
        ["token", "a", "b"],
        ["token", "--set", "region"],
        ["login", "--source", "a", "--api-key"],
        ["login", "--import-from", "service/name"],
        ["login", "--api-key", "--import-from", "service"],
        ["login", "--api-key", "--import-from", "/name"],
    ],
)
def test_usage_errors_exit_2_as_text_and_json(run: Run, argv: list[str]) -> None:
    done = run(*argv)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: freshkey")

    as_json = run(*argv, "--json")
    assert (as_json.code, as_json.out) == (2, "")
    assert (as_json.error["code"], as_json.error["kind"], as_json.error["exit_code"]) == ("usage", "UsageError", 2)


def test_malformed_setting_is_not_quoted(run: Run) -> None:  # LEK-4
    assert "canary-77" not in run("token", "--set", "canary-77").err


CANARY = "canary-77-Qw8eRt7y"


@proves("LEK-9")
@pytest.mark.parametrize(
    "argv",
    [
        ["login", "me", "--api-key", CANARY],
        ["login", "me", f"--api-key={CANARY}"],
        ["login", "me", "--key", CANARY],
        ["login", "me", f"--key={CANARY}"],
        ["login", "me", f"-k{CANARY}"],
        ["login", "me", f"-{CANARY}"],
        ["login", "me", f"--{CANARY}"],
        ["login", "me", "--import-from", CANARY],
        ["login", "me", "--source", "a", "--api-key", CANARY],
        ["token", "me", CANARY, CANARY],
        ["token", "--min-ttl", CANARY],
        ["token", "--set", CANARY],
        ["token", f"--json={CANARY}"],
        ["token", "me", "--", CANARY],
        ["exec", "me", "--keep-fd", CANARY, "--", "true"],
        ["exec", "me", "--key", CANARY],
        ["trust", "--revoke", "--list", CANARY],
        [CANARY],
        [f"{CANARY}' (choose from"],
        [f"--{CANARY}", "token"],
        [f"--json={CANARY}", "token"],
    ],
)
def test_no_word_of_the_command_line_is_quoted(run: Run, argv: list[str]) -> None:
    for done in (run(*argv), run("--json", *argv)):
        assert done.code == 2
        assert "canary" not in done.err + done.out
        assert "Qw8" not in done.err + done.out


@proves("LEK-9")
def test_a_key_as_an_argument_is_told_how_to_be_given(run: Run) -> None:
    done = run("login", "me", "--api-key", CANARY)
    assert "unexpected value after --api-key" in done.err
    assert "standard input" in done.err
    as_json = run("login", "me", "--key", CANARY, "--json")
    assert as_json.error["message"].startswith("unrecognized option: --key")
    assert "standard input" in str(as_json.error["hint"])
    assert run("logout", "me", "--force", "--json").error["hint"] is None


@pytest.mark.parametrize("command", ["token", "export", "explain", "status", "whoami"])
def test_bare_and_set_options_reach_the_configuration(run: Run, keeper: FakeKeeper, config: Path, command: str) -> None:
    config.write_text("this is not read")
    done = run(command, "acme", "--bare", "--set", "region=there", "--set", "retries=3", "--set", "retries=5")

    assert done.code == 0
    assert keeper.configuration is not None
    assert keeper.configuration.bare
    assert keeper.configuration.overrides == {"region": "there", "retries": 5}


@pytest.mark.parametrize("command", ["login", "logout", "refresh", "trust", "providers", "demo"])
def test_commands_that_store_something_have_no_bare_mode(run: Run, command: str) -> None:
    assert run(command, "--bare").code == 2


def test_json_may_come_before_the_command(run: Run) -> None:
    assert run("--json", "token").json == run("token", "--json").json


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(command, "--help")

    assert done.code == 0
    assert f"freshkey {command}" in done.out
    assert "--json" in done.out


def test_help_lists_every_command_and_version_prints_the_version(run: Run) -> None:
    done = run("--help")

    assert all(f"\n    {command}" in done.out for command in COMMANDS)
    assert run("--version").out.startswith("freshkey ")
