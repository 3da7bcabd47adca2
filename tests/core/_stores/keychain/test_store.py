"""The keychain store with backends that hang, fail, lose data and respond late."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import keyring.errors
import pytest
from attrs import define, evolve, field

from freshkey._stores.keychain import backends, choice, unreported
from freshkey._stores.keychain import store as keyring_store
from freshkey._stores.keychain.prompts import PromptRefused
from freshkey._stores.keychain.store import KeyringItems, service_prefix, store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import ConfigurationError, StoreBusy, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent
from waiting import leaving_nothing


class FakeBackend:
    """An in-memory keychain that can be paused and made to fail."""

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
    monkeypatch.setattr(choice, "in_order", tuple)
    monkeypatch.setattr(keyring_store, "WORKER", SerialWorker("test-keychain"))
    yield fake
    fake.running.set()


def opened(profile: Profile, **settings: object) -> SlottedStore:
    found: CredentialStore = store(evolve(profile, store_settings={"timeout": 5.0, **settings}))
    assert isinstance(found, SlottedStore)
    return found


def test_records_and_intents_are_stored(backend: FakeBackend, profile: Profile) -> None:
    kept = opened(profile)
    with kept.lock(1):
        kept.save(a_record(1))
        kept.intend(an_intent(2))

    assert opened(profile).load() == Snapshot(record=a_record(1), intent=an_intent(2))
    assert kept.kind == "keyring"


def test_store_says_which_keychain_it_is(
    backend: FakeBackend, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = opened(profile)
    kept.load()
    assert kept.identity == "", "there is only one"

    found = []
    monkeypatch.setattr(choice, "holds", lambda *_: False)
    for order in (("kwallet", "secret-service"), ("secret-service", "kwallet")):
        monkeypatch.setattr(choice, "in_order", lambda order=order: order)
        kept = opened(profile)
        kept.load()
        found.append(kept.identity)
    assert found == ["kwallet", "secret-service"]

    backend.preferred_collection = "/org/freedesktop/secrets/collection/work"  # type: ignore[attr-defined]
    assert kept.identity == "secret-service:/org/freedesktop/secrets/collection/work"
    named = opened(profile, backend="a.Class")
    named.load()
    assert named.identity == "/org/freedesktop/secrets/collection/work"


@proves("FAULT-10", "STO-6", "STO-10")
def test_each_item_has_its_own_service_name_without_secrets(backend: FakeBackend, profile: Profile) -> None:
    """STO-6."""
    kept = opened(profile)
    kept.save(a_record(1, "sk-canary"))
    kept.save(a_record(2, "sk-canary"))

    services = [service for service, _ in backend.values]
    assert len(set(services)) == 2
    assert {username for _, username in backend.values} == {"me"}
    assert all(service.startswith("freshkey:") and ":me:" in service for service in services)
    assert "canary" not in str(services)


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 does not resolve symbolic links to folders")
def test_each_state_directory_and_profile_has_its_own_items(profile: Profile, tmp_path: Path) -> None:
    profile.state_dir.mkdir()
    (tmp_path / "link").symlink_to(profile.state_dir)

    assert service_prefix(evolve(profile, state_dir=tmp_path / "link")) == service_prefix(profile)
    assert service_prefix(evolve(profile, state_dir=tmp_path / "other")) != service_prefix(profile)
    assert service_prefix(evolve(profile, name="you")) != service_prefix(profile)


@proves("FAULT-10", "STO-5")
def test_windows_gets_small_items(backend: FakeBackend, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULT-10."""
    monkeypatch.setattr(KeyringItems, "item_limit", keyring_store.WINDOWS_ITEM_LIMIT)
    kept = opened(profile)
    record = a_record(1, "x" * 50_000)
    kept.save(record)

    assert kept.load() == Snapshot(record=record)
    assert max(len(value.encode("utf-16-le")) for value in backend.values.values()) <= 2560


@proves("FAULT-10", "STO-5")
@pytest.mark.parametrize(("platform", "limited"), [("win32", True), ("darwin", False), ("linux", False)])
def test_item_limit_depends_on_the_platform(monkeypatch: pytest.MonkeyPatch, platform: str, limited: bool) -> None:
    found = importlib.util.find_spec("freshkey._stores.keychain.store")
    assert found is not None
    assert found.loader is not None
    elsewhere = importlib.util.module_from_spec(found)
    monkeypatch.setattr(sys, "platform", platform)

    found.loader.exec_module(elsewhere)

    assert elsewhere.KeyringItems.item_limit == (elsewhere.WINDOWS_ITEM_LIMIT if limited else None)


@proves("FAULT-9")
def test_hanging_keychain_times_out_and_then_fails_immediately(backend: FakeBackend, profile: Profile) -> None:
    """STO-3, FAULT-7, FAULT-9."""
    kept = opened(profile, timeout=0.05)
    backend.running.clear()
    with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
        kept.load()
    assert "0.05 s" in str(caught.value)

    with leaving_nothing():
        for _ in range(50):
            with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
                kept.load()
            assert "earlier call" in str(caught.value)

    assert backend.calls == 1


def test_abandoned_write_finishes_before_the_lock_is_released(backend: FakeBackend, profile: Profile) -> None:
    """A late write never replaces a newer generation by an older one."""
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


def test_save_can_be_repeated_under_the_same_lock_after_its_read_back_failed(
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
        with raises_code(StoreUnavailable, "keychain-locked"):
            kept.save(a_record(2))
        backend.fail(keyring.errors.KeyringLocked("locked"), times=0)
        kept.save(a_record(2))

    assert kept.load() == Snapshot(record=a_record(2))


class DBusErrorResponse(Exception):
    """An error without a base class in any keychain library."""

    name = "org.freedesktop.DBus.Error.NoReply"


def error_of(library: str, name: str) -> Exception:
    """Return an exception of a library that is only on Linux; elsewhere, one of the same name."""
    try:
        kind: type[Exception] = getattr(importlib.import_module(library), name)
    except ImportError:
        if sys.platform == "linux":
            raise
        kind = type(name, (Exception,), {})
    return kind("sk-canary")


def unanswered() -> Exception:
    """Return the error of secretstorage for a service that died during the call."""
    error = error_of("secretstorage", "SecretServiceNotAvailableException")
    error.__cause__ = DBusErrorResponse()
    return error


CASES: list[tuple[BaseException, str]] = [
    (keyring.errors.KeyringLocked("sk-canary"), "keychain-locked"),
    (keyring.errors.InitError("Prompt dismissed sk-canary"), "keychain-locked"),
    (error_of("secretstorage", "LockedException"), "keychain-locked"),
    (error_of("secretstorage", "PromptDismissedException"), "keychain-locked"),
    (keyring.errors.NoKeyringError("sk-canary"), "no-keychain"),
    (error_of("secretstorage", "SecretServiceNotAvailableException"), "no-keychain"),
    (FileNotFoundError("sk-canary"), "no-keychain"),
    (RuntimeError("sk-canary"), "no-keychain"),
    (ConnectionResetError("sk-canary"), "no-keychain"),
    (error_of("freshkey._stores.keychain.bus", "ServiceEnded"), "keychain-restarted"),
    (unanswered(), "keychain-restarted"),
    (PromptRefused(30.0), "keychain-locked"),
    (keyring.errors.PasswordSetError("sk-canary"), "keychain-failed"),
    (error_of("secretstorage", "ItemNotFoundException"), "keychain-failed"),
    (DBusErrorResponse("sk-canary"), "keychain-failed"),
    (ValueError("sk-canary"), "keychain-failed"),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=[type(error).__name__ for error, _ in CASES])
@pytest.mark.parametrize(
    "action",
    [lambda kept: kept.load(), lambda kept: kept.save(a_record(1)), lambda kept: kept.probe()],
    ids=["load", "save", "probe"],
)
def test_keychain_errors_get_a_code_and_a_hint_and_lose_their_text(
    backend: FakeBackend, profile: Profile, error: BaseException, code: str, action: Callable[[Any], object]
) -> None:
    backend.fail(error)

    with raises_code(StoreUnavailable, code) as caught:
        action(opened(profile))

    assert caught.value.hint
    assert (type(error).__name__ in str(caught.value)) == (code == "keychain-failed")
    assert "sk-canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_item_that_is_replaced_during_a_read_is_read_again(backend: FakeBackend, profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    backend.fail(error_of("secretstorage", "ItemNotFoundException"), times=2)

    assert kept.load() == Snapshot(record=a_record(1))


def test_deleting_a_missing_item_succeeds(backend: FakeBackend) -> None:
    KeyringItems("freshkey:test:", "me", worker=keyring_store.WORKER).delete("0.0")


def test_item_that_cannot_be_deleted_is_an_error(backend: FakeBackend) -> None:
    items = KeyringItems("freshkey:test:", "me", worker=keyring_store.WORKER)
    items.set("0.0", "stays")
    backend.fail(keyring.errors.PasswordDeleteError("denied"), times=1)

    with raises_code(StoreUnavailable, "keychain-failed") as caught:
        items.delete("0.0")
    assert "PasswordDeleteError" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "code", "facts"),
    [
        ({"timeot": 3.0}, "unknown-setting", ("'stores.keyring.timeot'", "'timeout'")),
        ({"timeout": "3"}, "invalid-setting", ("'stores.keyring.timeout'", "a number")),
        ({"timeout": True}, "invalid-setting", ("'stores.keyring.timeout'", "a number")),
        ({"timeout": 0}, "invalid-setting", ("'stores.keyring.timeout'", "between 0 and 600")),
        ({"timeout": float("nan")}, "invalid-setting", ("'stores.keyring.timeout'", "between 0 and 600")),
        ({"unlock_timeout": 601}, "invalid-setting", ("'stores.keyring.unlock_timeout'", "between 0 and 600")),
        ({"backend": 5}, "invalid-setting", ("'stores.keyring.backend'", "a string")),
        ({"zzz": 5}, "unknown-setting", ("'stores.keyring.zzz'", "backend, timeout, unlock_timeout")),
    ],
)
def test_invalid_setting_is_a_configuration_error(
    profile: Profile, settings: dict[str, object], code: str, facts: tuple[str, ...]
) -> None:
    with raises_code(ConfigurationError, code) as caught:
        store(evolve(profile, store_settings=settings))
    assert [fact for fact in facts if fact not in str(caught.value)] == []


def test_forbidden_backend_in_configuration_is_refused_at_the_first_call(profile: Profile) -> None:
    kept = store(evolve(profile, store_settings={"backend": "keyring.backends.null.Keyring"}))

    with raises_code(ConfigurationError, "unsafe-keychain-backend"):
        kept.probe()


def test_creating_the_store_does_not_access_the_keychain(backend: FakeBackend, profile: Profile) -> None:
    backend.running.clear()
    opened(profile)

    assert backend.calls == 0
    assert not profile.state_dir.exists()


# --- the keychain's library -------------------------------------------------------------------------------------------


@define
class Importing:
    """Stands in for libraries whose first import takes longer than a call may."""

    names: list[str] = field(factory=list)

    def import_module(self, name: str) -> Any:
        self.names.append(name)
        time.sleep(0.5)
        classes: dict[str, Any] = dict.fromkeys(("Keyring", "WinVaultKeyring", "KWallet", "KeyringBackend"), Imported)
        return SimpleNamespace(adapt=lambda backend: None, **classes)


class Imported:
    priority = 5

    def __init__(self, *, start: bool = True) -> None:
        """Nothing to set."""

    def get_password(self, service: str, username: str) -> None:
        return None


@pytest.mark.parametrize(
    "path",
    [
        "keyring.backends.macOS.Keyring",
        "keyring.backends.Windows.WinVaultKeyring",
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.kwallet.DBusKeyring",
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_first_import_of_any_keychain_library_is_not_part_of_the_deadline(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, path: str, named: bool
) -> None:
    importing = Importing()
    monkeypatch.setattr(keyring_store, "_opened", {})
    monkeypatch.setattr(keyring_store, "WORKER", SerialWorker("test-keychain"))
    monkeypatch.setattr(backends, "_imported", {})
    monkeypatch.setattr(backends, "allowed", lambda: (path,))
    monkeypatch.setattr(choice, "in_order", tuple)
    monkeypatch.setattr(backends, "importlib", importing)
    monkeypatch.setattr(unreported, "_security", MagicMock)

    kept = opened(profile, timeout=0.2, **({"backend": path} if named else {}))

    assert kept.load() == Snapshot()
    assert len(importing.names) == len(set(importing.names)) > 0


def test_slow_import_of_a_configured_backend_is_not_part_of_the_deadline(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_import.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(keyring_store, "_opened", {})
    kept = opened(profile, timeout=0.2, backend="slow_to_import.Keyring")

    assert kept.load() == Snapshot()


SLOW = """
import time
from keyring.backend import KeyringBackend
time.sleep(0.5)

class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return None
    def set_password(self, service, username, password):
        raise NotImplementedError
"""
