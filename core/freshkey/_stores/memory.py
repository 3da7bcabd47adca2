"""A store that lasts as long as the process: for tests, and for applications that must not save credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from freshkey._interprocess.lock import ThreadLock
from freshkey._stores.records.slots import SlottedStore
from freshkey.hooks import hookimpl
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


_KEPT: Final[dict[tuple[str, str], MemoryItems]] = {}
_ACCOUNTS: Final[dict[tuple[str, str], dict[str, MemoryItems]]] = {}
"""By state directory and key: of a profile or an account what is kept, and of a profile its accounts."""


class MemoryItems:
    """Strings in a dictionary."""

    name = "memory"
    item_limit: int | None = None

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        self._values[name] = value

    def delete(self, name: str) -> None:
        self._values.pop(name, None)


class MemoryStore(SlottedStore):
    """A store in memory, which knows the accounts of its profile."""

    def __init__(self, items: MemoryItems, lock: ThreadLock, accounts: Mapping[str, MemoryItems]) -> None:
        super().__init__(items, lock)
        self._accounts = accounts

    def accounts(self) -> Iterable[str]:
        """Return the accounts that are signed in."""
        lock = ThreadLock("")
        stores = {account: SlottedStore(items, lock) for account, items in tuple(self._accounts.items())}
        return [account for account, store in stores.items() if store.load().payload is not None]


@hookimpl
def store(profile: Profile) -> CredentialStore:
    """Return the store for this state directory and profile, shared by all keepers in the process."""
    directory = str(profile.state_dir.resolve())
    key = (directory, profile.key)
    items = _KEPT.setdefault(key, MemoryItems())
    accounts = _ACCOUNTS.setdefault((directory, profile.key.partition("+")[0]), {})
    if profile.account is not None:
        accounts[profile.account] = items
    return MemoryStore(items, ThreadLock("\0".join(("memory", *key))), accounts)
