"""Every store that comes with freshkey passes the contract for stores."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from keyring.errors import PasswordSetError

import credential_manager
from counterparts.keychain import Keychain
from freshkey._files.private import file_name
from freshkey._stores import memory
from freshkey._stores.encrypted_file import store as file_store
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.records.slots import SlottedStore
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore
from freshkey_testing import StoreContract
from freshkey_testing.store_at_rest import AtRest, BreakWrites, Contents, OpenProfile


MakeStore = Callable[[], CredentialStore]


def bodies(texts: Iterable[str]) -> list[str]:
    """Decode item bodies, which are base64 and protect nothing."""
    return [base64.urlsafe_b64decode(text.rpartition(".")[2] + "==").decode("latin-1") for text in texts]


@contextmanager
def refusing_keychain() -> Iterator[None]:
    """Let the keychain store nothing, within the block."""

    def refuse(*_: object) -> None:
        raise PasswordSetError("it is locked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keychain_store.KeyringItems, "_set", refuse)
        yield


class TestMemory(StoreContract):
    @pytest.fixture
    def make_store(self, profile: Profile) -> MakeStore:
        return lambda: memory.store(profile)

    @pytest.fixture
    def at_rest(self) -> AtRest:
        return None

    @pytest.fixture
    def break_writes(self) -> BreakWrites:
        return None

    @pytest.fixture
    def open_profile(self, profile: Profile) -> OpenProfile:
        return lambda key: memory.store(evolve(profile, name=key))

    @pytest.fixture
    def contents(self, make_store: MakeStore) -> Contents:
        store = make_store()
        assert isinstance(store, SlottedStore)
        items = store._items
        assert isinstance(items, memory.MemoryItems)
        return lambda: bodies(items._values.values())


class TestShortStrings(TestMemory):
    """With the item limit of Windows Credential Manager."""

    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory.MemoryItems, "item_limit", keychain_store.WINDOWS_ITEM_LIMIT)


class TestFile(StoreContract):
    @pytest.fixture
    def make_store(self, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
        monkeypatch.delenv("FRESHKEY_PASSPHRASE", raising=False)
        return lambda: file_store.store(profile)

    @pytest.fixture
    def at_rest(self, profile: Profile) -> Path:
        return profile.state_dir

    @pytest.fixture
    def open_profile(self, profile: Profile) -> OpenProfile:
        return lambda key: file_store.store(evolve(profile, name=key))

    @pytest.fixture
    def contents(self, make_store: MakeStore, profile: Profile) -> Contents:
        store = make_store()
        assert isinstance(store, SlottedStore)

        def found() -> list[str]:
            names = [path.name.split(".", 1)[1] for path in (profile.state_dir / "store").glob("me-*")]
            return bodies(text for name in names if (text := store._items.get(name)) is not None)

        return found


class TestCredentialManager(StoreContract):
    """On Windows, the real one; elsewhere, keyring's backend on a double of the calls of Windows."""

    @pytest.fixture(autouse=True)
    def windows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "entries").mkdir()
        credential_manager.use(tmp_path / "entries", monkeypatch)

    @pytest.fixture
    def make_store(self, profile: Profile) -> Iterator[MakeStore]:
        patient = evolve(profile, store_settings={"timeout": 60.0})
        yield lambda: keychain_store.store(patient)
        credential_manager.clear(keychain_store.service_prefix(profile))

    @pytest.fixture
    def at_rest(self, profile: Profile) -> Path:
        return profile.state_dir

    @pytest.fixture
    def break_writes(self) -> BreakWrites:
        return credential_manager.full

    @pytest.fixture
    def open_profile(self, profile: Profile) -> OpenProfile:
        patient = evolve(profile, store_settings={"timeout": 60.0})
        # On Windows the store does that by itself.
        return lambda key: keychain_store.store(evolve(patient, name=key if key == key.lower() else file_name(key)))

    @pytest.fixture
    def contents(self, profile: Profile) -> Contents:
        # Their place and not their prefix: copies under other names would be found, too.
        place = keychain_store.service_prefix(profile).split(":")[1]
        return lambda: bodies(credential_manager.values(place))


@pytest.mark.counterpart
class TestGnomeKeyring(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def keychain(cls) -> Iterator[Keychain]:
        with Keychain() as found:
            yield found

    @pytest.fixture
    def make_store(self, keychain: Keychain, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
        for name, value in keychain.variables.items():
            monkeypatch.setenv(name, value)
        patient = evolve(profile, store_settings={"timeout": 20})
        return lambda: keychain_store.store(patient)

    @pytest.fixture
    def at_rest(self, profile: Profile) -> Path:
        return profile.state_dir

    @pytest.fixture
    def break_writes(self) -> BreakWrites:
        return refusing_keychain

    @pytest.fixture
    def open_profile(self, profile: Profile) -> OpenProfile:
        return lambda key: keychain_store.store(evolve(profile, name=key, store_settings={"timeout": 20}))

    @pytest.fixture
    def contents(self, make_store: MakeStore, profile: Profile) -> Contents:
        import secretstorage  # only on Linux

        prefix = keychain_store.service_prefix(profile)

        def found() -> list[str]:
            with closing(secretstorage.dbus_init()) as bus:
                items = secretstorage.get_default_collection(bus).get_all_items()
                mine = [item for item in items if item.get_attributes()["service"].startswith(prefix)]
                return bodies(item.get_secret().decode() for item in mine)

        return found
