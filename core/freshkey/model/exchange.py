"""One HTTP exchange as values: a request and its response."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol, runtime_checkable

from attrs import Attribute, Factory, field, frozen

from freshkey.errors import ConfigurationError
from freshkey.model.redirect import Listen
from freshkey.secret import Unpicklable, quoted


_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")


def _sendable(request: Request, attribute: Attribute[Mapping[str, str]], headers: Mapping[str, str]) -> None:  # noqa: ARG001  attrs
    """Reject header injection and unsendable characters before a library quotes the value in an error."""
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise ConfigurationError(f"the header {quoted(name)} contains invalid characters", code="invalid-header")


@frozen(kw_only=True, getstate_setstate=False)
class Request(Unpicklable):
    """An HTTP request.

    Attributes:
        method: Such as ``POST``.
        url: Absolute; `send` checks it.
        headers: Names and values, printable ASCII only (RFC 9110, section 5.5); may be secret.
        body: May be secret.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default=Factory(dict), repr=False, validator=_sendable)
    body: bytes = field(default=b"", repr=False)


@frozen(kw_only=True, getstate_setstate=False)
class Response(Unpicklable):
    """An HTTP response, whatever its status.

    Attributes:
        status: The status code, from 200 to 599 and never 3xx.
        headers: Lower-case names; the values of a repeated header are joined with ``", "`` (RFC 9110, section 5.3).
        body: May be secret.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


Send = Callable[[Request], Response]
"""How protocol code does its I/O: `Profile.send`."""


class BoundSend(Protocol):
    """Sends requests of one profile: see `Profile.send`."""

    def __call__(self, request: Request, *, deadline: float = ...) -> Response:
        """Send one request, and return the response whatever its status, within `deadline` seconds."""


class Network(Protocol):
    """What a keeper reaches servers and browsers through; `freshkey_testing.ScriptedExchanges` is one for tests."""

    def __call__(self, request: Request, *, deadline: float) -> Response:
        """Answer one request, whose URL and host have been checked; raise as `Profile.send` does."""

    @property
    def listen(self) -> Listen:
        """Makes what waits for the browser at the end of a sign-in; see `Profile.listen`."""


@runtime_checkable
class HostLimited(Protocol):
    """What a `BoundSend` also has if it refuses hosts; one that answers from a script has no reason to."""

    def with_hosts(self, hosts: Collection[str]) -> BoundSend:
        """Return a copy that also sends to these hosts."""

    def allow(self, issuer: str, urls: Iterable[str]) -> None:
        """Also send to the hosts of checked URLs in an issuer's metadata, if the profile is bound to that issuer."""
