"""A server on loopback that nobody should call: it counts who does, and answers nothing."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Catcher:
    """Accepts connections on a port of its own and keeps what arrives; a context manager."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.caught: list[bytes] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake who accepts.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

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
