"""Who is at the other end of a loopback connection where the kernel does not say: nobody (FLO-14)."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from freshkey._http import peer
from freshkey._http.peer import Peer, find_peer
from promises import proves
from waiting import until


@proves("FLO-14")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_peer_is_nobody_until_it_is_gone(
    monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily, host: str
) -> None:
    if sys.platform == "linux":
        monkeypatch.setattr(peer, "_owner", lambda _: None)
    with socket.create_server((host, 0), family=family) as listener:
        with socket.create_connection(listener.getsockname()[:2]) as client:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            assert find_peer(accepted) == Peer("unknown")
            client.sendall(b"x")
            until(lambda: select.select([accepted], [], [], 0)[0])
            assert find_peer(accepted) == Peer("unknown")
            assert accepted.recv(8) == b"x", "it was only looked at"
        with accepted:
            until(lambda: find_peer(accepted) == Peer("gone"))
