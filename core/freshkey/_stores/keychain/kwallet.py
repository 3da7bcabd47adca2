"""KDE's KWallet, with the items where keyring's own backend keeps them, but without the package dbus-python.

keyring's backend binds to one daemon for the life of the process, may end the process with the bus, opens the wallet
without asking whether that shows a prompt, and leaves it to KWallet when to write to disk.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

from jeepney import DBusAddress, DBusErrorResponse  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError

from freshkey._stores.keychain import bus, prompts
from freshkey._stores.keychain.session import is_kde


VERSIONS: Final = ("kwalletd6", "kwalletd5")
"""Names of the daemon, best first; the one of Plasma 6 also answers to the older name."""

_SIGNATURES: Final = {
    "isEnabled": "",
    "networkWallet": "",
    "keyDoesNotExist": "sss",
    "open": "sxs",
    "hasEntry": "isss",
    "readPassword": "isss",
    "writePassword": "issss",
    "removeEntry": "isss",
    "entryList": "iss",
    "removeFolder": "iss",
    "sync": "is",
}


def holds(service: str, username: str) -> bool:
    """Return whether there is such an item, without opening the wallet."""
    wallet = KWallet(start=is_kde(os.environ), timeout=bus.LOOKUP_TIMEOUT)
    try:
        return wallet.has(service, username)
    finally:
        wallet.close()


class KWallet:
    """The user's wallet, as a backend like keyring's.

    Args:
        start: Start the daemon if it is not running.
        timeout: Seconds for each call; None for any time.

    Raises:
        RuntimeError: KWallet is not available, or disabled.
    """

    reports_prompts = True

    def __init__(self, *, start: bool = True, timeout: float | None = None) -> None:
        self._start = start
        self._timeout = timeout
        self._handle = -1
        self._appid = sys.argv[0] or "freshkey"
        self._connection: DBusConnection = None
        self._connect()

    def get_password(self, service: str, username: str) -> str | None:
        """Return an item, or None if there is none."""
        self._open()
        if not self._in_wallet("hasEntry", service, username):
            return None
        return str(self._in_wallet("readPassword", service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write an item, to disk too."""
        self._open()
        if self._in_wallet("writePassword", service, username, password) != 0:
            raise PasswordSetError
        self._save()

    def delete_password(self, service: str, username: str) -> None:
        """Delete an item, and its folder if that is empty now: each item has its own."""
        self._open()
        if not self._in_wallet("hasEntry", service, username):
            raise PasswordDeleteError
        if self._in_wallet("removeEntry", service, username) != 0:
            raise PasswordDeleteError
        with suppress(DBusErrorResponse):
            if not self._in_wallet("entryList", service):
                self._in_wallet("removeFolder", service)
        self._save()

    def has(self, service: str, username: str) -> bool:
        """Return whether there is an item, without unlocking the wallet."""
        name = self.call("networkWallet")
        if not self.is_open("s", name):
            return not self.call("keyDoesNotExist", name, service, username)
        # Of an open wallet that method does not know the latest items.
        self._handle = self._unlocked(name)
        return bool(self._in_wallet("hasEntry", service, username))

    def close(self) -> None:
        """Close the connection, and the wallet with it unless another program uses it."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._handle = None, -1

    def __del__(self) -> None:
        """Close the connection; in a forked child, the one of the parent stays open."""
        self.close()

    def call(self, method: str, *arguments: object, timeout: float | None = None) -> object:
        """Call a method of the daemon, and return its result."""
        results = bus.call(
            self._connection,
            self._address,
            method,
            _SIGNATURES[method],
            *arguments,
            timeout=timeout or self._timeout,
        )
        return results[0] if results else None

    def is_open(self, kind: str, which: object) -> bool:
        """Return whether a wallet is open: by its name ("s"), or the one of a handle ("i")."""
        try:
            return any(bus.call(self._connection, self._address, "isOpen", kind, which))
        except (DBusErrorResponse, bus.ServiceEnded, OSError):
            return False

    def _in_wallet(self, method: str, *arguments: object) -> object:
        return self.call(method, self._handle, *arguments, self._appid)

    def _save(self) -> None:
        # KWallet writes to disk some seconds later by itself, and a renewed sign-in would be lost with the daemon.
        with suppress(DBusErrorResponse):
            self._in_wallet("sync")

    def _connect(self) -> None:
        self.close()
        try:
            self._connection = open_dbus_connection()
        except KeyError:
            raise RuntimeError("there is no D-Bus session bus") from None
        try:
            name = self._daemon()
            self._address = DBusAddress(f"/modules/{name}", bus_name=f"org.kde.{name}", interface="org.kde.KWallet")
            bus.watch(self._connection, f"org.kde.{name}")
            self._check_enabled()
        except BaseException:
            self.close()
            raise

    def _check_enabled(self) -> None:
        try:
            enabled = self.call("isEnabled")
        except DBusErrorResponse as error:
            if error.name.startswith(bus.CANNOT_START):
                raise RuntimeError("the KWallet daemon cannot be started") from None
            return  # too old to be asked
        if not enabled:
            raise RuntimeError("KWallet is disabled")

    def _daemon(self) -> str:
        for reachable in (bus.is_running, bus.can_be_started) if self._start else (bus.is_running,):
            for name in VERSIONS:
                if reachable(self._connection, f"org.kde.{name}"):
                    return name
        raise RuntimeError("the KWallet daemon is not running and cannot be started")

    def _open(self) -> None:
        """Open the wallet, unless it is open; the daemon may have been restarted, or the wallet closed by the user."""
        if self._handle >= 0 and self.is_open("i", self._handle):
            return
        self._connect()
        wallet = self.call("networkWallet")
        if not self.is_open("s", wallet):
            prompts.policy().check()
        self._handle = self._unlocked(wallet)

    def _unlocked(self, wallet: object) -> int:
        try:
            with prompts.shown():
                handle = self.call("open", wallet, 0, self._appid, timeout=self._timeout or prompts.PROMPT_TIMEOUT)
        except TimeoutError:
            handle = None
        if isinstance(handle, int) and handle >= 0:
            prompts.policy().note(dismissed=False)
            return handle
        prompts.policy().note(dismissed=True)
        self.close()
        raise KeyringLocked
