"""A KWallet daemon in a separate process: a double that speaks ``org.kde.KWallet`` as far as keyring and freshkey do.

KDE's own daemon behaves like this in what the tests rely on (checked with kwalletd 5.103). The argument is a directory:
while it contains ``closed``, the wallet is closed, and `open` waits for the file ``password`` or ``cancel``. The items
are files too. The process prints a line for each prompt.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from attrs import define, field
from jeepney import (  # type: ignore[import-untyped]
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
)
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]


NAME = "org.kde.kwalletd5"
UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod"


@define
class Wallet:
    """Its items, and whether it is open."""

    folder: Path
    handles: set[int] = field(factory=set)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return (self.folder / "closed").exists()

    def answer(self, member: str, signature: str, body: tuple[Any, ...]) -> tuple[str, object] | None:
        """Return signature and value of the response to a call, or None for an unknown one."""
        if self.closed:
            self.handles.clear()
        found: tuple[str, object] | None = None
        match member, signature:
            case "isEnabled", _:
                found = "b", not (self.folder / "disabled").exists()
            case "networkWallet", _:
                found = "s", "kdewallet"
            case "isOpen", "s":
                found = "b", not self.closed
            case "isOpen", "i":
                found = "b", body[0] in self.handles
            case "keyDoesNotExist", _:
                found = "b", not self._path(*body[1:3]).exists()
            case _ if body and body[0] in self.handles:
                found = self._item(member, *body[1:])
        return found

    def _item(self, member: str, *body: str) -> tuple[str, object] | None:
        found: tuple[str, object] | None = None
        match member:
            case "hasEntry":
                found = "b", self._path(*body[:2]).exists()
            case "readPassword":
                found = "s", self._path(*body[:2]).read_text("utf-8")
            case "writePassword":
                self._path(*body[:2]).write_text(body[2], "utf-8")
                found = "i", 0
            case "removeEntry":
                self._path(*body[:2]).unlink()
                found = "i", 0
            case "entryList":
                found = "as", [path.name for path in self.folder.glob(f"{_hash(body[0])}-*")]
            case "removeFolder":
                found = "b", True
            case "sync":
                found = "", None
        return found

    def _path(self, folder: str, entry: str) -> Path:
        return self.folder / f"{_hash(folder)}-{_hash(entry)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def main(folder: Path) -> None:
    """Serve until killed."""
    connection: DBusConnection = open_dbus_connection(os.environ["DBUS_SESSION_BUS_ADDRESS"])
    connection.send_and_get_reply(message_bus.RequestName(NAME))
    os.write(1, b"serves\n")
    wallet = Wallet(folder)
    waiting: list[Message] = []
    while True:
        if waiting and (folder / "password").exists():
            (folder / "closed").unlink()
        if waiting and (not wallet.closed or (folder / "cancel").exists()):
            handle = -1 if wallet.closed else len(wallet.handles) + 1
            wallet.handles.add(handle)
            connection.send(new_method_return(waiting.pop(), "i", (handle,)))
        try:
            call = connection.receive(timeout=0.02)
        except TimeoutError:
            continue
        if call.header.message_type is not MessageType.method_call:
            continue
        fields = call.header.fields
        if fields[HeaderFields.member] == "open":
            waiting.append(call)
            if wallet.closed:
                os.write(1, b"asks\n")
            continue
        found = wallet.answer(fields[HeaderFields.member], fields.get(HeaderFields.signature, ""), call.body)
        connection.send(
            new_error(call, UNKNOWN)
            if found is None
            else new_method_return(call, found[0] or None, (found[1],) if found[0] else ())
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
