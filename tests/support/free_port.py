"""A loopback port that was free a moment ago, for settings that name one."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port that is free on 127.0.0.1, and so most likely on ::1."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
