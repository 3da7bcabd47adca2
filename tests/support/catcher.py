"""A server on loopback that must not be called: it records connections, and never responds."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

from sockets import stop_listening


class Catcher:
    """Accepts connections on its own port and keeps what arrives; a context manager."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.caught: list[bytes] = []

    @property
    def url(self) -> str:
        """The URL it listens on."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_listening(self._socket)
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1.0)
                self.caught.append(b"")
                try:
                    self.caught[-1] = connection.recv(65536)
                except OSError:
                    continue
