"""The operating system's keychain as a store: every call on one thread, with a deadline, every error explained."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import field, frozen

from freshkey._files.private import file_name
from freshkey._forksafe import block_fork, in_child
from freshkey._interprocess.lock import ProfileLock
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.backends import HINT, open_backend, tells_of_prompts
from freshkey._stores.keychain.worker import SerialWorker
from freshkey._stores.options import store_options, wrong_option
from freshkey._stores.records.intent_file import IntentFile
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import FreshkeyError, StoreUnavailable
from freshkey.hooks import hookimpl
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 3.0
MAX_TIMEOUT: Final = 600.0
WINDOWS_ITEM_LIMIT: Final = 1200
"""CredWrite takes 2,560 bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE), and keyring writes UTF-16."""
OWN_SERVICE: Final = "freshkey:"
"""What the service names of all items begin with that freshkey keeps."""
READS_OF_A_MOVING_ITEM: Final = 3

_LOCKED: Final = {"KeyringLocked", "LockedException", "PromptDismissedException", "InitError"}
_ABSENT: Final = {"RuntimeError", "SecretServiceNotAvailableException", "ConnectionError", "FileNotFoundError"}

WORKER: Final = SerialWorker("freshkey-keychain")
_opened: dict[str | None, KeyringBackend] = {}


@frozen(eq=False)
class KeyringItems:
    """Strings in the keychain, each under a service name of its own.

    One service name per string, because Windows moves the earlier entry of a service to another name, not
    atomically, as soon as there is a second one. `service` is what the service names start with. One call may take
    `timeout` seconds, or `unlock_timeout` while the keychain asks somebody who is there for its password. `named` is
    the backend class that user configuration names.
    """

    name = "keyring"
    item_limit = WINDOWS_ITEM_LIMIT if sys.platform == "win32" else None

    _service: str
    _username: str
    _worker: SerialWorker = field(kw_only=True)
    _timeout: float = field(default=TIMEOUT_SECONDS, kw_only=True)
    _unlock_timeout: float = field(default=prompts.UNLOCK_TIMEOUT, kw_only=True)
    _named: str | None = field(default=None, kw_only=True)

    def get(self, name: str) -> str | None:
        return self._call(lambda backend: _get(backend, self._service + name, self._username))

    def set(self, name: str, value: str) -> None:
        self._call(lambda backend: backend.set_password(self._service + name, self._username, value))

    def delete(self, name: str) -> None:
        self._call(lambda backend: _delete(backend, self._service + name, self._username))

    def copy(self, name: str, other: str) -> str:
        """Copy the string of that name to another name, within the keychain, and return the service name there."""
        self.set(other, self.get(name) or "")
        return f"the keychain item {self._service + other!r}"

    def _call(self, work: Callable[[KeyringBackend], T]) -> T:
        try:
            return self._worker.call(
                lambda: self._run(work),
                self._timeout,
                lambda: self._unlock_timeout if prompts.expected() else 0.0,
            )
        except FreshkeyError:
            raise
        except Exception as error:  # noqa: BLE001  keychain libraries raise what they like
            problem = explained(error)
        # Outside of the handler: the cause holds frames, and they hold the value that was to be written.
        raise problem

    def _run(self, work: Callable[[KeyringBackend], T]) -> T:
        if self._named not in _opened:
            with block_fork():
                _opened[self._named] = open_backend(self._named)
        backend = _opened[self._named]
        with nullcontext() if tells_of_prompts(backend) else prompts.shown():
            return work(backend)


def explained(error: Exception) -> StoreUnavailable:
    """Say what an exception of a keychain library means; never what it says, as it could quote a value."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LOCKED:
        return StoreUnavailable(
            "the keychain is locked",
            hint='Unlock it, by signing in to the desktop or in its own window, or choose store = "file"',
        )
    if names & _ABSENT:
        return StoreUnavailable("no keychain answers here", hint=HINT)
    return StoreUnavailable(f"the keychain failed with {type(error).__name__}", hint="Try again, or restart it")


@hookimpl
def store(profile: Profile) -> CredentialStore:
    """Keep the profile's credential in the keychain.

    ``[stores.keyring]`` may have ``timeout``, seconds that one call may take (3), ``unlock_timeout``, seconds that a
    sign-in waits while the keychain asks for its password (60), and ``backend``, a keyring class.
    """
    items = keychain_items(profile, service_prefix(profile), profile.name)
    lock = ProfileLock(profile.state_dir, file_name(profile.name))
    return SlottedStore(
        items,
        lock,
        when_idle=WORKER.when_idle,
        confirm=lock.confirm,
        outwait=lock.outwait,
        intent_file=IntentFile(profile.state_dir, file_name(profile.name)),
        copy=items.copy,
    )


def keychain_items(profile: Profile, service: str, username: str) -> KeyringItems:
    """Return items of the keychain, reached as ``[stores.keyring]`` says.

    Raises:
        StoreSettingWrong: A setting of it cannot be used.
    """
    options = store_options(profile, "keyring", {"timeout": float, "unlock_timeout": float, "backend": str})
    for name in ("timeout", "unlock_timeout"):
        if not 0 < options.get(name, 1.0) <= MAX_TIMEOUT:
            raise wrong_option(profile, "keyring", name, f"between 0 and {MAX_TIMEOUT:g} seconds")
    return KeyringItems(service, username, worker=WORKER, named=options.pop("backend", None), **options)


def service_prefix(profile: Profile) -> str:
    """Name what belongs to this profile in this state directory: the lock only excludes those who share it."""
    directory = hashlib.sha256(os.fsencode(profile.state_dir.resolve())).hexdigest()[:16]
    return f"{OWN_SERVICE}{directory}:{profile.name}:"


def _get(backend: KeyringBackend, service: str, username: str) -> str | None:
    for reads in range(1, READS_OF_A_MOVING_ITEM + 1):
        try:
            value: object = backend.get_password(service, username)
        except Exception as error:
            # Another process replaced it between the search and the read.
            if type(error).__name__ != "ItemNotFoundException" or reads == READS_OF_A_MOVING_ITEM:
                raise
        else:
            return None if value is None else str(value)
    return None


def _delete(backend: KeyringBackend, service: str, username: str) -> None:
    try:
        backend.delete_password(service, username)
    except Exception as error:
        # Backends raise this for what is not there and for what cannot be removed.
        if type(error).__name__ != "PasswordDeleteError" or _get(backend, service, username) is not None:
            raise


in_child(WORKER.start_over)
in_child(_opened.clear)
