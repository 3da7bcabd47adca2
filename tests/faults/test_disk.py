"""A state directory that is full, read-only, denied, writable by others, copied or restored; and a starved process."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crashing_process import Forge, until_halted
from disks import empty, fill, filled, read_only, require_root, small_disk
from freshkey import Configuration, Keeper, _failpoints
from freshkey._files.private import file_name
from freshkey._renewal import persist
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import LoginRequired, StoreUnavailable, TransientError
from freshkey.events import Event, Unsaved
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from promises import proves
from raises_code import raises_code
from rotating import token_of
from waiting import until
from warm_processes import proceed


RENEWAL = "grant.refresh_token"
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A 128 KiB disk."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    with small_disk(folder, 128):
        yield folder


def settings(server: AuthorizationServer, **more: object) -> dict[str, object]:
    return {**server.settings(), "provider": "claude_oauth", "store": "file", **more}


def a_keeper(server: AuthorizationServer, home: Path, **more: object) -> Keeper:
    configuration = Configuration.of(
        {"me": settings(server, **more)},
        state_dir=home / "state",
        default="me",
        stores={"keyring": {"backend": "fake_keychains.DeleteThenAdd"}} if more.get("store") == "keyring" else {},
    )
    return Keeper(configuration=configuration)


def sign_in(keeper: Keeper) -> None:
    keeper.login(interaction=ScriptedUser(browser=follow))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def once(point: str, action: Callable[[], None]) -> Callable[[str], None]:
    left = [action]
    return lambda passed: left.pop()() if passed == point and left else None


# --- no space, no permission ------------------------------------------------------------------------------------------


@proves("FAULT-48", "ROT-4", "STO-7")
def test_disk_full_after_the_token_was_used_saves_once_there_is_space(
    server: AuthorizationServer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "SAVE_TIMEOUT", 0.5)
    monkeypatch.setattr(persist, "MAX_PAUSE", 0.2)
    events: list[Event] = []
    with a_keeper(server, disk) as keeper:
        sign_in(keeper)
        before = names(disk)
        old = (disk / "state" / "store" / f"{file_name('me')}.1.0").read_bytes()
        keeper.subscribe(events.append)
        monkeypatch.setattr(_failpoints, "at", once("after_refresh", lambda: fill(disk)))
        served = keeper.refresh()
        until(lambda: any(isinstance(event, Unsaved) for event in events), "the event that nothing is saved")
        assert (disk / "state" / "store" / f"{file_name('me')}.1.0").read_bytes() == old
        assert [name for name in names(disk) if ".freshkey-" in name] == []
        empty(disk)
        until(lambda: keeper._open_profile("me")._future is None, "the save")
    with a_keeper(server, disk) as other:
        assert token_of(other.get()) == token_of(served)
        assert other.status().generation == 2
    assert set(names(disk)) == {*before, f"state/store/{file_name('me')}.0.0"}
    assert server.count(RENEWAL) == 1


@proves("FAULT-48", "STO-7")
def test_full_state_directory_does_not_stop_the_keychain_store(
    server: AuthorizationServer, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keychain").mkdir()
    monkeypatch.setenv("FAKE_KEYCHAIN", str(tmp_path / "keychain"))
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    monkeypatch.setattr(keychain_store, "_opened", {})
    with a_keeper(server, disk, store="keyring") as keeper:
        sign_in(keeper)
        keeper.refresh()
        with filled(disk):
            keeper.refresh()
            assert keeper.status().generation == 3
        keeper.refresh()
    with a_keeper(server, disk, store="keyring") as other:
        assert other.status().generation == 4
    assert server.count(RENEWAL) == 3


@proves("FAULT-48", "ROT-3")
def test_first_sign_in_on_a_full_disk_opens_no_browser(server: AuthorizationServer, disk: Path) -> None:
    user = ScriptedUser(browser=follow)
    with filled(disk), a_keeper(server, disk) as keeper, raises_code(StoreUnavailable, "disk-full") as caught:
        keeper.login(interaction=user)
    assert str(disk) in str(caught.value)
    assert user.opened == []
    assert server.requests == []


@proves("FAULT-49", "ROT-3", "STO-7")
def test_read_only_state_directory_is_detected_before_a_request(server: AuthorizationServer, tmp_path: Path) -> None:
    user = ScriptedUser(browser=follow)
    with a_keeper(server, tmp_path) as keeper:
        sign_in(keeper)
        before = names(tmp_path)
        asked = len(server.requests)
        with read_only(tmp_path / "state"), a_keeper(server, tmp_path) as later:
            assert token_of(later.get()) == token_of(keeper.get())
            actions: list[Callable[[], object]] = [
                keeper.refresh,
                later.refresh,
                lambda: keeper.login(interaction=user),
            ]
            for action in actions:
                with raises_code(StoreUnavailable, "store-access-denied"):
                    action()
            assert user.opened == []
            assert len(server.requests) == asked
        assert names(tmp_path) == before
        keeper.refresh()


@proves("FAULT-49", "ROT-3", "STO-7")
def test_store_without_write_permission_is_detected_before_the_token_is_used(
    server: AuthorizationServer,
) -> None:
    require_root()
    # Other users cannot enter pytest's temporary directories.
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, SUPPORT / "powerless_process.py", json.dumps(settings(server)), home],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["error"] == "StoreUnavailable"
    assert said["code"] == "store-access-denied"
    assert "FRESHKEY_STATE_DIR" in said["message"]
    assert said["generation"] == "2"
    assert server.count(RENEWAL) == 2, "one to warm up, one after permission was restored"


# --- directories that others could change -----------------------------------------------------------------------------


def open_to_all(state: Path) -> None:
    state.chmod(0o777)


def owned_by_another_user(state: Path) -> None:
    os.chown(state, 65534, 65534)


def behind_a_link(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))
    state.symlink_to(state.with_name("elsewhere"))


def in_a_directory_of_another_user(state: Path) -> None:
    os.chown(state.parent, 65534, 65534)


def below_a_link_to_such_a_directory(state: Path) -> None:
    home = state.parent
    home.rename(home.with_name("elsewhere"))
    home.symlink_to(home.with_name("elsewhere"))
    os.chown(home.with_name("elsewhere"), 65534, 65534)


@proves("FAULT-50", "STO-7")
@pytest.mark.parametrize(
    ("meddle", "fact"),
    [
        (open_to_all, "chmod 700 {state}"),
        (owned_by_another_user, "FRESHKEY_STATE_DIR"),
        (behind_a_link, "{state}"),
        (in_a_directory_of_another_user, "FRESHKEY_STATE_DIR"),
        (below_a_link_to_such_a_directory, "FRESHKEY_STATE_DIR"),
    ],
)
def test_state_directory_that_others_could_change_is_refused_with_a_hint(
    server: AuthorizationServer, tmp_path: Path, meddle: Callable[[Path], None], fact: str
) -> None:
    require_root()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with a_keeper(server, home) as keeper:
        sign_in(keeper)
    asked = len(server.requests)
    meddle(home / "state")
    user = ScriptedUser(browser=follow)
    with a_keeper(server, home) as keeper:
        actions: list[Callable[[], object]] = [keeper.get, keeper.refresh, lambda: keeper.login(interaction=user)]
        for action in actions:
            with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
                action()
            assert fact.format(state=home / "state") in str(caught.value)
    assert user.opened == []
    assert len(server.requests) == asked


@proves("FAULT-51", "STO-7")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes and no umask that counts")
def test_files_are_private_even_with_umask_0(server: AuthorizationServer, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with a_keeper(server, tmp_path) as keeper:
            sign_in(keeper)
            keeper.refresh()
            keeper.refresh()
    finally:
        os.umask(before)
    for path in (tmp_path / "state", *(tmp_path / "state").rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


# --- starved ----------------------------------------------------------------------------------------------------------


@proves("FAULT-52", "ROT-4")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of open files to lower")
def test_running_out_of_file_descriptors_after_the_token_was_used_loses_nothing(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path) as keeper:
        sign_in(keeper)
    done = subprocess.run(
        [sys.executable, SUPPORT / "starved_process.py", json.dumps(settings(server)), str(tmp_path / "state")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["while_starved"], said["generation"]) == (True, 3)
    assert server.count(RENEWAL) == 2


@proves("FAULT-52", "ROT-3")
@pytest.mark.parametrize("store", ["file", "keyring"])
def test_process_out_of_threads_serves_its_credential_and_does_not_use_the_token(
    server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    (tmp_path / "keychain").mkdir()
    monkeypatch.setenv("FAKE_KEYCHAIN", str(tmp_path / "keychain"))
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    monkeypatch.setattr(keychain_store, "_opened", {})

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with a_keeper(server, tmp_path, store=store) as keeper, a_keeper(server, tmp_path, store=store) as later:
        sign_in(keeper)
        assert keeper.get().token is not None
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for action in (keeper.refresh, later.get):
                with raises_code(TransientError, "out-of-threads"):
                    action()
            assert keeper.get().token is not None
            patch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
        assert server.count(RENEWAL) == 0
        keeper.refresh()
        assert token_of(later.get()) == token_of(keeper.get())


# --- copied and restored stores ---------------------------------------------------------------------------------------


@proves("FAULT-26", "ROT-5")
def test_copied_store_reports_once_that_its_token_was_used_elsewhere(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path / "here") as here:
        sign_in(here)
        shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copy2)
        here.refresh()
        with a_keeper(server, tmp_path / "there") as there:
            with raises_code(LoginRequired, "sign-in-ended") as caught:
                there.refresh()
            assert "freshkey login me" in str(caught.value)
            assert "used elsewhere" in str(caught.value)
            asked = len(server.requests)
            assert there.get().token is not None, "the access token is served until it expires"
        for _ in range(3):
            with a_keeper(server, tmp_path / "there") as there:
                there.get()
                with raises_code(LoginRequired, "sign-in-ended"):
                    there.refresh()
        assert len(server.requests) == asked


@proves("FAULT-27", "ROT-5")
def test_store_restored_from_a_backup_does_not_send_its_token(
    server: AuthorizationServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "state" / "store"
    with a_keeper(server, tmp_path) as keeper:
        sign_in(keeper)
        shutil.copytree(store, tmp_path / "backup", copy_function=shutil.copy2)
        keeper.refresh()
        keeper.refresh()
    shutil.rmtree(store)
    shutil.copytree(tmp_path / "backup", store, copy_function=shutil.copy2)
    store.chmod(0o700)
    with a_keeper(server, tmp_path) as keeper:
        assert keeper.get().token is not None, "the access token is served until it expires"
        assert "older generation" in caplog.text
        asked = len(server.requests)
        for _ in range(2):
            with raises_code(LoginRequired, "stored-sign-in-outdated"):
                keeper.refresh()
        assert len(server.requests) == asked
        sign_in(keeper)
        keeper.refresh()


@proves("FAULT-21", "ROT-1", "ROT-12")
@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows does not remove the file of a held lock, as test_processes shows"
)
@pytest.mark.parametrize("meddle", ["remove", "replace"])
def test_halted_lock_holder_whose_lock_file_is_removed_does_not_reuse_a_token(
    server: AuthorizationServer, tmp_path: Path, meddle: str
) -> None:
    with Forge(settings(server), tmp_path) as first, Forge(settings(server), tmp_path) as second:
        first.run("login")
        holder = first.begin("refresh", at="lock_held", act="SIGSTOP")
        until_halted(holder)
        (lock,) = (tmp_path / "state" / "locks").iterdir()
        lock.unlink()
        if meddle == "replace":
            lock.touch(mode=0o600)
        kept_out = second.run("refresh", patience=0.2)
        assert (kept_out.said["error"], kept_out.said["code"]) == ("StoreBusy", "lock-file-replaced")
        second.begin("refresh")
        proceed(holder)
        ended = first.finish()
        assert (ended.said["error"], ended.said["code"]) == ("StoreBusy", "lock-file-replaced")
        assert second.finish().said["generation"] == 2
        assert server.count(RENEWAL) == 1
