"""The Secret Service, as keyring uses it, but with prompts that follow the policy and end with their service."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import secretstorage
from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, Message  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection  # type: ignore[import-untyped]
from keyring.errors import KeyringLocked
from secretstorage.exceptions import SecretStorageException

from freshkey._stores.keychain import bus, prompts
from freshkey.clock import SYSTEM


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "org.freedesktop.secrets"
PROMPT: Final = "org.freedesktop.Secret.Prompt"


class _Lockable(Protocol):
    def is_locked(self) -> bool: ...

    def unlock(self) -> bool: ...


class _UnlockedElsewhere(Exception):
    """Something else unlocked the keychain while its prompt was open."""


_unlocking: ContextVar[_Lockable | None] = ContextVar("freshkey_secret_service_unlocking", default=None)


def adapt(backend: KeyringBackend) -> None:
    """Make one of keyring's Secret Service backends use this module's connections and prompts."""
    adapted: Any = backend
    adapted.get_preferred_collection = lambda: _collection(getattr(backend, "preferred_collection", None))
    adapted.unlock = _unlock
    adapted.reports_prompts = True


def holds(service: str, username: str) -> bool:
    """Return whether there is such an item, without unlocking anything."""
    address = DBusAddress("/org/freedesktop/secrets", bus_name=SERVICE, interface="org.freedesktop.Secret.Service")
    with closing(_connect()) as connection:
        item = {"service": service, "username": username}
        return any(bus.call(connection, address, "SearchItems", "a{ss}", item, timeout=bus.LOOKUP_TIMEOUT))


def _collection(path: str | None) -> secretstorage.Collection:
    """Do what keyring does, but close the connection on failure: a locked keychain would leak file descriptors."""
    connection = _connect()
    try:
        if path is None:
            collection = secretstorage.get_default_collection(connection)
        else:
            collection = secretstorage.Collection(connection, path)
        _unlock(collection)
    except BaseException:
        connection.close()
        raise
    return collection


def _unlock(locked: _Lockable) -> None:
    if locked.is_locked():
        # Not even asked to unlock otherwise: a service may open its own window for that.
        prompts.policy().check()
        with _unlocks(locked), suppress(_UnlockedElsewhere):
            locked.unlock()
        if locked.is_locked():
            raise KeyringLocked
    prompts.policy().note(dismissed=False)


@contextmanager
def _unlocks(locked: _Lockable) -> Iterator[None]:
    """Mark the prompts in this context as only needed while `locked` is locked."""
    token = _unlocking.set(locked)
    try:
        yield
    finally:
        _unlocking.reset(token)


def _connect() -> DBusConnection:
    connection = secretstorage.dbus_init()
    bus.watch(connection, SERVICE)
    _guard_prompts(connection)
    return connection


def _guard_prompts(connection: DBusConnection) -> None:
    """Apply the policy to each prompt of this connection: to unlock, to create and to delete."""
    guard = _Guard(connection)
    connection.send_and_get_reply, connection.recv_until_filtered = guard.send_if_allowed, guard.wait_for_the_user


class _Guard:
    def __init__(self, connection: DBusConnection) -> None:
        self._send, self._wait = connection.send_and_get_reply, connection.recv_until_filtered
        self._waits = False

    def send_if_allowed(self, message: Message, *, timeout: float | None = None) -> Message:
        fields = message.header.fields
        if (fields.get(HeaderFields.interface), fields.get(HeaderFields.member)) == (PROMPT, "Prompt"):
            prompts.policy().check()
        # A look at a service that hangs must not make the wait for the user longer.
        return self._send(message, timeout=bus.LOOKUP_TIMEOUT if self._waits and timeout is None else timeout)

    def wait_for_the_user(self, queue: deque[Message], *, timeout: float | None = None) -> Message:  # noqa: ARG002
        with prompts.shown():
            self._waits = True
            try:
                message = self._end_of_prompt(queue)
            except TimeoutError:
                prompts.policy().note(dismissed=True)
                raise KeyringLocked from None
            finally:
                self._waits = False
        prompts.policy().note(dismissed=bool(message.body[0]))
        return message

    def _end_of_prompt(self, queue: deque[Message]) -> Message:
        """Wait for the user's answer, or until the prompt is not needed any more.

        See docs/decisions.md, "A prompt that is not needed any more is not waited for".
        """
        end = SYSTEM.elapsed() + prompts.PROMPT_TIMEOUT
        while (left := end - SYSTEM.elapsed()) > prompts.LOOK_INTERVAL:
            with suppress(TimeoutError):
                return self._wait(queue, timeout=prompts.LOOK_INTERVAL)
            if self._is_unlocked() and not queue:
                raise _UnlockedElsewhere
        return self._wait(queue, timeout=max(0.0, left))

    def _is_unlocked(self) -> bool:
        locked = _unlocking.get()
        with suppress(TimeoutError, DBusErrorResponse, SecretStorageException):
            return locked is not None and not locked.is_locked()
        return False
