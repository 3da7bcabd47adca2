"""Replaces the head of a response with a valid one that says the same, before the HTTP library reads it.

The library refuses a response as a whole for a header that nobody needs, although what follows was paid for with a
token that works once. See docs/decisions.md, "The head of a response is read liberally".

That a head can be read in two ways is harmless here: there is one response on each connection, which is then closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

from freshkey._http.incoming import body_decides


MAX_HEAD: Final = 1 << 19
"""Bytes of a head that are read; what is longer is left to the library, which refuses it."""

_MAX_SIZE: Final = 1 << 13
_MAX_KEPT: Final = 1 << 16
"""Bytes of a header and of all headers; the rest is dropped, beginning with cookies. The library takes 100 KiB."""

_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"(?:HTTP/[0-9](?:\.[0-9])?|ICY)[ \t]+([0-9]{3})(?![0-9])", re.IGNORECASE)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*(?:[;\r\n]|$)")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"})

Read = Callable[[int, float | None], bytes]
"""Reads at most that many bytes within that many seconds; returns nothing at the end."""


@define
class HeadReader:
    """Reads from a connection like `Read`, but returns a valid head.

    Args:
        read: Reads from the connection.
        begun: Whether the response that is meant is the next one; what a proxy says before it is not.
    """

    _read: Read = field(repr=False)
    _begun: Callable[[], bool] = field(repr=False)
    _received: bytearray = field(init=False, repr=False, factory=bytearray)
    _searched: int = field(init=False, default=0)
    _over: bool = field(init=False, default=False)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read the head as a whole, with what has arrived of the body; afterwards, whatever comes."""
        if self._over or not self._begun():
            return self._read(max_bytes, timeout)
        ready = None
        while ready is None:
            try:
                piece = self._read(max_bytes, timeout)
            except Exception:
                if not _END.search(self._received):
                    raise
                piece = b""  # the head is there, and the next call raises the error again
            ready = self._next(piece)
        self._over = True
        self._received.clear()
        return ready

    def _next(self, piece: bytes) -> bytes | None:
        """Return what to hand on; None if the head is not complete yet, although more may follow (`piece`)."""
        self._received += piece
        while True:
            while self._received.startswith((b"\r", b"\n")):
                del self._received[:1]
            end = _END.search(self._received, self._searched)
            if end is None:
                self._searched = max(0, len(self._received) - 3)
                return None if piece and len(self._received) <= MAX_HEAD else bytes(self._received)
            head, body = read_head(bytes(self._received[: end.start()])), bytes(self._received[end.end() :])
            if head is None:
                return bytes(self._received)
            if head.status >= 200:  # noqa: PLR2004  RFC 9110, section 15.2
                return None if piece and not body and head.needs_body() else head.written(body) + body
            del self._received[: end.end()]
            self._searched = 0


@frozen
class Head:
    """The head of a response: its status, and the headers that can be read."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(repr=False)

    def needs_body(self) -> bool:
        """Return whether the head says how the body is framed only together with its first bytes.

        Where the status says everything, there is nothing to wait for.
        """
        return body_decides(self.status) and b"chunked" in self._values(b"transfer-encoding")

    def written(self, body: bytes) -> bytes:
        """Return the head in a form that every library can read.

        Args:
            body: The first bytes of the body, if any have arrived.
        """
        kept = [b"HTTP/1.1 %d " % self.status, b"Connection: close", *self._framing(body)]
        room = _MAX_KEPT
        for name, value in sorted(self.headers, key=lambda header: header[0].lower() == b"set-cookie"):
            size = len(name) + len(value)
            if name.lower() not in _FRAMING and size <= min(room, _MAX_SIZE):
                room -= size
                kept.append(b"%b: %b" % (name, value))
        return b"\r\n".join((*kept, b"", b""))

    def _framing(self, body: bytes) -> list[bytes]:
        """Return the header that says where the body ends; none if that is the end of the connection."""
        if b"chunked" in self._values(b"transfer-encoding") and (not body or _CHUNK.match(body)):
            return [b"Transfer-Encoding: chunked"]
        lengths = self._values(b"content-length")
        length = lengths.pop() if len(lengths) == 1 else b""
        # If more has arrived than was announced, characters were counted instead of bytes.
        if not _LENGTH.fullmatch(length) or body[int(length) :].strip():
            return []
        return [b"Content-Length: %b" % length]

    def _values(self, wanted: bytes) -> set[bytes]:
        values = [value for name, value in self.headers if name.lower() == wanted]
        return {part.strip().lower() for value in values for part in value.split(b",")}


def read_head(text: bytes) -> Head | None:
    """Return the head of a response without the headers that cannot be read; None if it is not HTTP.

    Args:
        text: Everything before the first empty line.
    """
    status = _STATUS.match(text)
    if status is None:
        return None
    lines = [line.partition(b":") for line in _FOLD.sub(b" ", text).split(b"\n")[1:]]
    headers = [
        (name.strip(), _CONTROL.sub(b"", value).strip())
        for name, colon, value in lines
        if colon and _NAME.fullmatch(name.strip())
    ]
    return Head(int(status[1]), headers)
