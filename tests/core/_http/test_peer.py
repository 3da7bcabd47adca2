"""Who is at the other end of a loopback connection (FLO-14): real sockets of ours and of another user."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from freshkey._http import peer
from freshkey._http.peer import Peer, find_peer
from promises import proves
from second_user import SecondUser


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names the owner of a socket")

CONNECT = """
family, host, port, protocol = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
peer = socket.socket(family, socket.SOCK_STREAM, protocol)
peer.connect((host, port))
peer.sendall(b"x")
print("connected", flush=True)
if sys.stdin.readline() == "shut down\\n":
    peer.shutdown(socket.SHUT_WR)
    print("shut down", flush=True)
    sys.stdin.readline()
"""

FAMILIES = [
    pytest.param(socket.AF_INET, socket.AF_INET, "127.0.0.1", id="IPv4"),
    pytest.param(socket.AF_INET6, socket.AF_INET6, "::1", id="IPv6"),
    pytest.param(socket.AF_INET, socket.AF_INET6, "::ffff:127.0.0.1", id="mapped"),
    pytest.param(socket.AF_INET, socket.AF_INET6, "::ffff:127.1.2.3", id="another-address"),
]


@pytest.fixture(params=["netlink", "proc"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ask in each of both ways."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(peer, "_ask_kernel" if request.param == "proc" else "_read_tables", refuse)
    return str(request.param)


@contextmanager
def listening(family: socket.AddressFamily, host: str = "") -> Iterator[socket.socket]:
    with closing(socket.create_server((host, 0), family=family)) as listener:
        listener.settimeout(10)
        yield listener


@contextmanager
def connected() -> Iterator[socket.socket]:
    """Our end of a connection whose other end is ours, too."""
    with listening(socket.AF_INET) as listener, closing(socket.create_connection(listener.getsockname())):
        connection = accepted(listener)
        yield connection
        connection.close()


def accepted(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.setblocking(False)
    return connection


@proves("FLO-14")
@pytest.mark.parametrize(("family", "her_family", "host"), FAMILIES)
def test_another_users_socket_is_a_strangers(
    second_user: SecondUser, way: str, family: socket.AddressFamily, her_family: socket.AddressFamily, host: str
) -> None:
    with listening(family) as listener:
        port = listener.getsockname()[1]
        with second_user.start(CONNECT, int(her_family), host, port, 0) as her, closing(accepted(listener)) as here:
            assert find_peer(here) == Peer("stranger", second_user.uid)
            her.communicate("\n")
            assert find_peer(here).kind == "gone"


def test_another_user_who_has_only_shut_down_is_still_a_stranger(second_user: SecondUser, way: str) -> None:
    with listening(socket.AF_INET) as listener:
        arguments = (int(socket.AF_INET), "127.0.0.1", listener.getsockname()[1], 0)
        with second_user.start(CONNECT, *arguments) as her, closing(accepted(listener)) as here:
            assert her.stdin
            assert her.stdout
            her.stdin.write("shut down\n")
            her.stdin.flush()
            assert [her.stdout.readline(), her.stdout.readline()] == ["connected\n", "shut down\n"]
            assert find_peer(here) == Peer("stranger", second_user.uid)
            her.communicate("\n")


def test_another_users_multipath_socket_is_a_strangers(second_user: SecondUser) -> None:
    mptcp = 262
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, mptcp).close()
    except OSError:
        pytest.skip("this kernel has no Multipath TCP")
    with listening(socket.AF_INET) as listener:
        arguments = (int(socket.AF_INET), "127.0.0.1", listener.getsockname()[1], mptcp)
        with second_user.start(CONNECT, *arguments) as her, closing(accepted(listener)) as here:
            assert find_peer(here) == Peer("stranger", second_user.uid)
            her.communicate("\n")


@pytest.mark.parametrize(("family", "own_family", "host"), FAMILIES)
def test_our_socket_is_ours(
    way: str, family: socket.AddressFamily, own_family: socket.AddressFamily, host: str
) -> None:
    with listening(family) as listener, closing(socket.socket(own_family)) as own:
        own.connect((host, listener.getsockname()[1]))
        with closing(accepted(listener)) as here:
            assert find_peer(here) == Peer("ours")


def leave(own: socket.socket) -> None:
    own.close()


def leave_with_data_under_way(own: socket.socket) -> None:
    """Close a socket whose data nobody reads, so that its end does not arrive either."""
    own.setblocking(False)
    try:
        while True:
            own.send(b"x" * 65536)
    except BlockingIOError:
        own.close()


def reset(own: socket.socket) -> None:
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    own.close()


@proves("FLO-14")
@pytest.mark.parametrize("end", [leave, leave_with_data_under_way, reset])
def test_a_closed_socket_is_nobodys_although_the_kernel_reports_root(
    way: str, end: Callable[[socket.socket], None]
) -> None:
    with listening(socket.AF_INET) as listener:
        own = socket.create_connection(listener.getsockname())
        with closing(accepted(listener)) as here:
            end(own)
            assert find_peer(here) == Peer("gone")


@pytest.mark.parametrize(
    ("uid", "kind"), [(1234, "ours"), (0, "unknown"), (65534, "unknown"), (1235, "stranger"), (None, "unknown")]
)
def test_root_and_overflow_name_nobody(monkeypatch: pytest.MonkeyPatch, uid: int | None, kind: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(peer, "_owner", lambda _: None if uid is None else peer._Owner(uid, 1))
    with connected() as here:
        assert find_peer(here).kind == kind


def test_the_overflow_uid_names_nobody_even_if_we_run_as_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "overflowuid").write_text("4711\n")
    monkeypatch.setattr(peer, "_OVERFLOW", tmp_path / "overflowuid")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(peer, "_owner", lambda _: peer._Owner(4711, 1))
    with connected() as here:
        assert find_peer(here) == Peer("unknown")


def test_a_socket_that_listens_on_the_peers_port_is_not_its_owner() -> None:
    """If there is no connection, the kernel answers with a listener on the same port."""
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        here = listener.getsockname()
        assert peer._ask_kernel(socket.AF_INET, here, ("127.0.0.1", 1)) is None
        assert peer._read_tables(socket.AF_INET, here, ("127.0.0.1", 1)) is None


@pytest.mark.parametrize("damage", ["no files", "short rows", "no answer"])
def test_what_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(peer, "_ask_kernel", refuse)
    monkeypatch.setattr(peer, "_PROC_NET", tmp_path)
    with listening(socket.AF_INET) as listener, closing(socket.create_connection(listener.getsockname())) as own:
        ends = [peer._row(socket.AF_INET, end) for end in (own.getsockname(), own.getpeername())]
        if damage == "short rows":
            (tmp_path / "tcp").write_text(f"  0: {ends[0]} {ends[1]} 01 nonsense")
        if damage == "no answer":
            monkeypatch.setattr(sys, "platform", "darwin")
        with closing(accepted(listener)) as here:
            assert find_peer(here) == Peer("unknown")
