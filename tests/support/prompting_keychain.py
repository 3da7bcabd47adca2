"""A Secret Service in a separate process that is locked and shows a prompt; a test answers it by creating a file.

It stores items in memory and implements the part of the API that keyring uses, without encryption. Its argument is the
path of that file. A file beside it whose name ends in ``-elsewhere`` unlocks the keychain without answering the prompt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from attrs import define, field
from jeepney import (  # type: ignore[import-untyped]
    DBusAddress,
    HeaderFields,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]

from silent_keychain import COLLECTION, PROMPT, SERVICE, UNKNOWN


NOT_SUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
ATTRIBUTES = "org.freedesktop.Secret.Item.Attributes"
REPLACEABLE = 3
"""DBUS_NAME_FLAG_ALLOW_REPLACEMENT and DBUS_NAME_FLAG_REPLACE_EXISTING."""
SESSION = "/org/freedesktop/secrets/session/1"

Answer = tuple[str, tuple[Any, ...]]


@define
class Keychain:
    """Its items, and whether it is locked."""

    locked: bool = True
    asks: bool = False
    items: dict[str, tuple[dict[str, str], bytes]] = field(factory=dict)

    def answer(self, path: str, member: str, body: tuple[Any, ...]) -> Answer | str:
        """Return signature and body of the response to a call, or the name of an error."""
        found: Answer | str = UNKNOWN
        match member:
            case "OpenSession":
                found = ("vo", (("s", ""), SESSION)) if body[0] == "plain" else NOT_SUPPORTED
            case "ReadAlias":
                found = "o", (COLLECTION,)
            case "Get":
                found = "v", (("b", self.locked) if body[1] == "Locked" else ("s", "login"),)
            case "Unlock":
                found = "aoo", ([], PROMPT) if self.locked else (list(body[0]), "/")
            case "Prompt":
                self.asks = True
                found = "", ()
            case "SearchItems":
                found = (
                    "ao",
                    ([path for path, (attributes, _) in self.items.items() if body[0].items() <= attributes.items()],),
                )
            case "CreateItem":
                found = "oo", (self._create(body[0][ATTRIBUTES][1], bytes(body[1][2])), "/")
            case "GetSecret":
                found = "(oayays)", ((SESSION, b"", self.items[path][1], "text/plain"),)
            case "Delete":
                del self.items[path]
                found = "o", ("/",)
        return found

    def _create(self, attributes: dict[str, str], secret: bytes) -> str:
        same = [path for path, (others, _) in self.items.items() if others == attributes]
        path = same[0] if same else f"{COLLECTION}/{len(self.items)}_{os.urandom(4).hex()}"
        self.items[path] = (attributes, secret)
        return path


def main(answered: Path) -> None:
    """Serve until killed."""
    connection: DBusConnection = open_dbus_connection(os.environ["DBUS_SESSION_BUS_ADDRESS"])
    connection.send_and_get_reply(message_bus.RequestName(SERVICE, REPLACEABLE))
    os.write(1, b"serves\n")
    keychain = Keychain()
    elsewhere = answered.with_name(f"{answered.name}-elsewhere")
    while True:
        if elsewhere.exists():
            keychain.locked = False
        if keychain.asks and answered.exists():
            keychain.locked = keychain.asks = False
            prompt = DBusAddress(PROMPT, interface="org.freedesktop.Secret.Prompt")
            connection.send(new_signal(prompt, "Completed", "bv", (False, ("ao", [COLLECTION]))))
        try:
            call = connection.receive(timeout=0.05)
        except TimeoutError:
            continue
        if call.header.message_type is not MessageType.method_call:
            continue
        asked = keychain.asks
        found = keychain.answer(
            call.header.fields[HeaderFields.path], call.header.fields[HeaderFields.member], call.body
        )
        connection.send(new_error(call, found) if isinstance(found, str) else new_method_return(call, *found))
        if keychain.asks and not asked:
            os.write(1, b"asks\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
