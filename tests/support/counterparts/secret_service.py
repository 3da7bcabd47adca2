"""Calls to the Secret Service that the keyring library does not have: lock, unlock, and the daemon's process id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import secretstorage
from jeepney import DBusAddress, MessageType, new_method_call  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]
from secretstorage.util import format_secret, open_session


CALL_SECONDS: Final = 20.0
SERVICE: Final = "org.freedesktop.secrets"
BUS: Final = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
# The Secret Service API has no call to unlock with a password. This one is specific to gnome-keyring.
UNLOCK: Final = DBusAddress(
    "/org/freedesktop/secrets",
    bus_name=SERVICE,
    interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
)


class SecretService:
    """The Secret Service on one bus; every call opens a new connection."""

    def __init__(self, address: str) -> None:
        self._address = address

    def is_there(self) -> bool:
        """Return whether a daemon is running. Any other call makes the bus start one."""
        with self._connection() as connection:
            return bool(_call(connection, BUS, "NameHasOwner", "s", SERVICE))

    def is_unlocked(self) -> bool:
        """Return whether the default collection can be read and written."""
        with self._connection() as connection:
            return not secretstorage.get_default_collection(connection).is_locked()

    def pid(self) -> int:
        """Return the process id of the running daemon."""
        with self._connection() as connection:
            return int(_call(connection, BUS, "GetConnectionUnixProcessID", "s", SERVICE))

    def lock(self) -> None:
        """Lock the default collection."""
        with self._connection() as connection:
            secretstorage.get_default_collection(connection).lock()

    def unlock(self, password: bytes) -> None:
        """Unlock the default collection without a prompt."""
        with self._connection() as connection:
            secret = format_secret(open_session(connection), password, "text/plain")
            path = secretstorage.get_default_collection(connection).collection_path
            _call(connection, UNLOCK, "UnlockWithMasterPassword", "o(oayays)", path, secret)

    @contextmanager
    def _connection(self) -> Iterator[DBusConnection]:
        connection = open_dbus_connection(self._address)
        try:
            yield connection
        finally:
            connection.close()


def _call(connection: DBusConnection, address: DBusAddress, method: str, signature: str, *arguments: object) -> Any:
    reply = connection.send_and_get_reply(new_method_call(address, method, signature, arguments), timeout=CALL_SECONDS)
    if reply.header.message_type is not MessageType.method_return:
        raise RuntimeError(f"{method} failed: {reply.body}")
    return reply.body[0] if reply.body else None
