"""Storing an existing API key: from a hidden prompt, a pipe, or the keychain item of an older program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterparts.keychain import Keychain
from home import Home
from typist import Typist


pytestmark = pytest.mark.counterpart

KEY = "sk-ant-api03-canary-5c1d9e77-0123456789"
OLD = ("Old Tool", "ada")

PROGRAM = """
import keyring, sys
action, service, username, *value = sys.argv[1:]
if action == "set":
    keyring.set_password(service, username, value[0])
else:
    print(keyring.get_password(service, username))
"""


@pytest.fixture
def keychain() -> Iterator[Keychain]:
    with Keychain() as keychain:
        yield keychain


@pytest.fixture(params=["keyring", "file"])
def user(request: pytest.FixtureRequest, tmp_path: Path, keychain: Keychain) -> Home:
    """A user with a keychain who stores the key in it, or in the encrypted file store."""
    user = Home(tmp_path, request.param)
    user.configure()
    places = {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    user.variables |= {**keychain.variables, **places}
    return user


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "freshkey", *arguments]


def test_key_typed_in_a_terminal_is_stored_and_not_shown(user: Home) -> None:
    with Typist(command("login", "--api-key"), user.environment) as typist:
        typist.read_until("API key")
        typist.wait_until_quiet()
        typist.type(f"{KEY}\r")
        assert typist.end() == 0
        assert typist.as_before
        assert "me: API key stored" in typist.screen
        assert KEY not in typist.screen
    assert user.freshkey("token").stdout == f"{KEY}\n"
    assert json.loads(user.freshkey("status", "--json").stdout)["profiles"][0]["source"] == "stored-api-key"


@pytest.mark.parametrize("typed", ["\x04", "\x03"])
def test_nothing_is_stored_if_no_key_is_typed(user: Home, typed: str) -> None:
    with Typist(command("login", "--api-key"), user.environment) as typist:
        typist.read_until("API key")
        typist.wait_until_quiet()
        typist.type(typed)
        assert typist.end() == (3 if typed == "\x04" else 130)
        assert typist.as_before
        assert "Traceback" not in typist.screen
    assert user.freshkey("token").returncode == 3


def login_with_input(user: Home, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("login", "--api-key"),
        env=user.environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_key_is_read_from_a_pipe(user: Home) -> None:
    done = login_with_input(user, f"{KEY}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert KEY not in done.stdout
    assert user.freshkey("token").stdout == f"{KEY}\n"


@pytest.mark.parametrize(
    ("text", "code", "fact"),
    [
        ("", 3, "[no-key-entered]"),
        ("canary 12\n", 6, "API key"),
        ("canary" * 4000, 6, "16384 bytes [invalid-secret-input]"),
    ],
)
def test_invalid_key_is_not_stored(user: Home, text: str, code: int, fact: str) -> None:
    done = login_with_input(user, text)

    assert (done.returncode, done.stdout) == (code, "")
    assert fact in done.stderr
    assert "canary" not in done.stderr
    assert user.freshkey("token").returncode == 3


def old_item(keychain: Keychain) -> str:
    return keychain.run(["-c", PROGRAM, "get", *OLD]).stdout.strip()


def test_key_is_moved_out_of_an_older_programs_keychain_item(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, KEY]).returncode == 0
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert done.returncode == 0, done.stderr
    reading, stored, deleted = done.stderr.splitlines()
    assert "'Old Tool'" in reading
    assert user.store in stored
    assert "Deleted" in deleted
    assert "'Old Tool'" in deleted
    assert KEY not in done.stdout + done.stderr
    assert old_item(keychain) == "None"
    assert user.freshkey("token").stdout == f"{KEY}\n"

    again = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))
    assert again.returncode == 6
    assert "[nothing-to-import]" in again.stderr
    assert "'Old Tool'" in again.stderr
    assert user.freshkey("token").stdout == f"{KEY}\n"


def test_import_from_a_locked_keychain_fails_and_keeps_the_item(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, KEY]).returncode == 0
    keychain.lock()
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert (done.returncode, done.stdout) == (4, "")
    keychain.unlock()
    assert old_item(keychain) == KEY


def test_import_of_an_invalid_key_keeps_the_item(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, "not a canary"]).returncode == 0
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert (done.returncode, done.stdout) == (6, "")
    assert "canary" not in done.stderr
    assert old_item(keychain) == "not a canary"
    assert user.freshkey("token").returncode == 3
