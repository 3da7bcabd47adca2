"""Which user is at the other end of a loopback connection, as far as the kernel of this machine knows.

Linux names the owner of the exact pair of addresses: by ``NETLINK_SOCK_DIAG`` (sock_diag(7)) in about 0.1 ms, or in the
text of ``/proc/net/tcp`` and ``tcp6`` where that is not available. Other systems have nothing of the kind.

A uid stops other users of this machine. It cannot see through a port forwarder, which connects as whoever runs it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from attrs import frozen


Kind = Literal["ours", "stranger", "unknown", "gone"]
"""The user that runs this program; another ordinary user; somebody whom the uid does not name; no process any more."""

_TIMEOUT: Final = 1.0
_PROC_NET: Final = Path("/proc/net")
_OVERFLOW: Final = Path("/proc/sys/kernel/overflowuid")
_USUAL_OVERFLOW: Final = 65534

# linux/socket.h, linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_AF_NETLINK: Final = 16
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_NLMSG_ERROR: Final = 2
_ANY_COOKIE: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_QUESTION: Final = struct.Struct("=BBBBI")  # inet_diag_req_v2 up to its inet_diag_sockid: family, protocol, …, states
_PAIR: Final = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses, in network order
_REST: Final = struct.Struct("=III")  # …, then interface and cookie
_ANSWER: Final = struct.Struct("=BBBB48sIIIII")  # inet_diag_msg: family, state, …, the pair, …, uid, inode
_ERROR: Final = struct.Struct("=i")


@frozen
class Peer:
    """The other end of a connection.

    Attributes:
        kind: What the uid says about it.
        uid: The uid, for a stranger.
    """

    kind: Kind
    uid: int | None = None


@frozen
class _Owner:
    """What the kernel says about a socket; no process holds one without an inode."""

    uid: int
    inode: int


def find_peer(connection: socket.socket) -> Peer:
    """Return who is at the other end of a connected socket whose request has been read; never raises.

    - The uid of this process is ours, also if that is root's: whoever acts as us is not held off by a uid.
    - Root's and the overflow uid (user_namespaces(7)) name nobody: a port proxy, a container's runtime, a user outside
      of our namespace. If we run as the overflow uid ourselves, everybody unmapped looks like us.
    - The kernel reports uid 0 for a socket whose process has closed it. That says nothing, least of all that it is
      root's: another user could send a request, close, and pass for root.
    """
    owner = None
    with suppress(OSError, ValueError, LookupError, struct.error):
        owner = _owner(connection)
    if owner is not None and owner.inode == 0:
        return Peer("gone")
    if owner is None or owner.uid == _overflow_uid():
        return Peer("gone" if _closed(connection) else "unknown")
    if sys.platform != "win32" and owner.uid in {os.getuid(), os.geteuid()}:  # there are no uids on Windows
        return Peer("ours")
    return Peer("unknown") if owner.uid == 0 else Peer("stranger", owner.uid)


def _owner(connection: socket.socket) -> _Owner | None:
    """Return the owner of the socket at the other end; None if it is not on this machine or not known."""
    if sys.platform != "linux":
        return None
    here, there = connection.getpeername()[:2], connection.getsockname()[:2]  # as seen from the other end
    try:
        return _ask_kernel(connection.family, here, there)
    except OSError:  # in some sandboxes there is no netlink, or not this part of it
        return _read_tables(connection.family, here, there)


# --- netlink --------------------------------------------------------------------------------------------------------


def _ask_kernel(family: int, here: tuple[str, int], there: tuple[str, int]) -> _Owner | None:
    pair = _PAIR.pack(here[1], there[1], _packed(family, here[0]), _packed(family, there[0]))
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_COOKIE) + pair + _REST.pack(0, *[_ANY_COOKIE] * 2)
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(_AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_TIMEOUT)
        netlink.sendto(header + body, (0, 0))
        answer = netlink.recv(8192)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        (code,) = _ERROR.unpack_from(answer, _HEADER.size)
        if code == -errno.ENOENT:
            return None
        raise OSError(-code, "sock_diag refused")
    if kind != _SOCK_DIAG_BY_FAMILY:
        raise OSError(errno.EPROTO, "not an answer of sock_diag")
    found_family, _, _, _, found, _, _, _, uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # An IPv4 connection of an IPv6 socket is found by its IPv4 addresses and answered with mapped ones. If there is no
    # connection, the kernel answers with a socket that listens on the port, which is not the one asked for.
    wanted = _PAIR.pack(here[1], there[1], _packed(found_family, here[0]), _packed(found_family, there[0]))
    return _Owner(uid, inode) if found[: _PAIR.size] == wanted else None


def _packed(family: int, address: str) -> bytes:
    """Return an address in 16 bytes: an IPv4 address is padded, or mapped (RFC 4291, section 2.5.5.2) for IPv6."""
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    packed = socket.inet_aton(address)
    return packed.ljust(16, b"\0") if family == socket.AF_INET else b"\0" * 10 + b"\xff\xff" + packed


# --- /proc/net ------------------------------------------------------------------------------------------------------


def _read_tables(family: int, here: tuple[str, int], there: tuple[str, int]) -> _Owner | None:
    for name, as_family in _tables(family):
        row = f" {_row(as_family, here)} {_row(as_family, there)} ".encode()
        with suppress(OSError):
            table = (_PROC_NET / name).read_bytes()
            at = table.find(row)
            if at >= 0:
                # proc(5): after the addresses come state, queues, timer, retransmissions, uid, timeout, inode
                words = table[at + len(row) :].split(None, 7)
                return _Owner(int(words[4]), int(words[6]))
    return None


def _tables(family: int) -> Iterator[tuple[str, int]]:
    if family == socket.AF_INET:
        yield "tcp", socket.AF_INET
    yield "tcp6", socket.AF_INET6  # IPv4 connections of IPv6 sockets as well


def _row(family: int, address: tuple[str, int]) -> str:
    packed = _packed(family, address[0])
    words = struct.unpack("=4I", packed)[: 1 if family == socket.AF_INET else 4]  # printed as numbers of this machine
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


# --- the rest -------------------------------------------------------------------------------------------------------


def _overflow_uid() -> int:
    with suppress(OSError, ValueError):
        return int(_OVERFLOW.read_bytes())
    return _USUAL_OVERFLOW


def _closed(connection: socket.socket) -> bool:
    """Whether the other end has closed the connection, or its half of it."""
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
