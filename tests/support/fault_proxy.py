"""A proxy on loopback between a client and a server, which injects faults into their exchanges.

It understands just enough HTTP to know where a request ends: one request per connection, with a Content-Length. A fault
is a function of one `Exchange`; the functions of this module are the usual faults.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sockets import reset_on_close, stop_listening
from waiting import PATIENCE


"""Seconds to wait for anything."""

Fault = Callable[["Exchange"], None]


class Exchange:
    """One request, and what a fault can do with it.

    Attributes:
        request: All its bytes; contains secrets.
    """

    def __init__(self, client: socket.socket, request: bytes, upstream: tuple[str, int]) -> None:
        self.request = request
        self._client = client
        self._upstream = upstream

    def forward(self) -> bytes:
        """Forward the request to the server, and return its response."""
        with socket.create_connection(self._upstream, PATIENCE) as server:
            server.sendall(self.request)
            return b"".join(iter(lambda: server.recv(65536), b""))

    def send(self, answer: bytes) -> None:
        """Send bytes to the client."""
        self._client.sendall(answer)

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        reset_on_close(self._client)

    def until_hung_up(self) -> None:
        """Wait until the client ends the connection."""
        with contextlib.suppress(OSError):
            self._client.recv(1)


# --- faults ---------------------------------------------------------------------------------------------------------


def passing(exchange: Exchange) -> None:
    """No fault."""
    exchange.send(exchange.forward())


def reset_before(exchange: Exchange) -> None:
    """The connection is reset before the server sees anything."""
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """The server acts, and the connection is reset before the response is forwarded."""
    exchange.forward()
    exchange.reset()


def closed_after(exchange: Exchange) -> None:
    """The server acts, and the connection is closed normally without a response."""
    exchange.forward()


def truncated_head(exchange: Exchange) -> None:
    """The response ends within its headers."""
    exchange.send(exchange.forward().partition(b"\r\n\r\n")[0][:40])


def truncated_body(exchange: Exchange) -> None:
    """The response ends in the middle of its body."""
    head, end, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + end + body[: len(body) // 2])


def wrong_length(exchange: Exchange) -> None:
    """The response is shorter than its Content-Length."""
    answer, changed = re.subn(rb"(?i)(content-length: )(\d+)", rb"\g<1>9\g<2>", exchange.forward(), count=1)
    assert changed
    exchange.send(answer)


def black_hole(exchange: Exchange) -> None:
    """Nothing arrives and nothing comes back."""
    exchange.until_hung_up()


def silence_after(exchange: Exchange) -> None:
    """The server acts, but nothing comes back."""
    exchange.forward()
    exchange.until_hung_up()


def dripping(interval: float) -> Fault:
    """Return the fault of a response that arrives in single bytes, one per `interval` seconds."""

    def drip(exchange: Exchange) -> None:
        answer = exchange.forward()
        for index in range(len(answer)):
            exchange.send(answer[index : index + 1])
            time.sleep(interval)

    return drip


def saying(answer: bytes) -> Fault:
    """Return the fault of another party that responds instead of the server."""
    return lambda exchange: exchange.send(answer)


# --- the proxy ------------------------------------------------------------------------------------------------------


class FaultProxy:
    """A proxy in front of one server; a context manager.

    Args:
        port: The server's port on 127.0.0.1.
        tls: TLS settings for clients; there is no TLS to the server.

    Attributes:
        port: The proxy's port, which stays free while it refuses connections.
        connections: Number of accepted connections.
        requests: The complete requests that arrived; they contain secrets.
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
        # Bound but never listening, to reserve the port while connections are refused.
        self._keeper = _bound(0)
        self.port: int = self._keeper.getsockname()[1]
        self._listener: socket.socket | None = None

    def url(self, path: str = "/token") -> str:
        """Return the URL of one of the server's endpoints through this proxy."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{path}"

    def next(self, fault: Fault, times: int = 1) -> None:
        """Apply this fault to the next requests; calls queue up."""
        with self._mutex:
            self._next.extend([fault] * times)

    def always(self, fault: Fault) -> None:
        """Apply this fault to every request that has no other fault."""
        self._always = fault

    def listen(self) -> None:
        """Accept connections."""
        listener = self._listener = _bound(self.port)
        listener.listen(64)
        self._start(lambda: self._accept(listener))

    def refuse(self) -> None:
        """Refuse connections until `listen`."""
        if self._listener is not None:
            stop_listening(self._listener)
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
            # Clients are expected to close the connection during a fault.
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
    if sys.platform != "win32":  # where the first option is enough
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _read(client: socket.socket) -> bytes | None:
    """Read one request; None if it is incomplete."""
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
