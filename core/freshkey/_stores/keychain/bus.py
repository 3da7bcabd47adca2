"""Calls on the session bus that end when the keychain's service does.

A bus answers a call for a service that dies, but a signal that a client waits for, such as the end of a prompt, never
comes. Nor does it if the service is replaced and keeps running.
See docs/decisions.md, "A prompt ends with the service that opened it".
"""

from __future__ import annotations

from typing import Final

from jeepney import (  # type: ignore[import-untyped]
    DBusAddress,
    DBusErrorResponse,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    new_method_call,
)
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, Proxy  # type: ignore[import-untyped]


BUS: Final = "org.freedesktop.DBus"
LOOKUP_TIMEOUT: Final = 1.0
"""Seconds for a look at a keychain that may not be the right one: it must not spend the time of the call."""

GONE: Final = {f"{BUS}.Error.{name}" for name in ("NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected")}
"""Errors of the bus about a service that has ended."""

CANNOT_START: Final = f"{BUS}.Error.Spawn."
"""Prefix of the bus's errors about a service that it could not start."""


class ServiceEnded(Exception):
    """The service that was called has left the bus, or was replaced."""


def watch(connection: DBusConnection, service: str) -> None:
    """Make every wait for a message on `connection` raise `ServiceEnded` once `service` ends or is replaced."""
    rule = MatchRule(type="signal", sender=BUS, interface=BUS, member="NameOwnerChanged", path="/org/freedesktop/DBus")
    rule.add_arg_condition(0, service)
    # The response is not waited for; it is skipped like every other message that no one expects.
    connection.send(message_bus.AddMatch(rule))
    receive = connection.receive

    def receive_unless_ended(*, timeout: float | None = None) -> Message:
        message = receive(timeout=timeout)
        if _ended(message, service):
            raise ServiceEnded
        return message

    connection.receive = receive_unless_ended


def _ended(message: Message, service: str) -> bool:
    fields = message.header.fields
    if fields.get(HeaderFields.member) != "NameOwnerChanged" or fields.get(HeaderFields.sender) != BUS:
        return False
    name, before, _ = message.body
    return bool(name == service and before)


def call(
    connection: DBusConnection,
    address: DBusAddress,
    method: str,
    signature: str = "",
    *arguments: object,
    timeout: float | None = None,
) -> tuple[object, ...]:
    """Call a method, and return its results.

    Raises:
        ServiceEnded: The service is not there, or not any more.
        TimeoutError: There was no response in time.
    """
    message = new_method_call(address, method, signature or None, arguments)
    reply = connection.send_and_get_reply(message, timeout=timeout)
    if reply.header.message_type is MessageType.error:
        error = DBusErrorResponse(reply)
        if error.name in GONE:
            raise ServiceEnded from error
        raise error
    results: tuple[object, ...] = reply.body
    return results


def is_running(connection: DBusConnection, service: str) -> bool:
    """Return whether a service has its name on the bus."""
    (running,) = Proxy(message_bus, connection).NameHasOwner(service)
    return bool(running)


def can_be_started(connection: DBusConnection, service: str) -> bool:
    """Return whether the bus starts a service when it is called."""
    (names,) = Proxy(message_bus, connection).ListActivatableNames()
    return service in names
