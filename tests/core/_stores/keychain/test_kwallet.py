"""KWallet, played by a double on a real session bus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

import kwallet_double
from counterparts.keychain import Keychain, bus_without_keychain
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.kwallet import KWallet, holds
from freshkey._stores.keychain.session import KWALLET
from freshkey._stores.keychain.store import store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore
from in_thread import in_thread
from promises import proves
from raises_code import raises_code
from scripted_items import a_record
from waiting import until


pytestmark = pytest.mark.counterpart

SUPPORT = Path(kwallet_double.__file__).parent


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own keychain thread and backends."""
    monkeypatch.setattr(keychain_store, "_opened", {})
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("test-keychain"))


@frozen
class Wallet:
    """A running KWallet, and the directory that controls it."""

    process: subprocess.Popen[bytes]
    folder: Path

    def close(self) -> None:
        """Lock it: the next program that opens it makes it prompt."""
        (self.folder / "password").unlink(missing_ok=True)
        (self.folder / "closed").touch()

    def prompts(self) -> None:
        """Wait until it asks for its password."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"asks\n"

    def answer(self, how: str = "password") -> None:
        """Type the password, or cancel."""
        (self.folder / how).touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wallet").mkdir()
    return tmp_path / "wallet"


@pytest.fixture
def kde(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keychain]:
    """A KDE session on a machine that also has a gnome-keyring, which is unlocked."""
    with Keychain() as keychain:
        for name, value in keychain.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
        yield keychain


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with bus_without_keychain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield


def start(folder: Path) -> Wallet:
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    command = [sys.executable, str(SUPPORT / "kwallet_double.py"), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"serves\n"
    return Wallet(process, folder)


def end(wallet: Wallet) -> None:
    wallet.process.kill()
    wallet.process.wait()
    assert wallet.process.stdout is not None
    wallet.process.stdout.close()


@pytest.fixture
def wallet(folder: Path, request: pytest.FixtureRequest) -> Iterator[Wallet]:
    request.getfixturevalue("kde" if "kde" in request.fixturenames else "bus")
    found = start(folder)
    yield found
    end(found)


def opened(profile: Profile, **settings: object) -> CredentialStore:
    kept: CredentialStore = store(evolve(profile, store_settings={"timeout": 20.0, **settings}))
    return kept


def save(kept: CredentialStore, generation: int = 1) -> None:
    with kept.lock(5):
        kept.save(a_record(generation))


def another_process() -> None:
    """Forget what this process knows."""
    keychain_store._opened.clear()


# --- a backend like keyring's ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("wallet")
def test_item_is_written_read_and_deleted() -> None:
    backend = KWallet()
    assert backend.get_password("service", "name") is None
    backend.set_password("service", "name", "line one\nline two")
    assert backend.get_password("service", "name") == "line one\nline two"
    assert holds("service", "name")
    backend.delete_password("service", "name")
    assert backend.get_password("service", "name") is None
    assert not holds("service", "name")


def test_daemon_that_was_restarted_is_found_again(wallet: Wallet) -> None:
    backend = KWallet()
    backend.set_password("service", "name", "kept")
    end(wallet)
    second = start(wallet.folder)
    try:
        assert backend.get_password("service", "name") == "kept"
        second.close()
        (second.folder / "closed").unlink()
        assert backend.get_password("service", "name") == "kept", "its user closed and opened it"
    finally:
        end(second)


@pytest.mark.usefixtures("bus")
def test_daemon_that_does_not_run_is_not_usable() -> None:
    with pytest.raises(RuntimeError, match="KWallet"):
        KWallet()


def test_disabled_kwallet_is_not_usable(wallet: Wallet) -> None:
    wallet.answer("disabled")
    with pytest.raises(RuntimeError, match="disabled"):
        KWallet()


@proves("FAULT-9", "STO-3")
def test_prompt_of_a_wallet_ends_with_its_daemon(profile: Profile, wallet: Wallet) -> None:
    wallet.close()
    kept = opened(profile, backend=KWALLET)
    outcome = in_thread(kept.load)
    wallet.prompts()
    end(wallet)

    with raises_code(StoreUnavailable, "keychain-restarted"):
        outcome.result(15)
    until(lambda: keychain_store.WORKER._call is None)


@proves("FAULT-9", "STO-3")
def test_call_for_no_one_does_not_open_a_closed_wallet(profile: Profile, wallet: Wallet) -> None:
    kept = opened(profile, backend=KWALLET)
    save(kept)
    wallet.close()
    with prompts.background(), raises_code(StoreUnavailable, "keychain-locked"):
        kept.load()

    outcome = in_thread(kept.load)
    wallet.prompts()
    wallet.answer()
    until(outcome.done)
    with prompts.background():
        assert kept.load().generation == 1


def test_canceled_prompt_is_not_opened_again_for_the_next_caller(profile: Profile, wallet: Wallet) -> None:
    wallet.close()
    wallet.answer("cancel")
    kept = opened(profile, backend=KWALLET)
    for _ in range(3):
        with raises_code(StoreUnavailable, "keychain-locked"):
            kept.load()
    wallet.process.kill()
    assert wallet.process.stdout is not None
    assert wallet.process.stdout.read() == b"asks\n"


@proves("FAULT-7")
def test_halted_kwallet_misses_the_deadline(profile: Profile, wallet: Wallet) -> None:
    kept = opened(profile, backend=KWALLET, timeout=0.5)
    kept.load()
    wallet.process.send_signal(signal.SIGSTOP)
    with raises_code(StoreUnavailable, "keychain-timed-out"):
        kept.load()
    wallet.process.send_signal(signal.SIGCONT)


# --- which keychain -------------------------------------------------------------------------------------------------


@proves("STO-1")
@pytest.mark.usefixtures("wallet")
def test_kde_session_keeps_sign_ins_in_kwallet_and_other_sessions_find_them(
    profile: Profile, kde: Keychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    kde.lock()
    opened(profile).probe()
    save(opened(profile))
    assert holds(keychain_store.service_prefix(profile) + "1.0", "me")

    for desktop in ("GNOME", ""):
        monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktop)
        another_process()
        assert opened(profile).load().generation == 1


@proves("STO-1")
def test_sign_in_that_an_earlier_version_kept_in_gnome_keyring_is_found_in_kde(
    profile: Profile, kde: Keychain, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    save(opened(profile))
    for path in (profile.state_dir / "keychain").iterdir():
        path.unlink()
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
    another_process()
    wallet = start(folder)
    try:
        kde.lock()
        kept = opened(profile)
        with prompts.background(), raises_code(StoreUnavailable, "keychain-locked"):
            kept.load()
        kde.unlock()
        assert kept.load().generation == 1
        save(kept, 2)
        assert not holds(keychain_store.service_prefix(profile) + "0.0", "me")
    finally:
        end(wallet)


@pytest.mark.usefixtures("kde")
def test_sign_in_in_a_keychain_that_is_gone_is_reported_until_the_user_signs_in_again(
    profile: Profile, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(opened(profile))
    end(wallet)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    another_process()

    kept = opened(profile)
    with raises_code(StoreUnavailable, "keychain-not-in-session") as caught:
        kept.load()
    assert "KWallet" in str(caught.value)
    assert "freshkey login" in str(caught.value)

    with prompts.user_present():
        save(kept, 2)
    another_process()
    assert opened(profile).load().generation == 2
