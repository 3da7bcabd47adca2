"""A key that exists is handed to freshkey: typed unseen, through a pipe, or out of an older program's keychain item."""

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
    """Somebody with a keychain, and where their key will be kept."""
    user = Home(tmp_path, request.param)
    user.configure()
    places = {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    user.variables |= {**keychain.variables, **places}
    return user


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "freshkey", *arguments]


def test_it_is_typed_at_a_terminal_and_not_shown(user: Home) -> None:
    with Typist(command("login", "--api-key"), user.environment) as typist:
        typist.read_until("Paste the API key")
        typist.wait_until_quiet()
        typist.type(f"{KEY}\r")
        assert typist.end() == 0
        assert typist.as_before
        assert "me: Key kept" in typist.screen
        assert KEY not in typist.screen
    assert user.freshkey("token").stdout == f"{KEY}\n"
    assert json.loads(user.freshkey("status", "--json").stdout)["profiles"][0]["source"] == "stored-api-key"


@pytest.mark.parametrize("typed", ["\x04", "\x03"])
def test_nothing_typed_is_nothing_kept(user: Home, typed: str) -> None:
    with Typist(command("login", "--api-key"), user.environment) as typist:
        typist.read_until("Paste the API key")
        typist.wait_until_quiet()
        typist.type(typed)
        assert typist.end() == (3 if typed == "\x04" else 130)
        assert typist.as_before
        assert "Traceback" not in typist.screen
    assert user.freshkey("token").returncode == 3


def hand_in(user: Home, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("login", "--api-key"),
        env=user.environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_comes_through_a_pipe(user: Home) -> None:
    done = hand_in(user, f"{KEY}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert KEY not in done.stdout
    assert user.freshkey("token").stdout == f"{KEY}\n"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", 3, "no API key was entered"),
        ("canary 12\n", 6, "too long or has odd characters"),
        ("canary" * 4000, 6, "longer than 16384 bytes"),
    ],
)
def test_what_is_no_key_is_not_kept(user: Home, text: str, code: int, says: str) -> None:
    done = hand_in(user, text)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "canary" not in done.stderr
    assert user.freshkey("token").returncode == 3


def old_item(keychain: Keychain) -> str:
    return keychain.run(["-c", PROGRAM, "get", *OLD]).stdout.strip()


def test_it_is_taken_out_of_an_older_programs_item(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, KEY]).returncode == 0
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "Reading the keychain item 'Old Tool' of 'ada'",
        f"The key is kept in the store {user.store}, and was read back",
        "Deleted the keychain item 'Old Tool' of 'ada'",
    ]
    assert KEY not in done.stdout + done.stderr
    assert old_item(keychain) == "None"
    assert user.freshkey("token").stdout == f"{KEY}\n"

    again = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))
    assert again.returncode == 6
    assert "there is nothing in the keychain item 'Old Tool' of 'ada'" in again.stderr
    assert user.freshkey("token").stdout == f"{KEY}\n"


def test_a_locked_keychain_gives_nothing_and_loses_nothing(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, KEY]).returncode == 0
    keychain.lock()
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert (done.returncode, done.stdout) == (4, "")
    keychain.unlock()
    assert old_item(keychain) == KEY


def test_an_item_that_is_no_key_stays_where_it_is(user: Home, keychain: Keychain) -> None:
    assert keychain.run(["-c", PROGRAM, "set", *OLD, "not a canary"]).returncode == 0
    done = user.freshkey("login", "--api-key", "--import-from", "/".join(OLD))

    assert (done.returncode, done.stdout) == (6, "")
    assert "canary" not in done.stderr
    assert old_item(keychain) == "not a canary"
    assert user.freshkey("token").returncode == 3
