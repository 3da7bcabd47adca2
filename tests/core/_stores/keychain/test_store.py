"""The keychain store over backends that hang, fail, forget and answer late."""

from __future__ import annotations

import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring.errors
import pytest
import secretstorage
from attrs import evolve

from freshkey._stores.keychain import store as keyring_store
from freshkey._stores.keychain.store import KeyringItems, service_prefix, store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import ConfigurationError, StoreBusy, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from matrix import row
from scripted_items import a_record, an_intent
from waiting import leaving_nothing


class FakeBackend:
    """A keychain in memory that can be halted and told to fail."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}
        self.running = threading.Event()
        self.running.set()
        self.calls = 0
        self.error: BaseException | None = None
        self.errors = 0

    def get_password(self, service: str, username: str) -> str | None:
        self._begin()
        return self.values.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._begin()
        self.values[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._begin()
        if self.values.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not found")

    def fail(self, error: BaseException, times: int = 1_000_000) -> None:
        self.error, self.errors = error, times

    def _begin(self) -> None:
        self.calls += 1
        self.running.wait(30)
        if self.error is not None and self.errors:
            self.errors -= 1
            raise self.error


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBackend]:
    fake = FakeBackend()
    monkeypatch.setattr(keyring_store, "_opened", {})
    monkeypatch.setattr(keyring_store, "open_backend", lambda named: fake)
    monkeypatch.setattr(keyring_store, "WORKER", SerialWorker("test-keychain"))
    yield fake
    fake.running.set()


def opened(profile: Profile, **settings: object) -> SlottedStore:
    found: CredentialStore = store(evolve(profile, store_settings={"timeout": 5.0, **settings}))
    assert isinstance(found, SlottedStore)
    return found


def test_the_store_keeps_records_and_intents(backend: FakeBackend, profile: Profile) -> None:
    kept = opened(profile)
    with kept.lock(1):
        kept.save(a_record(1))
        kept.intend(an_intent(2))

    assert opened(profile).load() == Snapshot(record=a_record(1), intent=an_intent(2))
    assert kept.kind == "keyring"


@row(10, "STO-6", "STO-10")
def test_each_item_has_a_service_of_its_own_and_no_secret_in_any_name(backend: FakeBackend, profile: Profile) -> None:
    """STO-6."""
    kept = opened(profile)
    kept.save(a_record(1, "sk-canary"))
    kept.save(a_record(2, "sk-canary"))

    services = [service for service, _ in backend.values]
    assert len(set(services)) == 2
    assert {username for _, username in backend.values} == {"me"}
    assert all(service.startswith("freshkey:") and ":me:" in service for service in services)
    assert "canary" not in str(services)


def test_another_state_directory_or_profile_is_another_sign_in(profile: Profile, tmp_path: Path) -> None:
    profile.state_dir.mkdir()
    (tmp_path / "link").symlink_to(profile.state_dir)

    assert service_prefix(evolve(profile, state_dir=tmp_path / "link")) == service_prefix(profile)
    assert service_prefix(evolve(profile, state_dir=tmp_path / "other")) != service_prefix(profile)
    assert service_prefix(evolve(profile, name="you")) != service_prefix(profile)


@row(10, "STO-5")
def test_windows_gets_small_items(backend: FakeBackend, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 10."""
    monkeypatch.setattr(KeyringItems, "item_limit", keyring_store.WINDOWS_ITEM_LIMIT)
    kept = opened(profile)
    record = a_record(1, "x" * 50_000)
    kept.save(record)

    assert kept.load() == Snapshot(record=record)
    assert max(len(value.encode("utf-16-le")) for value in backend.values.values()) <= 2560


@row(10, "STO-5")
@pytest.mark.parametrize(("platform", "limited"), [("win32", True), ("darwin", False), ("linux", False)])
def test_the_platform_says_how_small(monkeypatch: pytest.MonkeyPatch, platform: str, limited: bool) -> None:
    found = importlib.util.find_spec("freshkey._stores.keychain.store")
    assert found is not None
    assert found.loader is not None
    elsewhere = importlib.util.module_from_spec(found)
    monkeypatch.setattr(sys, "platform", platform)

    found.loader.exec_module(elsewhere)

    assert elsewhere.KeyringItems.item_limit == (elsewhere.WINDOWS_ITEM_LIMIT if limited else None)


@row(9)
def test_a_keychain_that_hangs_is_given_up_at_the_deadline_and_then_at_once(
    backend: FakeBackend, profile: Profile
) -> None:
    """STO-3, rows 7 and 9."""
    kept = opened(profile, timeout=0.05)
    backend.running.clear()
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
        kept.load()

    with leaving_nothing():
        for _ in range(50):
            with pytest.raises(StoreUnavailable, match="has not answered an earlier call"):
                kept.load()

    assert backend.calls == 1


def test_an_abandoned_write_finishes_before_anybody_else_gets_the_lock(backend: FakeBackend, profile: Profile) -> None:
    """A late write never puts an older generation over a newer one."""
    slow, quick = opened(profile, timeout=1), opened(profile)
    with slow.lock(1):
        slow.save(a_record(1))
    backend.running.clear()
    with slow.lock(1), pytest.raises(StoreUnavailable):
        slow.save(a_record(2, "written late"))
    with pytest.raises(StoreBusy), quick.lock(0.05):
        pass

    waited: list[Snapshot] = []

    def renew() -> None:
        with quick.lock(20):
            waited.append(quick.load())
            quick.save(a_record(waited[0].generation + 1, "newest"))

    waiter = threading.Thread(target=renew)
    waiter.start()
    backend.running.set()
    waiter.join(20)

    newest = a_record(waited[0].generation + 1, "newest")
    assert quick.load() == Snapshot(record=newest)


def test_a_save_whose_read_back_was_too_late_can_be_repeated_under_the_same_lock(
    backend: FakeBackend, profile: Profile
) -> None:
    """ROT-4."""
    kept = opened(profile)
    kept.save(a_record(1))

    def halt_after_the_write(service: str, username: str, password: str) -> None:
        backend.values[service, username] = password
        backend.fail(keyring.errors.KeyringLocked("locked"))

    with kept.lock(1):
        backend.set_password = halt_after_the_write  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="locked"):
            kept.save(a_record(2))
        backend.fail(keyring.errors.KeyringLocked("locked"), times=0)
        kept.save(a_record(2))

    assert kept.load() == Snapshot(record=a_record(2))


class DBusErrorResponse(Exception):
    """An error that no library here shares a base with."""


CASES: list[tuple[BaseException, str]] = [
    (keyring.errors.KeyringLocked("sk-canary"), "is locked.*Unlock it"),
    (keyring.errors.InitError("Prompt dismissed sk-canary"), "is locked"),
    (secretstorage.LockedException("sk-canary"), "is locked"),
    (secretstorage.PromptDismissedException("sk-canary"), "is locked"),
    (keyring.errors.NoKeyringError("sk-canary"), "no keychain answers.*store = .file"),
    (secretstorage.SecretServiceNotAvailableException("sk-canary"), "no keychain answers"),
    (FileNotFoundError("sk-canary"), "no keychain answers"),
    (RuntimeError("sk-canary"), "no keychain answers"),
    (ConnectionResetError("sk-canary"), "no keychain answers"),
    (keyring.errors.PasswordSetError("sk-canary"), "failed with PasswordSetError"),
    (secretstorage.ItemNotFoundException("sk-canary"), "failed with ItemNotFoundException"),
    (DBusErrorResponse("sk-canary"), "failed with DBusErrorResponse"),
    (ValueError("sk-canary"), "failed with ValueError"),
]


@pytest.mark.parametrize(("error", "message"), CASES, ids=[type(error).__name__ for error, _ in CASES])
@pytest.mark.parametrize(
    "action",
    [lambda kept: kept.load(), lambda kept: kept.save(a_record(1)), lambda kept: kept.probe()],
    ids=["load", "save", "probe"],
)
def test_every_error_of_a_keychain_becomes_one_that_says_what_to_do(
    backend: FakeBackend, profile: Profile, error: BaseException, message: str, action: Callable[[Any], object]
) -> None:
    backend.fail(error)

    with pytest.raises(StoreUnavailable, match=message) as caught:
        action(opened(profile))

    assert "sk-canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_an_item_that_is_replaced_while_it_is_read_is_read_again(backend: FakeBackend, profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    backend.fail(secretstorage.ItemNotFoundException("Item does not exist!"), times=2)

    assert kept.load() == Snapshot(record=a_record(1))


def test_removing_what_is_gone_already_is_fine(backend: FakeBackend) -> None:
    KeyringItems("freshkey:test:", "me", worker=keyring_store.WORKER).delete("0.0")


def test_removing_what_stays_is_an_error(backend: FakeBackend) -> None:
    items = KeyringItems("freshkey:test:", "me", worker=keyring_store.WORKER)
    items.set("0.0", "stays")
    backend.fail(keyring.errors.PasswordDeleteError("denied"), times=1)

    with pytest.raises(StoreUnavailable, match="PasswordDeleteError"):
        items.delete("0.0")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeot": 3.0}, "no setting 'stores.keyring.timeot'.*Did you mean 'timeout'"),
        ({"timeout": "3"}, "'stores.keyring.timeout' must be a number$"),
        ({"timeout": True}, "'stores.keyring.timeout' must be a number$"),
        ({"timeout": 0}, "'stores.keyring.timeout' must be between 0 and 600 seconds"),
        ({"timeout": float("nan")}, "'stores.keyring.timeout' must be between 0 and 600 seconds"),
        ({"unlock_timeout": 601}, "'stores.keyring.unlock_timeout' must be between 0 and 600"),
        ({"backend": 5}, "'stores.keyring.backend' must be a string$"),
        ({"zzz": 5}, "Known names: backend, timeout, unlock_timeout"),
    ],
)
def test_a_wrong_setting_is_a_configuration_error(profile: Profile, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        store(evolve(profile, store_settings=settings))


def test_a_forbidden_backend_in_configuration_is_refused_at_the_first_call(profile: Profile) -> None:
    kept = store(evolve(profile, store_settings={"backend": "keyring.backends.null.Keyring"}))

    with pytest.raises(ConfigurationError, match="keeps nothing"):
        kept.probe()


def test_making_the_store_asks_nobody(backend: FakeBackend, profile: Profile) -> None:
    backend.running.clear()
    opened(profile)

    assert backend.calls == 0
    assert not profile.state_dir.exists()
