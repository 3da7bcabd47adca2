"""token and export: exactly what another program reads, and nothing else on standard output (LEK-6, TRU-6)."""

from __future__ import annotations

import re
import subprocess

import pytest

from cli_doubles import REFRESH_TOKEN, TOKEN, FakeKeeper, Run, api_key, token
from freshkey.model import Identity
from freshkey.secret import Secret


def test_token_is_alone_on_standard_output(run: Run) -> None:
    done = run("token")

    assert (done.code, done.out, done.err) == (0, f"{TOKEN}\n", "")


def test_token_as_json_tells_the_end(run: Run) -> None:
    done = run("token", "--json")

    assert done.json["token"] == TOKEN
    assert done.json["profile"] == "me"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done.json["expires_at"])


def test_token_without_an_end_says_null(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()

    assert run("token", "--json").json == {"profile": "me", "token": TOKEN, "expires_at": None}


def test_min_ttl_and_profile_reach_the_keeper(run: Run, keeper: FakeKeeper) -> None:
    run("token", "other", "--min-ttl", "600")

    assert keeper.asked == [("get", "other", 600.0)]
    assert keeper.closed


def test_credential_of_several_parts_is_no_token(run: Run, keeper: FakeKeeper) -> None:
    class Parts(type(token())):  # type: ignore[misc]
        token = None

    keeper.credential = Parts(
        obtained=token().obtained, access_token=Secret("a"), refresh_token=None, identity=Identity()
    )
    done = run("token")

    assert (done.code, done.out) == (6, "")
    assert "freshkey export me --format json" in done.err


def test_export_lines_survive_a_shell(run: Run, keeper: FakeKeeper) -> None:
    awkward = 'it\'s $(touch x) `y` "z" \\ end'
    keeper.credential = token(variables=(("APP_TOKEN", TOKEN), ("AWKWARD", awkward)))
    done = run("export")
    shown = subprocess.run(
        ["sh", "-c", f'{done.out}printf "%s|%s" "$APP_TOKEN" "$AWKWARD"'], capture_output=True, text=True, check=True
    )

    assert done.out.startswith(f"export APP_TOKEN={TOKEN}\n")
    assert shown.stdout == f"{TOKEN}|{awkward}"
    assert done.err == ""


def test_export_of_headers_and_json(run: Run) -> None:
    assert run("export", "me", "--format", "headers").out == f"Authorization: Bearer {TOKEN}\n"

    value = run("export", "--format", "json").json
    assert value["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    assert value["environment"] == {"APP_TOKEN": TOKEN}
    assert value["format"] == "json"
    assert value["expires_at"].endswith("Z")
    assert run("export", "--json").json["environment"] == {"APP_TOKEN": TOKEN}


def test_export_in_a_format_of_the_provider(run: Run, keeper: FakeKeeper) -> None:
    keeper.exports = {"credential-process": lambda credential: '{"Version": 1}'}

    assert run("export", "--format", "credential-process").out == '{"Version": 1}\n'
    assert run("export", "--format", "credential-process", "--json").json["content"] == '{"Version": 1}'


def test_unknown_export_format_lists_all(run: Run, keeper: FakeKeeper) -> None:
    keeper.exports = {"ini": lambda credential: ""}
    done = run("export", "--format", "yaml")

    assert (done.code, done.out) == (6, "")
    assert "Choose one of: env, headers, json, ini" in done.err


def test_credential_without_variables_is_not_exported_as_nothing(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()
    done = run("export")

    assert (done.code, done.out) == (6, "")
    assert "--format headers" in done.err


@pytest.mark.parametrize("nasty", ["a\nexport PATH=/x", "a\rb", "a\0b"])
def test_line_breaks_never_reach_a_reader_of_lines(run: Run, keeper: FakeKeeper, nasty: str) -> None:
    keeper.credential = token(variables=(("APP_TOKEN", nasty),), access_token=Secret(nasty))

    for command in (["token"], ["export"], ["export", "--format", "headers"]):
        done = run(*command)
        assert (done.code, done.out) == (5, "")
        assert "line break" in done.err


@pytest.mark.parametrize("name", ["A B", "A;touch x", "", "A=B"])
def test_variables_with_odd_names_are_refused(run: Run, keeper: FakeKeeper, name: str) -> None:
    keeper.credential = token(variables=((name, "x"),))
    done = run("export")

    assert (done.code, done.out) == (5, "")


@pytest.mark.parametrize("command", [["token"], ["token", "--json"], ["export"], ["export", "--format", "json"]])
def test_refresh_token_is_never_given_away(run: Run, command: list[str]) -> None:
    done = run(*command)

    assert done.code == 0
    assert REFRESH_TOKEN not in done.out + done.err
