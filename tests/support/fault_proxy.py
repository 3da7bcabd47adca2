"""A proxy on loopback that stands between a client and a server, and does to their exchanges what a test says.

It speaks just enough HTTP to know where a request ends: one request per connection, with a Content-Length. What goes
wrong is a function of one `Exchange`; the functions of this module are the usual ones.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from waiting import PATIENCE


"""Seconds for which anything is waited for."""

Fault = Callable[["Exchange"], None]


class Exchange:
    """One request that arrived, and what a fault can do with it.

    Attributes:
        request: All bytes of it; secret.
    """

    def __init__(self, client: socket.socket, request: bytes, upstream: tuple[str, int]) -> None:
        self.request = request
        self._client = client
        self._upstream = upstream

    def forward(self) -> bytes:
        """Let the server act, and return its answer."""
        with socket.create_connection(self._upstream, PATIENCE) as server:
            server.sendall(self.request)
            return b"".join(iter(lambda: server.recv(65536), b""))

    def send(self, answer: bytes) -> None:
        """Send bytes to the client."""
        self._client.sendall(answer)

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def until_hung_up(self) -> None:
        """Wait until the client ends the connection."""
        with contextlib.suppress(OSError):
            self._client.recv(1)


# --- what can happen ------------------------------------------------------------------------------------------------


def passing(exchange: Exchange) -> None:
    """Nothing goes wrong."""
    exchange.send(exchange.forward())


def reset_before(exchange: Exchange) -> None:
    """The connection is reset before the server sees anything."""
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """The server acts, and the connection is reset before its answer comes through."""
    exchange.forward()
    exchange.reset()


def closed_after(exchange: Exchange) -> None:
    """The server acts, and the connection ends in an orderly way without the answer."""
    exchange.forward()


def truncated_head(exchange: Exchange) -> None:
    """The answer breaks off among its headers."""
    exchange.send(exchange.forward().partition(b"\r\n\r\n")[0][:40])


def truncated_body(exchange: Exchange) -> None:
    """The answer breaks off in the middle of its body."""
    head, end, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + end + body[: len(body) // 2])


def wrong_length(exchange: Exchange) -> None:
    """The answer is shorter than it says."""
    answer, changed = re.subn(rb"(?i)(content-length: )(\d+)", rb"\g<1>9\g<2>", exchange.forward(), count=1)
    assert changed
    exchange.send(answer)


def black_hole(exchange: Exchange) -> None:
    """Nothing arrives and nothing comes back."""
    exchange.until_hung_up()


def silence_after(exchange: Exchange) -> None:
    """The server acts, and nothing comes back."""
    exchange.forward()
    exchange.until_hung_up()


def dripping(interval: float) -> Fault:
    """Return the fault of an answer that comes in single bytes, one per `interval` seconds."""

    def drip(exchange: Exchange) -> None:
        answer = exchange.forward()
        for index in range(len(answer)):
            exchange.send(answer[index : index + 1])
            time.sleep(interval)

    return drip


def saying(answer: bytes) -> Fault:
    """Return the fault of somebody else who answers in the server's place."""
    return lambda exchange: exchange.send(answer)


# --- the proxy ------------------------------------------------------------------------------------------------------


class FaultProxy:
    """A proxy in front of one server; a context manager.

    Args:
        port: Where the server listens on 127.0.0.1.
        tls: The proxy speaks TLS with its clients by this, and none with the server.

    Attributes:
        port: Where it listens, free as long as it refuses connections.
        connections: How many were accepted.
        requests: What arrived, complete requests only; they hold secrets.
    """

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = ("127.0.0.1", port)
        self._tls = tls
        self._next: deque[Fault] = deque()
        self._always: Fault = passing
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._mutex = threading.Lock()
        self.connections = 0
        self.requests: list[bytes] = []
        # Bound and never listening: keeps the port while nobody listens there.
        self._keeper = _bound(0)
        self.port: int = self._keeper.getsockname()[1]
        self._listener: socket.socket | None = None

    def url(self, path: str = "/token") -> str:
        """Return the address of one of the server's endpoints by way of this proxy."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{path}"

    def next(self, fault: Fault, times: int = 1) -> None:
        """Do this to the next requests; calls queue up."""
        with self._mutex:
            self._next.extend([fault] * times)

    def always(self, fault: Fault) -> None:
        """Do this to every request for which nothing else is planned."""
        self._always = fault

    def listen(self) -> None:
        """Accept connections."""
        listener = self._listener = _bound(self.port)
        listener.listen(64)
        self._start(lambda: self._accept(listener))

    def refuse(self) -> None:
        """Refuse connections until `listen`."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        with self._mutex:
            for client in self._open:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self._keeper.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="fault proxy")
        with self._mutex:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._mutex:
                self.connections += 1
                self._open.add(client)
            self._start(lambda client=client: self._serve(client))  # type: ignore[misc]  # bound by its default

    def _serve(self, client: socket.socket) -> None:
        try:
            # A client that hangs up in the middle of a fault is what tests are about.
            with client, contextlib.suppress(OSError):
                client.settimeout(PATIENCE)
                with self._tls.wrap_socket(client, server_side=True) if self._tls else client as spoken:
                    self._exchange(spoken)
        finally:
            with self._mutex:
                self._open.discard(client)

    def _exchange(self, client: socket.socket) -> None:
        request = _read(client)
        if request is None:
            return
        with self._mutex:
            self.requests.append(request)
            fault = self._next.popleft() if self._next else self._always
        fault(Exchange(client, request, self._upstream))


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _read(client: socket.socket) -> bytes | None:
    """Read one request; None if it does not come whole."""
    received = b""
    while not (match := re.search(rb"\r\n\r\n", received)):
        piece = client.recv(65536)
        if not piece:
            return None
        received += piece
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", received[: match.start()])
    whole = match.end() + (int(length[1]) if length else 0)
    while len(received) < whole:
        piece = client.recv(65536)
        if not piece:
            return None
        received += piece
    return received
