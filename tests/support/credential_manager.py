"""Windows Credential Manager with the limits of Windows: the real one on Windows, a double of its calls elsewhere.

Wine has the real calls but not the limits, so they are added. On other systems, the entries are files, so that
processes share them, and one that is killed loses what it would lose on Windows. `attach` makes keyring use it, and may
end the process at a change, as TerminateProcess does.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define
from keyring.backends import Windows

from freshkey._stores.keychain import backends, choice, store
from freshkey._stores.keychain.session import CREDENTIAL_MANAGER
from freshkey._stores.keychain.worker import SerialWorker


GENERIC = 1
MAX_BYTES = 2560
"""CRED_MAX_CREDENTIAL_BLOB_SIZE; keyring writes UTF-16."""
MAX_NAME = 32767
"""CRED_MAX_GENERIC_TARGET_NAME_LENGTH."""
MAX_USER_NAME = 513
"""CRED_MAX_USERNAME_LENGTH."""

ENDED = 9
"""What the process exits with when it is ended at a change (on POSIX, the signal)."""

Patch = Callable[[object, str, object], object]


class Failure(Exception):
    """Stands in for pywintypes.error."""

    def __init__(self, winerror: int, funcname: str, strerror: str) -> None:
        super().__init__(winerror, funcname, strerror)
        self.winerror, self.funcname, self.strerror = winerror, funcname, strerror


Failure.__name__ = "error"


@define(slots=False)
class _Files:
    """The calls of win32cred, on files of a folder."""

    folder: Path
    CRED_TYPE_GENERIC = GENERIC
    CRED_PERSIST_SESSION = 1
    CRED_PERSIST_LOCAL_MACHINE = 2
    CRED_PERSIST_ENTERPRISE = 3

    def CredRead(self, TargetName: str, Type: int) -> dict[str, Any]:  # noqa: N802, N803  as of Windows
        assert Type == GENERIC
        path = self._path(TargetName)
        if not path.exists():
            raise Failure(1168, "CredRead", "Element not found.")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {**found, "CredentialBlob": found["CredentialBlob"].encode("utf-16-le")}

    def CredWrite(self, Credential: dict[str, Any], Flags: int) -> None:  # noqa: N802, N803
        assert Flags == 0
        path = self._path(Credential["TargetName"])
        path.with_suffix(".new").write_text(json.dumps(Credential), "utf-8")
        path.with_suffix(".new").rename(path)

    def CredDelete(self, TargetName: str, Type: int) -> None:  # noqa: N802, N803
        self.CredRead(TargetName, Type)
        self._path(TargetName).unlink()

    def CredEnumerate(self, Filter: None, Flags: int) -> list[dict[str, Any]]:  # noqa: N802, N803
        assert (Filter, Flags) == (None, 0)
        return [json.loads(path.read_text("utf-8")) for path in self.folder.iterdir()]

    def _path(self, target: str) -> Path:
        return self.folder / hashlib.sha256(target.lower().encode()).hexdigest()  # names ignore case


def attach(folder: Path, *, patch: Patch = setattr, steps: int | None = None) -> None:
    """Make keyring use Credential Manager with the limits of Windows.

    Args:
        folder: Where the entries are, except on Windows.
        patch: Sets an attribute.
        steps: Number of changes after which this process is ended at the next one; None for never.
    """
    if sys.platform != "win32":
        patch(Windows, "win32cred", _Files(folder))
        patch(Windows, "pywintypes", SimpleNamespace(error=Failure))
        patch(Windows, "missing_deps", None)
    calls, error = _library()
    write, delete = calls.CredWrite, calls.CredDelete
    left = [steps]

    def limited_write(Credential: dict[str, Any], Flags: int) -> None:  # noqa: N803
        if len(Credential["CredentialBlob"].encode("utf-16-le")) > MAX_BYTES:
            raise error(1783, "CredWrite", "The stub received bad data.")
        if len(Credential["TargetName"]) > MAX_NAME or len(Credential["UserName"]) > MAX_USER_NAME:
            raise error(87, "CredWrite", "The parameter is incorrect.")
        _step(left)
        write(Credential, Flags)

    def counted_delete(TargetName: str, Type: int) -> None:  # noqa: N803
        calls.CredRead(TargetName, Type)
        _step(left)
        delete(TargetName, Type)

    patch(calls, "CredWrite", limited_write)
    patch(calls, "CredDelete", counted_delete)


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make freshkey use Credential Manager in one test, as it does on Windows; `folder` is as for `attach`."""
    attach(folder, patch=lambda target, name, new: monkeypatch.setattr(target, name, new, raising=False))
    monkeypatch.setattr(backends, "allowed", lambda: (CREDENTIAL_MANAGER,))
    monkeypatch.setattr(store, "_opened", {})
    monkeypatch.setattr(store, "WORKER", SerialWorker("test-keychain"))
    monkeypatch.setattr(choice, "in_order", tuple)
    monkeypatch.setattr(store.KeyringItems, "item_limit", store.WINDOWS_ITEM_LIMIT)


@contextmanager
def full() -> Iterator[None]:
    """Let every entry that is written be refused, within the block."""
    calls, error = _library()

    def refuse(**_: object) -> None:
        raise error(8, "CredWrite", "Not enough memory resources are available to process this command.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "CredWrite", refuse)
        yield


def values(text: str) -> list[str]:
    """Return the values of all entries whose name contains `text`."""
    calls, _ = _library()
    return [calls.CredRead(name, GENERIC)["CredentialBlob"].decode("utf-16-le") for name in entries(text)]


def entries(text: str) -> list[str]:
    """Return the names of all entries whose name contains `text`, sorted."""
    calls, error = _library()
    try:
        found = calls.CredEnumerate(None, 0)
    except error:
        return []  # there is none at all
    return sorted(each["TargetName"] for each in found if text.lower() in each["TargetName"].lower())


def clear(text: str) -> None:
    """Delete all entries whose name contains `text`."""
    for name in entries(text):
        _library()[0].CredDelete(name, GENERIC)


def _library() -> tuple[Any, type[Any]]:
    library: Any = Windows
    return library.win32cred, library.pywintypes.error


def _step(left: list[int | None]) -> None:
    if left[0] is None:
        return
    if left[0] == 0:
        os.kill(os.getpid(), ENDED)  # SIGKILL; on Windows, TerminateProcess
    left[0] -= 1
