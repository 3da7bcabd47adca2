"""Stand-ins for the keychains of Windows and macOS, with only the semantics that matter.

They are ordinary keyring backends that store each item as a file below `FAKE_KEYCHAIN`, so that processes share them
and a kill loses what it would lose on those systems. They do not show that freshkey runs on those systems.
"""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


MAX_BYTES = 2560
"""CRED_MAX_CREDENTIAL_BLOB_SIZE of Windows; keyring writes UTF-16."""

steps_left: int | None = None
"""Number of further changes after which this process is killed; None for never."""


def folder() -> Path:
    """Return the folder of the items."""
    return Path(os.environ["FAKE_KEYCHAIN"])


def services() -> list[str]:
    """Return the service names of all items."""
    return sorted(path.read_text("utf-8").partition("\n")[0] for path in folder().iterdir())


class _Files(KeyringBackend):
    priority = 9.0

    def get_password(self, service: str, username: str) -> str | None:
        path = _path(service, username)
        return path.read_text("utf-8").partition("\n")[2] if path.exists() else None

    def delete_password(self, service: str, username: str) -> None:
        path = _path(service, username)
        if not path.exists():
            raise PasswordDeleteError
        _change()
        path.unlink()

    def _add(self, service: str, username: str, password: str) -> None:
        _change()
        path = _path(service, username)
        path.with_suffix(".new").write_text(f"{service}\n{password}", "utf-8")
        path.with_suffix(".new").replace(path)


class SmallItems(_Files):
    """Like Windows: an item has at most 2,560 bytes of UTF-16, and is replaced atomically."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > MAX_BYTES:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        self._add(service, username, password)


class DeleteThenAdd(_Files):
    """Like macOS: an item is replaced by deleting it and adding it again."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if _path(service, username).exists():
            self.delete_password(service, username)
        self._add(service, username, password)


def _path(service: str, username: str) -> Path:
    return folder() / hashlib.sha256(f"{service}\0{username}".encode()).hexdigest()[:32]


def _change() -> None:
    global steps_left  # noqa: PLW0603  the process has one keychain
    if steps_left is None:
        return
    if steps_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    steps_left -= 1
