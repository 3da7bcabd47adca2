"""status, whoami, explain, providers: for people and for programs, and never a secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli_doubles import REFRESH_TOKEN, TOKEN, FakeKeeper, Run, token
from freshkey.errors import StoreUnavailable
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity


def test_status_shows_every_configured_profile(run: Run, config: Path) -> None:
    config.write_text('[profiles.me]\nprovider = "p"\n[profiles.empty]\nprovider = "p"\n')
    done = run("status")
    header, me, empty = done.out.splitlines()

    assert header.split() == ["PROFILE", "PROVIDER", "STORE", "SOURCE", "LEFT", "STATE", "ACCOUNT"]
    assert me.split()[:4] == ["me", "claude_oauth", "file", "sign-in"]
    assert "1 h 0 min" in me
    assert "ada@example.com" in me
    assert "sign-in needed" in empty
    assert "the server refused" not in done.out  # a sentence would spread the table
    assert "empty: the server refused" in done.err


def test_status_for_programs(run: Run, config: Path) -> None:
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


def test_trouble_is_shown_and_never_obeyed(run: Run, config: Path, keeper: FakeKeeper) -> None:
    config.write_text('[profiles.broken]\nprovider = "p"\n')
    keeper.fails = StoreUnavailable("the daemon said \x1b]0;title\x07 and\u202e went")
    done = run("status")

    assert "broken: the daemon said \ufffd]0;title\ufffd and\ufffd went\n" in done.err


def test_profile_that_cannot_be_shown_hides_no_other(run: Run, config: Path, keeper: FakeKeeper) -> None:
    config.write_text('[profiles.broken]\nprovider = "p"\n[profiles.me]\nprovider = "p"\n')
    keeper.fails = StoreUnavailable("the keychain is locked")
    done = run("status")
    lines = done.out.splitlines()
    broken, me = run("status", "--json").json["profiles"]

    assert "cannot tell" in lines[1]
    assert "broken: the keychain is locked" in done.err
    assert lines[2].startswith("me ")
    assert broken["error"] == {"kind": "StoreUnavailable", "message": "the keychain is locked"}
    assert me["signed_in"]


def test_status_of_one_profile(run: Run) -> None:
    assert [profile["profile"] for profile in run("status", "other", "--json").json["profiles"]] == ["other"]


def test_status_without_configuration_says_how_to_start(run: Run, config: Path) -> None:
    config.unlink()
    done = run("status")

    assert str(config) in done.err
    assert '  provider = "' in done.err
    assert "freshkey login" in done.err
    assert any(line.startswith("claude_oauth ") for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("validity", "code"),
    [
        (Validity.VALID, 0),
        (Validity.UNCHECKABLE, 0),
        (Validity.EXPIRED, 3),
        (Validity.REFUSED, 3),
        (Validity.UNREACHABLE, 5),
    ],
)
def test_whoami_answers_by_its_exit_code_too(run: Run, keeper: FakeKeeper, validity: Validity, code: int) -> None:
    keeper.inspection = Inspection(validity=validity, identity=Identity(email="ada@example.com"), detail="asked")
    done = run("whoami", "--json")

    assert done.code == code
    assert done.json == {
        "profile": "me",
        "validity": validity.value,
        "detail": "asked",
        "identity": {"email": "ada@example.com"},
    }


def test_whoami_for_people(run: Run) -> None:
    done = run("whoami")

    assert done.out.splitlines()[0] == "me: valid (checked)"
    assert "ada@example.com" in done.out


def test_explain_shows_the_walk(run: Run) -> None:
    done = run("explain", "me")
    lines = done.out.splitlines()

    assert "selected by: name given" in done.err
    assert [line.split()[0] for line in lines] == ["PROFILE", "name", "*", "SOURCE", "*", "sign-in"]
    assert lines[2].split() == ["*", "default", "me", "default", "in", "config.toml,", "line", "1"]
    assert lines[4].split()[:2] == ["*", "env"]
    assert "API key in environment variable APP_KEY, ending in abcd" in lines[4]
    assert "'env' comes first" in lines[5]


def test_explain_for_programs(run: Run) -> None:
    value = run("explain", "--json").json

    assert (value["profile"], value["provider"], value["selected_by"]) == ("me", "claude_oauth", "name given")
    assert value["selection"] == [
        {"place": "name given", "found": None, "wins": False, "why": "names none"},
        {"place": "default", "found": "me", "wins": True, "why": "default in config.toml, line 1"},
    ]
    assert value["steps"][0]["found"]["last_four"] == "abcd"
    assert [step["wins"] for step in value["steps"]] == [True, False]
    assert value["steps"][1]["found"] is None


def test_names_from_elsewhere_are_shown_and_never_obeyed(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(identity=Identity(email="\x1b]0;owned\x07\u202eada"))
    keeper.inspection = Inspection(validity=Validity.VALID, identity=keeper.credential.identity, detail="\x1b[2J")

    for command in (["status"], ["whoami"], ["login"]):
        done = run(*command)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
        assert "ada" in done.out


@pytest.mark.parametrize("command", ["status", "whoami", "explain", "login", "logout", "refresh"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_is_shown_has_no_secret(run: Run, command: str, form: list[str]) -> None:
    done = run(command, *form)

    assert done.code == 0
    assert TOKEN not in done.out + done.err
    assert REFRESH_TOKEN not in done.out + done.err


def test_providers_lists_what_is_installed(run: Run) -> None:
    found = {one["name"]: one["distribution"] for one in run("providers", "--json").json["providers"]}
    assert found["claude_oauth"] == "freshkey-claude-oauth"
    assert "claude_oauth" in run("providers").out


def test_providers_imports_none() -> None:
    program = (
        "import sys; from freshkey import cli; code = cli.run(['providers']);"
        "sys.exit(code or any(name.startswith('freshkey_') for name in sys.modules) * 50)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "claude_oauth" in done.stdout
