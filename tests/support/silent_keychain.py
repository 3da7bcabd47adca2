"""A Secret Service in a separate process whose collection is locked and whose prompt is never answered.

It takes the name on the session bus, prints a line, and implements just enough of the API for a client to get stuck
as if the user ignored the password prompt.
"""

from __future__ import annotations

import os
from typing import Any

from jeepney import HeaderFields, MessageType, new_error, new_method_return  # type: ignore[import-untyped]
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]


SERVICE = "org.freedesktop.secrets"
COLLECTION = "/org/freedesktop/secrets/collection/login"
PROMPT = "/org/freedesktop/secrets/prompt/unanswered"
UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod"


def answer(member: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]] | None:
    """Return signature and body of the response to a call, or None for an error."""
    match member:
        case "OpenSession":
            return "vo", (("s", ""), "/org/freedesktop/secrets/session/1")
        case "ReadAlias":
            return "o", (COLLECTION,)
        case "Get":
            return "v", (("b", True) if body[1] == "Locked" else ("s", "login"),)
        case "Unlock":
            return "aoo", ([], PROMPT)
        case "Prompt":
            return "", ()
    return None


def main() -> None:
    """Serve until killed."""
    connection = open_dbus_connection(os.environ["DBUS_SESSION_BUS_ADDRESS"])
    connection.send_and_get_reply(message_bus.RequestName(SERVICE))
    os.write(1, b"serves\n")
    while True:
        call = connection.receive()
        if call.header.message_type is not MessageType.method_call:
            continue
        found = answer(call.header.fields[HeaderFields.member], call.body)
        connection.send(new_error(call, UNKNOWN) if found is None else new_method_return(call, *found))


if __name__ == "__main__":
    main()
