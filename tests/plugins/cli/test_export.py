"""export: prints exactly what other programs read, and nothing else, to stdout (LEK-6)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli_doubles import TOKEN, FakeKeeper, Run, api_key, signed, token
from freshkey.clock import SYSTEM
from freshkey.secret import Secret
from leasing import Lease


@pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")
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


def test_export_for_powershell_quotes_what_it_takes_for_quotes(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(variables=(("APP_TOKEN", TOKEN), ("AWKWARD", "it's $x `y` \u2018z\u2019 \\")))
    done = run("export", "--format", "powershell")

    assert done.out == f"$env:APP_TOKEN = '{TOKEN}'\n$env:AWKWARD = 'it''s $x `y` \u2018\u2018z\u2019\u2019 \\'\n"
    assert run("export", "--format", "powershell", "--json").json["environment"]["APP_TOKEN"] == TOKEN
    assert done.err == ""


def test_export_of_headers_and_json(run: Run) -> None:
    assert run("export", "me", "--format", "headers").out == f"Authorization: Bearer {TOKEN}\n"

    value = run("export", "--format", "json").json
    assert value["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    assert value["environment"] == {"APP_TOKEN": TOKEN}
    assert value["format"] == "json"
    assert value["expires_at"].endswith("Z")
    assert run("export", "--json").json["environment"] == {"APP_TOKEN": TOKEN}


def test_credential_that_signs_each_request_has_no_headers_to_export(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = signed()

    value = run("export", "--format", "json").json
    assert (value["headers"], value["environment"]) == (None, {"APP_KEY": TOKEN})
    assert run("export").out == f"export APP_KEY={TOKEN}\n"

    done = run("export", "--format", "headers")
    assert (done.code, done.out, done.error_code) == (6, "", "invalid-setting")
    assert "Run: freshkey export me\n" in done.err


def test_credential_that_is_not_for_http_has_no_headers_to_export(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = Lease(obtained=SYSTEM.now(), user="ada", password=Secret(TOKEN))
    keeper.exports = {"pgpass": lambda profile, credential: "ada"}

    assert run("export", "--format", "json").json["headers"] is None
    done = run("export", "--format", "headers")
    assert (done.code, done.out, done.error_code) == (6, "", "not-for-http")
    assert "Run: freshkey export me --format pgpass\n" in done.err
    assert "--format headers" not in run("export").err


def test_export_in_a_provider_format(run: Run, keeper: FakeKeeper) -> None:
    keeper.exports = {"credential-process": lambda profile, credential: '{"Version": 1}'}

    assert run("export", "--format", "credential-process").out == '{"Version": 1}\n'
    assert run("export", "--format", "credential-process", "--json").json["content"] == '{"Version": 1}'


def test_unknown_export_format_lists_all(run: Run, keeper: FakeKeeper) -> None:
    keeper.exports = {"ini": lambda profile, credential: ""}
    done = run("export", "--format", "yaml")

    assert (done.code, done.out, done.error_code) == (6, "", "unknown-export-format")
    assert "Choose one of: env, powershell, headers, json, ini" in done.err


def test_exporting_a_credential_without_variables_is_an_error(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()
    done = run("export")

    assert (done.code, done.out, done.error_code) == (6, "", "no-environment-form")
    assert "--format headers" in done.err
