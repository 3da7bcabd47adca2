"""A state directory that is full, read-only, denied, shared with others, copied or restored; and a starved process."""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from matrix import row
from rotating import token_of
from waiting import until


RENEWAL = "grant.refresh_token"
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
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


# --- no room, no right ------------------------------------------------------------------------------------------------


@row(48, "ROT-4", "STO-7")
def test_a_disk_that_fills_up_after_the_token_was_spent_is_waited_for(
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
        until(lambda: any(isinstance(event, Unsaved) for event in events), "the word that nothing is saved")
        assert (disk / "state" / "store" / f"{file_name('me')}.1.0").read_bytes() == old
        assert [name for name in names(disk) if ".freshkey-" in name] == []
        empty(disk)
        until(lambda: keeper._open_profile("me")._future is None, "the save")
    with a_keeper(server, disk) as other:
        assert token_of(other.get()) == token_of(served)
        assert other.status().generation == 2
    assert set(names(disk)) == {*before, f"state/store/{file_name('me')}.0.0"}
    assert server.count(RENEWAL) == 1


@row(48, "STO-7")
def test_a_full_state_directory_does_not_stop_a_keychain(
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


@row(48, "ROT-3")
def test_a_first_sign_in_on_a_full_disk_sends_nobody_to_a_browser(server: AuthorizationServer, disk: Path) -> None:
    user = ScriptedUser(browser=follow)
    with filled(disk), a_keeper(server, disk) as keeper, pytest.raises(StoreUnavailable, match="no space left"):
        keeper.login(interaction=user)
    assert user.opened == []
    assert server.requests == []


@row(49, "ROT-3", "STO-7")
def test_a_read_only_state_directory_is_found_out_before_anything_is_sent(
    server: AuthorizationServer, tmp_path: Path
) -> None:
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
                with pytest.raises(StoreUnavailable, match="read-only file system"):
                    action()
            assert user.opened == []
            assert len(server.requests) == asked
        assert names(tmp_path) == before
        keeper.refresh()


@row(49, "ROT-3", "STO-7")
def test_a_store_without_the_right_to_write_is_found_out_before_the_token_is_spent(
    server: AuthorizationServer,
) -> None:
    require_root()
    # pytest's own temporary directories cannot be entered by anybody else.
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
    assert "access to " in said["message"]
    assert "is denied" in said["message"]
    assert said["generation"] == "2"
    assert server.count(RENEWAL) == 2, "one to warm up, one when it was allowed again"


# --- others who could meddle ------------------------------------------------------------------------------------------


def open_to_all(state: Path) -> None:
    state.chmod(0o777)


def given_away(state: Path) -> None:
    os.chown(state, 65534, 65534)


def behind_a_link(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))
    state.symlink_to(state.with_name("elsewhere"))


def in_a_place_of_somebody_else(state: Path) -> None:
    os.chown(state.parent, 65534, 65534)


def below_a_link_to_such_a_place(state: Path) -> None:
    home = state.parent
    home.rename(home.with_name("elsewhere"))
    home.symlink_to(home.with_name("elsewhere"))
    os.chown(home.with_name("elsewhere"), 65534, 65534)


@row(50, "STO-7")
@pytest.mark.parametrize(
    ("meddle", "says"),
    [
        (open_to_all, r"other users can write to .*state.* chmod 700 "),
        (given_away, r"state belongs to another user.*FRESHKEY_STATE_DIR"),
        (behind_a_link, r"state is a symbolic link.*FRESHKEY_STATE_DIR"),
        (in_a_place_of_somebody_else, r"belongs to another user.*FRESHKEY_STATE_DIR"),
        (below_a_link_to_such_a_place, r"belongs to another user.*FRESHKEY_STATE_DIR"),
    ],
)
def test_a_state_directory_that_others_could_change_is_refused_with_the_remedy(
    server: AuthorizationServer, tmp_path: Path, meddle: Callable[[Path], None], says: str
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
            with pytest.raises(StoreUnavailable, match=says):
                action()
    assert user.opened == []
    assert len(server.requests) == asked


@row(51, "STO-7")
def test_an_open_umask_opens_nothing(server: AuthorizationServer, tmp_path: Path) -> None:
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


@row(52, "ROT-4")
def test_descriptors_that_run_out_after_the_token_was_spent_lose_nothing(
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
    assert (said["meanwhile"], said["generation"]) == (True, 3)
    assert server.count(RENEWAL) == 2


@row(52, "ROT-3")
@pytest.mark.parametrize("store", ["file", "keyring"])
def test_a_process_that_gets_no_thread_serves_what_it_has_and_spends_nothing(
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
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for action in (keeper.refresh, later.get):
                with pytest.raises(TransientError, match="thread"):
                    action()
            assert keeper.get().token is not None
            patch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
        assert server.count(RENEWAL) == 0
        keeper.refresh()
        assert token_of(later.get()) == token_of(keeper.get())


# --- two of one -------------------------------------------------------------------------------------------------------


@row(26, "ROT-5")
def test_a_copied_store_is_told_that_its_token_was_used_elsewhere_and_stays_quiet(
    server: AuthorizationServer, tmp_path: Path
) -> None:
    with a_keeper(server, tmp_path / "here") as here:
        sign_in(here)
        shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copy2)
        here.refresh()
        with a_keeper(server, tmp_path / "there") as there:
            with pytest.raises(LoginRequired, match=r"used elsewhere.*Run: freshkey login me"):
                there.refresh()
            asked = len(server.requests)
            assert there.get().token is not None, "an access token is served until it ends"
        for _ in range(3):
            with a_keeper(server, tmp_path / "there") as there:
                there.get()
                with pytest.raises(LoginRequired):
                    there.refresh()
        assert len(server.requests) == asked


@row(27, "ROT-5")
def test_a_store_restored_from_a_backup_is_warned_of_before_its_token_is_sent(
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
    warning = "me: the store holds an older generation than was saved"
    with a_keeper(server, tmp_path) as keeper:
        keeper.get()
        assert warning in caplog.text
        assert server.count(RENEWAL) == 2
        with pytest.raises(LoginRequired, match="used elsewhere"):
            keeper.refresh()
        asked = len(server.requests)
        with pytest.raises(LoginRequired):
            keeper.refresh()
        assert len(server.requests) == asked


@row(21, "ROT-1", "ROT-12")
@pytest.mark.parametrize("meddle", ["remove", "replace"])
def test_a_halted_holder_whose_lock_file_went_spends_nothing_that_another_spent(
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
        assert second.run("refresh").said["generation"] == 2
        os.kill(holder, signal.SIGCONT)
        ended = first.finish()
        assert ended.said["error"] == "StoreBusy"
        assert "removed or replaced" in ended.said["message"]
        assert server.count(RENEWAL) == 1
        assert second.run("refresh").said["generation"] == 3
