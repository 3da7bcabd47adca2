"""login: what reaches the keeper, and how the result is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_doubles import FakeKeeper, Run, api_key
from freshkey_cli.key_input import KeyGiver
from freshkey_cli.terminal import Terminal


def test_login_shows_account_store_and_expiry(run: Run, keeper: FakeKeeper) -> None:
    done = run("login")

    assert done.code == 0
    assert keeper.asked == [("login", "me", None)]
    assert isinstance(keeper.interaction, Terminal)
    assert done.out.splitlines() == [
        "me: Signed in as ada@example.com",
        "  expires in 1 h 0 min; renewed when it is next used",
        "  stored in: file",
    ]


def test_login_as_json(run: Run) -> None:
    value = run("login", "--json").json

    assert value["profile"] == "me"
    assert value["store"] == "file"
    assert value["identity"] == {"email": "ada@example.com", "plan": "max"}
    assert value["renewable"] is True


def test_login_result_without_expiry_and_account(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()

    assert run("login").out.splitlines() == ["me: Signed in", "  stored in: file"]


def test_source_and_store_options_reach_the_keeper(run: Run, keeper: FakeKeeper) -> None:
    run("login", "me", "--source", "sign-in", "--store", "keyring")

    assert keeper.asked == [("login", "me", "sign-in")]
    assert keeper.configuration is not None
    assert keeper.configuration.table("me").store == "keyring"


@pytest.mark.parametrize("option", [(), ("--api-key",)])
def test_sign_in_that_would_end_with_the_command_is_refused(
    run: Run, keeper: FakeKeeper, option: tuple[str, ...]
) -> None:
    done = run("login", "me", "--store", "memory", *option)

    assert (done.code, done.error_code) == (6, "store-not-persistent")
    assert 'store = "file"' in done.err
    assert keeper.asked == []


def test_unreadable_file_of_a_project_does_not_keep_a_provider_from_being_signed_in_to(
    run: Run, keeper: FakeKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".freshkey.toml").write_text("[profiles", "utf-8")
    monkeypatch.chdir(tmp_path)
    keeper.credential = api_key()
    assert run("login", "claude_oauth", "--api-key").code == 0


def test_existing_key_is_stored(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()
    done = run("login", "me", "--api-key")

    assert keeper.asked == [("login", "me", "pasted")]
    assert isinstance(keeper.interaction, KeyGiver)
    assert done.out.splitlines() == ["me: API key stored", "  stored in: file"]


def test_importing_a_key_shows_each_step(run: Run, keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]) -> None:
    keeper.credential = api_key()
    done = run("login", "--api-key", "--import-from", "https://example.com/Old Tool/ada")

    assert keeper.asked == [("import_key", "me", "https://example.com/Old Tool", "ada")]
    assert done.out.splitlines() == ["me: API key stored", "  stored in: file"]
    assert keeper.reporter is not None
    keeper.reporter.progress("Reading it")
    assert capfd.readouterr().err == "Reading it\n"
