"""Keychains with small items, keychains that delete before they add, and stores with corrupt content.

`fake_keychains` stands in for Windows and macOS here: it has their limits, but does not run on those systems.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fake_keychains
from freshkey import Configuration, Keeper
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.store import KeyringItems, store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey._stores.records.chunks import SCHEMA, _prefix
from freshkey.errors import LoginRequired, RecordUnreadable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from freshkey_testing import AuthorizationServer, Policy, ScriptedUser
from freshkey_testing.browser import follow
from promises import proves
from raises_code import raises_code
from rotating import token_of
from scripted_items import a_record, an_intent
from waiting import until


RENEWAL = "grant.refresh_token"
SUPPORT = Path(__file__).parents[1] / "support"
SMALL = "fake_keychains.SmallItems"
DELETING = "fake_keychains.DeleteThenAdd"


@pytest.fixture(autouse=True)
def keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keychain").mkdir()
    monkeypatch.setenv("FAKE_KEYCHAIN", str(tmp_path / "keychain"))
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    monkeypatch.setattr(keychain_store, "_opened", {})


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit items to the size that freshkey uses on Windows."""
    monkeypatch.setattr(KeyringItems, "item_limit", keychain_store.WINDOWS_ITEM_LIMIT)


def opened(tmp_path: Path, backend: str) -> CredentialStore:
    options = {"backend": backend}
    profile = Profile(name="me", provider="x", settings=None, state_dir=tmp_path / "state", store_settings=options)
    kept: CredentialStore = store(profile)
    return kept


def a_keeper(server: AuthorizationServer, tmp_path: Path, backend: str) -> Keeper:
    configuration = Configuration.of(
        {"me": {**server.settings(), "provider": "claude_oauth", "store": "keyring"}},
        state_dir=tmp_path / "state",
        default="me",
        stores={"keyring": {"backend": backend}},
    )
    return Keeper(configuration=configuration)


def sign_in(keeper: Keeper) -> ScriptedUser:
    user = ScriptedUser(browser=follow, confirm=True)
    keeper.login(interaction=user)
    return user


def items(kind: str) -> dict[str, Path]:
    """Return the files of items whose service name contains `kind`, by the last part of that name."""
    found = {}
    for path in fake_keychains.folder().iterdir():
        service = path.read_text("utf-8").partition("\n")[0]
        if kind in service:
            found[service.rpartition(":")[2]] = path
    return found


# --- small items ------------------------------------------------------------------------------------------------------


@proves("FAULT-10", "STO-5", "STO-6")
@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("units", [0, 1, 1279, 1280, 1281, 2560, 50_000])
def test_secrets_of_any_size_fit_into_small_items(tmp_path: Path, units: int) -> None:
    kept = opened(tmp_path, SMALL)
    kept.probe()
    for generation in (1, 2, 3):
        record = a_record(generation, "x" * units)
        kept.intend(an_intent(generation))
        kept.save(record)
        assert opened(tmp_path, SMALL).load() == Snapshot(record=record)
    assert len(set(fake_keychains.services())) == len(fake_keychains.services())


@proves("FAULT-10", "STO-5")
@pytest.mark.usefixtures("windows")
def test_sign_in_is_stored_in_small_items_from_login_to_logout(server: AuthorizationServer, tmp_path: Path) -> None:
    with a_keeper(server, tmp_path, SMALL) as keeper:
        sign_in(keeper)
        for generation in (2, 3, 4):
            keeper.refresh()
            with a_keeper(server, tmp_path, SMALL) as other:
                assert token_of(other.get()) == token_of(keeper.get())
                assert other.status().generation == generation
        keeper.logout()
    assert [service.rpartition(":")[2] for service in fake_keychains.services()] == ["1.0"]
    assert server.count(RENEWAL) == 3


FIVE_CHUNKS = str(SUPPORT / "five_chunks.py")
CHANGES = 8
"""One intent, five chunks, one of them the commit, and the sixth chunk of the record before: 7; then it is complete."""


def five_chunks(verb: str, folder: Path, *more: int) -> subprocess.Popen[str]:
    command = [sys.executable, FIVE_CHUNKS, verb, str(folder), str(CHANGES), *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


@pytest.mark.timeout(300)
@proves("FAULT-10", "STO-5", "ROT-7", "STO-10")
def test_record_of_five_chunks_survives_a_kill_between_any_two_changes(tmp_path: Path) -> None:
    """On Windows, in the real Credential Manager: each process is ended by TerminateProcess."""
    (tmp_path / "entries").mkdir()
    assert finished(five_chunks("prepare", tmp_path)) == (0, "", "")
    # Each has a profile of its own, so they can run at the same time.
    crashing = [five_chunks("crash", tmp_path, number) for number in range(CHANGES)]
    ended = [finished(process) for process in crashing]
    assert [stderr for _, _, stderr in ended] == [""] * CHANGES
    assert [abs(code) for code, _, _ in ended] == [9] * (CHANGES - 1) + [0]

    code, stdout, stderr = finished(five_chunks("report", tmp_path))
    assert code == 0, stderr
    found = [json.loads(line) for line in stdout.splitlines()]
    # The last write of a chunk commits the record; only the end of an older one is deleted after it.
    assert [each["generation"] for each in found] == [2] * (CHANGES - 2) + [3, 3]
    # From the intent on, a token may have been used, and every process must know.
    assert [each["warned"] for each in found] == [False] + [True] * (CHANGES - 3) + [False, False]
    assert all(each["whole"] and each["renewed"] for each in found), found
    assert all(each["left"] == each["expected"] and each["forgotten"] for each in found), found


# --- delete, then add -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="played for macOS; five chunks show it in Credential Manager")
@proves("FAULT-11", "STO-5", "ROT-7")
@pytest.mark.parametrize("limit", [0, 400])
def test_killed_at_any_step_of_replacing_an_item_leaves_a_readable_generation(tmp_path: Path, limit: int) -> None:
    command = [sys.executable, str(SUPPORT / "keychain_crashes.py"), str(tmp_path / "crashes"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(each["whole"] and each["generation"] in {2, 3} for each in found), found
    assert [each["generation"] for each in found] == sorted(each["generation"] for each in found)
    # Deletes and adds the intent; from then on a token may have been used, and every process must know.
    between = [each for each in found if each["generation"] == 2 and each["steps"] > 1]
    assert len(between) >= 2
    assert all(each["warned"] for each in between), between
    assert not any(each["warned"] for each in found if each["generation"] == 3)


DYING = """
import sys
from pathlib import Path
import fake_keychains
from freshkey import _failpoints as faults
from test_backends import a_keeper

def die_between_delete_and_add(point):
    if point == "after_refresh":
        fake_keychains.steps_left = 1

class Server:
    def settings(self):
        import json
        return json.loads(sys.argv[1])

faults.at = die_between_delete_and_add
a_keeper(Server(), Path(sys.argv[2]), "fake_keychains.DeleteThenAdd").refresh()
"""


def die_while_the_intent_is_replaced(server: AuthorizationServer, tmp_path: Path) -> None:
    arguments = [json.dumps(server.settings()), str(tmp_path)]
    path = os.pathsep.join((str(SUPPORT), str(Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, "-c", DYING, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert sorted(items(":me:")) == ["1.0"]


@pytest.mark.skipif(sys.platform == "win32", reason="played for macOS; five chunks show it in Credential Manager")
@proves("FAULT-11", "ROT-7", "ROT-6")
def test_renewal_whose_intent_was_lost_is_retried_once_and_reported_as_lost(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
    die_while_the_intent_is_replaced(server, tmp_path)
    for _ in range(3):
        with (
            a_keeper(server, tmp_path, DELETING) as keeper,
            raises_code(LoginRequired, "renewal-response-lost"),
        ):
            keeper.refresh()
    assert server.count(RENEWAL) == 1
    assert sum(request.path.endswith("/token") for request in server.requests) <= 3
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
        keeper.refresh()


@pytest.mark.skipif(sys.platform == "win32", reason="played for macOS; five chunks show it in Credential Manager")
@proves("FAULT-11", "ROT-6")
def test_renewal_whose_intent_was_lost_succeeds_at_a_server_with_a_grace_period(tmp_path: Path) -> None:
    with AuthorizationServer(Policy(grace=30.0)) as server:
        with a_keeper(server, tmp_path, DELETING) as keeper:
            sign_in(keeper)
        die_while_the_intent_is_replaced(server, tmp_path)
        with a_keeper(server, tmp_path, DELETING) as keeper:
            keeper.refresh()
            assert keeper.status().generation == 2


# --- lock files that are removed while held ---------------------------------------------------------------------------

HALTED = """
import os, sys
from pathlib import Path
from freshkey import _failpoints as faults
from test_backends import a_keeper

class Server:
    def settings(self):
        import json
        return json.loads(sys.argv[1])

def wait(point):
    if point == "after_refresh":
        os.write(1, b"answered\\n")
        sys.stdin.readline()

faults.at = wait
a_keeper(Server(), Path(sys.argv[2]), "fake_keychains.DeleteThenAdd").refresh()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a folder with an open file cannot be removed there")
@proves("FAULT-21", "ROT-1", "ROT-3")
def test_state_directory_removed_during_a_renewal_does_not_end_the_sign_in(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
    path = os.pathsep.join((str(SUPPORT), str(Path(__file__).parent)))
    first = subprocess.Popen(
        [sys.executable, "-c", HALTED, json.dumps(server.settings()), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"answered\n"
    shutil.rmtree(tmp_path / "state")

    with a_keeper(server, tmp_path, DELETING) as keeper:
        second = threading.Thread(target=keeper.refresh)
        second.start()
        until(lambda: list(tmp_path.glob("state/locks/*.lock")), "the new lock file")
        assert server.count(RENEWAL) == 1
        first.communicate(b"\n", timeout=60)
        assert first.returncode == 0
        second.join(60)

        # The second renewal used the refresh token from the first one, not the spent one.
        assert keeper.status().generation == 3
        assert server.count(RENEWAL) == 2
        assert sum(request.path.endswith("/token") for request in server.requests) == 3


# --- torn and corrupt -------------------------------------------------------------------------------------------------


@proves("FAULT-12", "STO-5", "STO-9")
@pytest.mark.usefixtures("windows")
def test_if_any_item_is_missing_the_previous_generation_is_used_and_the_rest_removed(
    server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyringItems, "item_limit", 400)
    with a_keeper(server, tmp_path, SMALL) as keeper:
        sign_in(keeper)
        before = token_of(keeper.get())
        keeper.refresh()
    whole = {path: path.read_bytes() for path in fake_keychains.folder().iterdir()}
    newest = items(":0.")
    assert len(newest) > 3
    for name in newest:
        for path in fake_keychains.folder().iterdir():
            path.unlink()
        for path, content in whole.items():
            path.write_bytes(content)
        newest[name].unlink()
        # What is known of the rounds before would make this one a store that was put back.
        shutil.rmtree(tmp_path / "state" / "hints")
        with a_keeper(server, tmp_path, SMALL) as keeper:
            assert token_of(keeper.get()) == before, name
            sign_in(keeper)
            keeper.logout()
        assert [name for name in items(":me:") if not name.endswith(".0")] == [], name


def junk() -> Iterator[str]:
    """Yield what a store may contain instead of a record: foreign, truncated or altered data."""
    yield from ("", "{}", "null", '{"access_token": "alien"}', "fk1", _prefix(SCHEMA), "fk1.00000000.r.1.0.1.ab.cd")
    yield from ("\N{SNOWMAN}", "x" * 100_000, f"{_prefix(SCHEMA)}r.1.0.999.{'0' * 64}.", f"{_prefix(SCHEMA)}r.1")


def flipped(text: str, seed: int) -> str:
    chance = random.Random(seed)  # noqa: S311  reproducible damage
    at = chance.randrange(len(text))
    return text[:at] + chr((ord(text[at]) ^ (1 << chance.randrange(7))) or 1) + text[at + 1 :]


CORPUS: list[Callable[[str], str]] = [
    *((lambda text, other=other: other) for other in junk()),
    *((lambda text, seed=seed: flipped(text, seed)) for seed in range(20)),
    *((lambda text, share=share: text[: len(text) * share // 10]) for share in range(1, 10)),
]


@pytest.mark.skipif(sys.platform == "win32", reason="the files of this double would have other line ends")
@proves("FAULT-13", "STO-9")
def test_corrupt_record_is_reported_without_a_request_and_kept_in_the_keychain(
    server: AuthorizationServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
    (item,) = items(":1.0").values()
    service, _, text = item.read_text("utf-8").partition("\n")
    asked = len(server.requests)
    for damage in CORPUS:
        broken = damage(text).replace("\n", "")
        item.write_text(f"{service}\n{broken}", "utf-8")
        with a_keeper(server, tmp_path, DELETING) as keeper:
            for _ in range(2):
                with raises_code(LoginRequired, "stored-credential-corrupt") as caught:
                    keeper.get()
                assert "freshkey login me" in str(caught.value)
    assert len(server.requests) == asked
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
        keeper.refresh()
        assert keeper.status().generation > 1
    kept = items("aside.").values()
    assert [path.read_text("utf-8").partition("\n")[2] for path in kept] == [broken]
    assert "'freshkey:" in caplog.text, "names the keychain item"
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or broken.encode() not in path.read_bytes()


@proves("FAULT-13", "STO-9")
def test_record_of_a_newer_freshkey_stops_everything_before_a_sign_in(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path, DELETING) as keeper:
        sign_in(keeper)
    (item,) = items(":1.0").values()
    service, _, text = item.read_text("utf-8").partition("\n")
    newer = f"{service}\n{_prefix(SCHEMA + 1)}{text[len(_prefix(SCHEMA)) :]}"
    item.write_text(newer, "utf-8")
    asked = len(server.requests)
    user = ScriptedUser(browser=follow, confirm=True)
    with a_keeper(server, tmp_path, DELETING) as keeper:
        for action in (keeper.get, keeper.refresh, keeper.logout, lambda: keeper.login(interaction=user)):
            with raises_code(RecordUnreadable, "record-too-new"):
                action()
    assert user.opened == []
    assert len(server.requests) == asked
    assert item.read_text("utf-8") == newer
