"""A store that lasts as long as the process: for tests, and for applications that must not save credentials."""

from __future__ import annotations

from typing import Final

from freshkey._interprocess.lock import ThreadLock
from freshkey._stores.records.slots import SlottedStore
from freshkey.hooks import hookimpl
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


_KEPT: Final[dict[tuple[str, str], MemoryItems]] = {}


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


@hookimpl
def store(profile: Profile) -> CredentialStore:
    """Return the store for this state directory and profile, shared by all keepers in the process."""
    key = (str(profile.state_dir.resolve()), profile.key)
    return SlottedStore(_KEPT.setdefault(key, MemoryItems()), ThreadLock("\0".join(("memory", *key))))
