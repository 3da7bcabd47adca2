"""How test servers end connections and stop listening, on every system."""

from __future__ import annotations

import socket
import struct
import sys


_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def stop_listening(listener: socket.socket) -> None:
    """Close a socket that listens, and wake the thread that is in its ``accept``."""
    if sys.platform == "win32":
        listener.close()  # wakes it there, where only connected sockets can be shut down
        return
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def reset_on_close(connection: socket.socket) -> None:
    """Have a connection end with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
