"""What each store keeps for accounts whose names look alike stays apart, also where a keychain ignores case."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import keyring.errors
import pytest
from attrs import evolve

from freshkey._stores import memory
from freshkey._stores.encrypted_file import store as file_store
from freshkey._stores.keychain import choice
from freshkey._stores.keychain import store as keyring_store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Record
from freshkey.secret import Secret
from promises import proves


ALIKE = (None, "ada", "ADA", "Ada", "a/b", "../ada", "\u00e4", "a\u0308", "ada\0", "x" * 256, "ada+ada", "me")


class FoldingKeychain:
    """A keychain that takes names for the same that differ only in case or normalization."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.values.get(self._folded(service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.values[self._folded(service, username)] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.values.pop(self._folded(service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not found")

    @staticmethod
    def _folded(*names: str) -> tuple[str, str]:
        service, username = (unicodedata.normalize("NFKD", name).casefold() for name in names)
        return service, username


@pytest.fixture(params=["keyring", "file", "memory"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Profile], CredentialStore]:
    monkeypatch.delenv("FRESHKEY_PASSPHRASE", raising=False)
    keychain = FoldingKeychain()
    monkeypatch.setattr(keyring_store, "_opened", {})
    monkeypatch.setattr(keyring_store, "open_backend", lambda _: keychain)
    monkeypatch.setattr(choice, "in_order", tuple)
    monkeypatch.setattr(keyring_store, "WORKER", SerialWorker("test-keychain"))
    hooks = {"keyring": keyring_store.store, "file": file_store.store, "memory": memory.store}
    made: Callable[[Profile], CredentialStore] = hooks[request.param]
    return made


@proves("STO-13")
def test_accounts_that_look_alike_are_kept_apart(opened: Callable[[Profile], CredentialStore], tmp_path: Path) -> None:
    profile = Profile(name="me", provider="example", settings=None, state_dir=tmp_path / "state")
    for number, account in enumerate(ALIKE):
        kept = opened(evolve(profile, account=account))
        assert kept.load().record is None
        with kept.lock(5):
            kept.save(Record(generation=1, payload=Secret(f"of-{number}"), written_at=1.0))
    for number, account in enumerate(ALIKE):
        assert opened(evolve(profile, account=account)).load().payload == Secret(f"of-{number}")
    with opened(evolve(profile, account="ada")).lock(5), opened(evolve(profile, account="ADA")).lock(5):
        pass  # locks of their own


def test_memory_store_lists_what_is_signed_in(tmp_path: Path) -> None:
    profile = Profile(name="me", provider="example", settings=None, state_dir=tmp_path / "state")
    for account in ("ada", "grace", "nobody"):
        kept = memory.store(evolve(profile, account=account))
        if account != "nobody":
            kept.save(Record(generation=1, payload=Secret("kept"), written_at=1.0))
    memory.store(evolve(profile, account="ada")).save(Record(generation=2, payload=None, written_at=2.0))
    for name, listed in (("me", ["grace"]), ("you", [])):
        kept = memory.store(evolve(profile, name=name))
        assert isinstance(kept, memory.MemoryStore)
        assert list(kept.accounts()) == listed
