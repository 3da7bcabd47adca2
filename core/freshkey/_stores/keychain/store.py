"""The keychain store: every call runs on one worker thread with a deadline, and every error has a hint."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import field, frozen

from freshkey._files.private import file_name
from freshkey._forksafe import block_fork, in_child
from freshkey._interprocess.lock import ProfileLock
from freshkey._stores.keychain import credential_manager, prompts
from freshkey._stores.keychain.backends import (
    NotImported,
    how_to_get_one,
    importing_nothing,
    open_backend,
    reports_prompts,
)
from freshkey._stores.keychain.choice import Choice
from freshkey._stores.keychain.dismissals import Dismissals
from freshkey._stores.keychain.unreported import unreported
from freshkey._stores.keychain.worker import WITHOUT_KEYCHAIN, SerialWorker
from freshkey._stores.options import store_options, wrong_option
from freshkey._stores.records.intent_file import IntentFile
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import FreshkeyError, RecordUnreadable, StoreUnavailable
from freshkey.hooks import hookimpl
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 3.0
MAX_TIMEOUT: Final = 600.0
WINDOWS_ITEM_LIMIT: Final = 1200
"""CredWrite accepts 2,560 bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE), and keyring writes UTF-16."""
OWN_SERVICE: Final = "freshkey:"
"""Prefix of the service names of all items that freshkey stores."""
READS_OF_A_MOVING_ITEM: Final = 3

_LOCKED: Final = {"KeyringLocked", "LockedException", "PromptDismissedException", "PromptRefused", "InitError"}
_RESTARTED: Final = {"ServiceEnded"}
_ABSENT: Final = {"RuntimeError", "SecretServiceNotAvailableException", "ConnectionError", "FileNotFoundError"}

# One thread for all profiles: a call that is late may still write, so no other call may start until it returns.
WORKER: Final = SerialWorker("freshkey-keychain")
_opened: dict[str | None, KeyringBackend] = {}


@frozen(eq=False)
class KeyringItems:
    """Strings in the keychain, each under its own service name.

    Each string has its own service name, because Credential Manager has only one entry of each name. `service` is the
    prefix of the service names. One call may take `timeout` seconds, or `unlock_timeout` while the keychain prompts a
    user who is present. `named` is the backend class from the user's configuration.
    """

    name = "keyring"
    item_limit = WINDOWS_ITEM_LIMIT if sys.platform == "win32" else None

    _service: str
    _username: str
    _worker: SerialWorker = field(kw_only=True)
    _timeout: float = field(default=TIMEOUT_SECONDS, kw_only=True)
    _unlock_timeout: float = field(default=prompts.UNLOCK_TIMEOUT, kw_only=True)
    _named: str | None = field(default=None, kw_only=True)
    _choice: Choice | None = field(default=None, kw_only=True)
    _dismissals: Dismissals | None = field(default=None, kw_only=True)

    @property
    def identity(self) -> str:
        """The keychain that the last call used, with its collection if that was set; empty where there is only one."""
        current = None if self._choice is None or self._named is not None else self._choice.current
        collection = getattr(_opened.get(current if self._named is None else self._named), "preferred_collection", None)
        return ":".join(str(part) for part in (current, collection) if part)

    def get(self, name: str) -> str | None:
        return self._call(lambda backend: _get(backend, self._service + name, self._username))

    def set(self, name: str, value: str) -> None:
        self._call(lambda backend: self._set(backend, name, value))

    def delete(self, name: str) -> None:
        self._call(lambda backend: _delete(backend, self._service + name, self._username))

    def copy(self, name: str, other: str) -> str:
        """Copy the string of that name to another name, and return the new item's location for messages."""
        self.set(other, self.get(name) or "")
        return f"the keychain item {self._service + other!r}"

    def _set(self, backend: KeyringBackend, name: str, value: str) -> None:
        backend.set_password(self._service + name, self._username, value)
        if self._choice is not None:
            self._choice.stored()

    def _call(self, work: Callable[[KeyringBackend], T]) -> T:
        policy = prompts.Policy(prompts.asker(), self._dismissals)
        try:
            return self._in_time(lambda: self._run(work, policy))
        except FreshkeyError:
            raise
        except Exception as error:  # noqa: BLE001  keychain libraries raise any exception
            problem: FreshkeyError = explained(error)
        # Outside the handler: the original exception refers to frames that contain the value to be written.
        raise problem

    def _in_time(self, run: Callable[[], T]) -> T:
        while True:
            try:
                return self._worker.call(
                    run, self._timeout, lambda: self._unlock_timeout if prompts.expected() else 0.0
                )
            except NotImported as missing:
                library = missing
            # Each library is imported once, in the caller's time and not in the call's.
            library.resolve()

    def _run(self, work: Callable[[KeyringBackend], T], policy: prompts.Policy) -> T:
        with prompts.under(policy):
            with importing_nothing():
                backend = self._open()
            # See docs/decisions.md, "Only a keychain that prompts the user gets more than three seconds".
            prompting: AbstractContextManager[object] = (
                nullcontext() if reports_prompts(backend) else unreported(policy, backend)
            )
            with prompting:
                return work(backend)

    def _open(self) -> KeyringBackend:
        if self._named is not None or self._choice is None:
            return _opened_once(self._named)
        return self._choice.open(_opened_once)


def _opened_once(name: str | None) -> KeyringBackend:
    if name not in _opened:
        with block_fork():
            _opened[name] = open_backend(name)
    return _opened[name]


def explained(error: Exception) -> StoreUnavailable | RecordUnreadable:
    """Convert an exception of a keychain library, judging by its class; its text might quote a secret."""
    number = getattr(error, "winerror", None)
    if isinstance(error, UnicodeDecodeError) or number in credential_manager.DAMAGED:
        # Credential Manager stores bytes, and keyring decodes them; others store text.
        return RecordUnreadable("the keychain item is corrupt")
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LOCKED:
        again = getattr(error, "seconds", 0.0)
        dismissed = f" (its prompt ended without a password, and is not shown again for {again:.0f} s)" if again else ""
        return StoreUnavailable(
            "the keychain is locked",
            hint=f"Unlock it in a desktop session{dismissed}; {WITHOUT_KEYCHAIN}",
            code="keychain-locked",
        )
    if names & _RESTARTED or _ended(error):
        return StoreUnavailable(
            "the keychain was stopped or restarted during the call", hint="Try again", code="keychain-restarted"
        )
    if names & _ABSENT or number == credential_manager.NO_LOGON_SESSION:
        return StoreUnavailable("no usable OS keychain", absent=True, hint=how_to_get_one(), code="no-keychain")
    if isinstance(number, int):
        return credential_manager.failed(number)
    return StoreUnavailable(
        f"the keychain failed with {type(error).__name__}",
        hint="Unlock or restart the keychain, then try again",
        code="keychain-failed",
    )


def _ended(error: BaseException) -> bool:
    """Return whether the bus said that the service ended before it responded."""
    cause: object = getattr(error.__cause__, "name", None)
    return isinstance(cause, str) and cause.endswith(".NoReply")


@hookimpl
def store(profile: Profile) -> CredentialStore:
    """Store the profile's credential in the keychain.

    ``[stores.keyring]`` may set ``timeout``, the seconds that one call may take (default 3), ``unlock_timeout``, the
    seconds that a sign-in waits while the keychain prompts for its password (default 60), and ``backend``, a keyring
    class.
    """
    prefix = service_prefix(profile)
    items = keychain_items(profile, prefix, profile.key, Choice.of_profile(profile, prefix))
    lock = ProfileLock(profile.state_dir, file_name(profile.key))
    return SlottedStore(
        items,
        lock,
        when_idle=WORKER.when_idle,
        confirm=lock.confirm,
        outwait=lock.outwait,
        intent_file=IntentFile(profile.state_dir, file_name(profile.key)),
        copy=items.copy,
    )


def keychain_items(profile: Profile, service: str, username: str, choice: Choice | None = None) -> KeyringItems:
    """Return items of the keychain, accessed with the settings in ``[stores.keyring]``.

    Without a `choice` of the keychain, they are looked for in each, and `service` is the whole service name.

    Raises:
        StoreSettingWrong: A setting is invalid.
    """
    options = store_options(profile, "keyring", {"timeout": float, "unlock_timeout": float, "backend": str})
    for name in ("timeout", "unlock_timeout"):
        if not 0 < options.get(name, 1.0) <= MAX_TIMEOUT:
            raise wrong_option(profile, "keyring", name, f"between 0 and {MAX_TIMEOUT:g} seconds")
    return KeyringItems(
        service,
        username,
        worker=WORKER,
        named=options.pop("backend", None),
        choice=choice or Choice([(service, username)], profile.name),
        dismissals=Dismissals(profile.state_dir),
        **options,
    )


def service_prefix(profile: Profile) -> str:
    """Return the prefix of this profile's service names; per state directory, because that is the lock's scope."""
    directory = hashlib.sha256(os.fsencode(profile.state_dir.resolve())).hexdigest()[:16]
    name = profile.key
    if sys.platform == "win32" and name != name.lower():
        name = file_name(name)  # Credential Manager ignores case: "Me" would be another name of "me"
    return f"{OWN_SERVICE}{directory}:{name}:"


def _get(backend: KeyringBackend, service: str, username: str) -> str | None:
    for reads in range(1, READS_OF_A_MOVING_ITEM + 1):
        try:
            value: object = backend.get_password(service, username)
        except Exception as error:
            # Another process replaced the item between the search and the read.
            if type(error).__name__ != "ItemNotFoundException" or reads == READS_OF_A_MOVING_ITEM:
                raise
        else:
            return None if value is None else str(value)
    return None


def _delete(backend: KeyringBackend, service: str, username: str) -> None:
    try:
        backend.delete_password(service, username)
    except Exception as error:
        # Backends raise this both for a missing item and for one that cannot be deleted.
        if type(error).__name__ != "PasswordDeleteError" or _get(backend, service, username) is not None:
            raise


in_child(WORKER.start_over)
in_child(_opened.clear)
