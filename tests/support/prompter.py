"""Stands in for the windows of gnome-keyring: counts them, and closes each one at once or never answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from attrs import define, field
from jeepney import MessageType, new_error  # type: ignore[import-untyped]
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]


@define
class Prompter:
    """The windows that were opened; `closes` if the user closes each one."""

    closes: bool
    windows: int = 0
    _done: threading.Event = field(init=False, factory=threading.Event)

    def serve(self, connection: DBusConnection) -> None:
        """Count windows until `stop`."""
        while not self._done.is_set():
            with suppress(TimeoutError):
                message = connection.receive(timeout=0.05)
                if message.header.message_type is MessageType.method_call:
                    self.windows += 1
                    if self.closes:
                        connection.send(new_error(message, "org.gnome.keyring.Prompter.Failed", "s", ("closed",)))

    def stop(self) -> None:
        """End `serve`."""
        self._done.set()


@contextmanager
def prompter(address: str, *, closes: bool) -> Iterator[Prompter]:
    """Take the name of gnome-keyring's prompter on a bus."""
    with open_dbus_connection(address) as connection:
        connection.send_and_get_reply(message_bus.RequestName("org.gnome.keyring.SystemPrompter"))
        found = Prompter(closes)
        thread = threading.Thread(target=found.serve, args=(connection,))
        thread.start()
        try:
            yield found
        finally:
            found.stop()
            thread.join()
