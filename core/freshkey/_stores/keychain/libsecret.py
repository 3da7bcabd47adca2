"""Tells whether libsecret would make the Secret Service prompt; it does so by itself, and only says so afterwards."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from jeepney import DBusAddress, DBusErrorResponse  # type: ignore[import-untyped]
from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

from freshkey._stores.keychain import bus


DEFAULT: Final = DBusAddress(
    "/org/freedesktop/secrets/aliases/default",
    bus_name="org.freedesktop.secrets",
    interface="org.freedesktop.DBus.Properties",
)


def would_prompt() -> bool:
    """Return whether the default collection is locked, or must be created."""
    with closing(open_dbus_connection()) as connection:
        try:
            arguments = "org.freedesktop.Secret.Collection", "Locked"
            (variant,) = bus.call(connection, DEFAULT, "Get", "ss", *arguments, timeout=bus.LOOKUP_TIMEOUT)
        except DBusErrorResponse:
            return True
        return variant != ("b", False)
