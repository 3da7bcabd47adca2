"""Waits on a loopback port for the redirect that ends a sign-in (RFC 8252, section 7.3).

Any web page and any local program can send requests here, so a request is accepted only if it proves to be the
response to this attempt, and only from the user's own programs or the browser that the sign-in was started in: the
response of another user would sign this user in with that one's account (RFC 6749, section 10.12). Anything else is
rejected, and the wait continues. One loop serves all connections, so an idle one does not block the others.
"""

from __future__ import annotations

import errno
import re
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http import HTTPStatus
from typing import Final, Self

from attrs import define, field

from freshkey._http.peer import Peer, find_peer
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProtocolError, TransientError
from freshkey.oauth import pages
from freshkey.oauth.callback import Unproven, read_callback, unproven
from freshkey.oauth.protocol import Server
from freshkey.oauth.redirect_request import Wanted, ended, judge
from freshkey.oauth.start_address import StartAddress
from freshkey.secret import Secret


MAX_REQUESTS: Final = 64
"""Number of unrelated requests after which the attempt is aborted; those that anyone may have sent do not count."""

MAX_CONNECTIONS: Final = 32
"""Maximum number of open connections; another one replaces the oldest."""

CONNECTION_SECONDS: Final = 5.0
"""Lifetime of a connection."""

_LOOPBACK_V4: Final = "127.0.0.1"
_LOOPBACK_V6: Final = "::1"
_PATH: Final = re.compile(r"/[0-9A-Za-z._~!$&'()*+,;=:@%/-]*")
_TICK: Final = 0.1
_LINGER: Final = 1.0
_PORTS_TO_TRY: Final = 16
_TAKEN: Final = {errno.EADDRINUSE: "another program uses it"}
if sys.platform == "win32":  # of a port that a program shares with no one, or that Windows keeps for itself
    _TAKEN[errno.EACCES] = "another program uses it, or Windows has reserved it"
_UNPROVEN_ERROR: Final = (
    "The browser came back with an error that does not belong to this sign-in for certain. If you declined, cancel "
    "the sign-in; otherwise, continue in the browser"
)
_STRANGER: Final = "Another user of this computer (uid {uid}) tried to answer this sign-in and was refused"
_OTHER_BROWSER: Final = "A response came from a browser that this sign-in was not started in, and was refused. "
_PASTE: Final = "If it is yours, paste the full URL from its address bar here"
_OPEN: Final = "If it is yours, open {url} in it, or paste the full URL from its address bar here"
_OPENED_TWICE: Final = "the sign-in was stopped: its local address was opened twice, and one of the two may not be you"


class LoopbackListener:
    """A loopback port that is open for one attempt; a context manager.

    Args:
        state: The state of the attempt.
        server: The authorization server of the attempt.
        path: The path of the redirect URI. A different path per provider prevents mix-up attacks (RFC 9700, section
            4.4).
        host: ``127.0.0.1`` (``[::1]`` is used if there is no IPv4), ``::1``, or ``localhost`` if the server accepts
            nothing else; then the port is bound for IPv4 and IPv6, so that no other program can bind it for one of
            them.
        port: The port of the redirect URI, if the server accepts only one; None for any free port.
        notice: Receives messages for the user, each at most once: the browser came back with an error without a state,
            another user sent a request, or another browser the response.
        connection_seconds: Lifetime of a connection.
        find_peer: Returns who is at the other end of a connection, for tests.

    Attributes:
        redirect_uri: The redirect URI to send to the server.

    Raises:
        ConfigurationError: `host` is not a loopback host, or `path` is not a valid path.
        TransientError: No port could be bound, or not `port`.
    """

    def __init__(
        self,
        *,
        state: str,
        server: Server,
        path: str = "/callback",
        host: str = _LOOPBACK_V4,
        port: int | None = None,
        notice: Callable[[str], None] | None = None,
        connection_seconds: float = CONNECTION_SECONDS,
        find_peer: Callable[[socket.socket], Peer] = find_peer,
    ) -> None:
        if host not in {_LOOPBACK_V4, _LOOPBACK_V6, "localhost"}:
            raise ConfigurationError(
                "the redirect host must be 127.0.0.1, ::1 or localhost", code="invalid-redirect-address"
            )
        if not _PATH.fullmatch(path):
            raise ConfigurationError(
                "the redirect path must start with / and must not have a query or fragment",
                code="invalid-redirect-address",
            )
        self._state = state
        self._server = server
        self._connection_seconds = connection_seconds
        self._notice = notice
        self._noticed: set[str] = set()
        self._find_peer = find_peer
        self._start: StartAddress | None = None
        self._sockets = _bind(host) if port is None else _bind_fixed(host, port)
        self._wanted = Wanted(path, _authority(host, self._sockets))
        self._connections: dict[socket.socket, _Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._requests = 0
        self.redirect_uri = f"http://{self._wanted.authority}{path}"
        for listening in self._sockets:
            self._selector.register(listening, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the port and close every connection; may be called twice."""
        self._stop_listening()
        self._drop(*self._connections.values())
        self._selector.close()

    def start_at(self, authorization_url: str | Callable[[], str]) -> str:
        """Return the local address to open in the browser instead of `authorization_url`, to which it redirects once.

        From then on, a response is accepted only from our own user as the kernel sees it, or from the browser that was
        redirected. Without this, it is also accepted from peers whom the kernel cannot name.

        Args:
            authorization_url: A URL that `freshkey.oauth.safe_url` has accepted, or what returns one at once.
        """
        target = (lambda: authorization_url) if isinstance(authorization_url, str) else authorization_url
        self._start = StartAddress(redirect=self._wanted, target=target)
        return self._start.url

    def wait(self, given_up: threading.Event) -> Secret | None:
        """Serve requests until the authorization response arrives, and return its code.

        Args:
            given_up: Set by the caller to stop waiting; None is returned soon after.

        Raises:
            LoginRequired: The user declined, too many unrelated requests arrived, or the start address was opened
                twice.
            ProviderRefused: The server rejected the authorization request.
        """
        while not given_up.is_set():
            for ready in self._ready():
                answer = self._serve(ready)
                if answer is not None:
                    self._finish()
                    if isinstance(answer, FreshkeyError):
                        raise answer
                    return answer
            self._drop_late()
        return None

    def _ready(self) -> list[socket.socket]:
        return [key.fileobj for key, _ in self._selector.select(_TICK) if isinstance(key.fileobj, socket.socket)]

    def _serve(self, ready: socket.socket) -> Secret | FreshkeyError | None:
        connection = self._connections.get(ready)
        if ready in self._sockets:
            self._accept(ready)
        elif connection is not None and not connection.receive():
            self._drop(connection)
        elif connection is not None and not connection.replied and ended(bytes(connection.received)):
            return self._answer(connection)
        return None

    def _accept(self, listening: socket.socket) -> None:
        try:
            accepted, _ = listening.accept()
        except OSError:
            time.sleep(_TICK)  # the client is gone, or no file descriptor is free; do not spin
            return
        accepted.setblocking(False)
        if len(self._connections) >= MAX_CONNECTIONS:
            # Another user must not push out the user's own browser, not even by closing at once.
            if self._find_peer(accepted).kind in {"stranger", "gone"}:
                accepted.close()
                return
            self._drop(next(iter(self._connections.values())))
        self._connections[accepted] = _Connection(accepted, time.monotonic() + self._connection_seconds)
        self._selector.register(accepted, selectors.EVENT_READ)

    def _answer(self, connection: _Connection) -> Secret | FreshkeyError | None:
        """Respond to one request; return the outcome if it ends the attempt."""
        request, peer = bytes(connection.received), self._find_peer(connection.socket)
        if peer.kind == "stranger":
            self._tell(_STRANGER.format(uid=peer.uid))
            connection.reply(pages.OTHER_USER)
            return None
        if self._start is not None and self._start.is_asked_for(request):
            return self._begin(connection, self._start.answer(request, peer.kind))
        answer = self._read(request)
        if not self._is_users(request, peer):
            if peer.kind == "unknown" and isinstance(answer, Secret | FreshkeyError):
                self._tell(self._other_browser())  # the user's own, if it has the state
            # Anyone may have sent this, so it does not count: another user must not be able to end the sign-in.
            connection.reply(pages.REJECTED[answer] if isinstance(answer, HTTPStatus) else pages.OTHER_BROWSER)
            return None
        if isinstance(answer, HTTPStatus | str):
            connection.reply(pages.UNPROVEN[answer] if isinstance(answer, str) else pages.REJECTED[answer])
            return self._rejected(answer)
        self._stop_listening()
        connection.reply(pages.DECLINED if isinstance(answer, FreshkeyError) else pages.RECEIVED)
        return answer

    def _is_users(self, request: bytes, peer: Peer) -> bool:
        """Whether a request comes from the user, as far as anyone can tell."""
        if peer.kind == "ours":
            return True
        return peer.kind == "unknown" if self._start is None else self._start.is_held_by(request)

    def _begin(self, connection: _Connection, response: bytes | None) -> FreshkeyError | None:
        """Respond to a request for the start address; return an error if that must end the attempt."""
        connection.reply(response or pages.OPENED_TWICE)
        if response is not None:
            return None
        hint = "Start the sign-in again, and open its address in one browser only"
        return LoginRequired(_OPENED_TWICE, hint=hint, code="sign-in-opened-twice")

    def _other_browser(self) -> str:
        unused = self._start if self._start is not None and self._start.handed == "nobody" else None
        return _OTHER_BROWSER + (_PASTE if unused is None else _OPEN.format(url=unused.url))

    def _tell(self, message: str) -> None:
        """Show a message to the user, once: others could send it again and again."""
        if self._notice is not None and message not in self._noticed:
            self._noticed.add(message)
            self._notice(message)

    def _rejected(self, reason: HTTPStatus | Unproven) -> FreshkeyError | None:
        """Count a rejected request, and tell the user about an error that may be the server's."""
        if reason == "error-without-state":
            self._tell(_UNPROVEN_ERROR)
        self._requests += 1
        if self._requests < MAX_REQUESTS:
            return None
        message = f"sign-in aborted: {MAX_REQUESTS} unrelated requests were sent to its local port"
        hint = "Close any unfamiliar web pages and programs that may be sending them, then sign in again"
        return LoginRequired(message, hint=hint, code="redirect-port-flooded")

    def _read(self, request: bytes) -> Secret | FreshkeyError | HTTPStatus | Unproven:
        """Return the outcome if the request ends the attempt, or what is wrong with it."""
        query = judge(request, self._wanted)
        if isinstance(query, HTTPStatus):
            return query
        try:
            return read_callback(query, state=self._state, server=self._server)
        except ProtocolError as error:
            return unproven(query, error)
        except FreshkeyError as error:
            return error

    def _drop(self, *connections: _Connection) -> None:
        for connection in connections:
            self._selector.unregister(connection.socket)
            del self._connections[connection.socket]
            connection.socket.close()

    def _drop_late(self) -> None:
        now = time.monotonic()
        self._drop(*[late for late in self._connections.values() if late.deadline < now])

    def _stop_listening(self) -> None:
        for listening in self._sockets:
            self._selector.unregister(listening)
            listening.close()
        self._sockets = []

    def _finish(self) -> None:
        """Free the port, and let the browser finish reading the page before closing its connection."""
        self._stop_listening()
        self._drop(*[silent for silent in self._connections.values() if not silent.replied])
        while self._connections:
            for ready in self._ready():
                self._serve(ready)
            self._drop_late()


@define
class _Connection:
    """One connection: receives a request, sends one response, then waits for the client to close.

    Closing at once would reset the connection if there are unread bytes, and the browser would show an error instead
    of the page.
    """

    socket: socket.socket
    deadline: float  # seconds of `time.monotonic`
    received: bytearray = field(init=False, factory=bytearray, repr=False)  # holds the code
    replied: bool = field(init=False, default=False)

    def receive(self) -> bool:
        """Read what has arrived; return whether the connection is still open."""
        try:
            data = self.socket.recv(8192)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not self.replied:
            self.received += data
        return bool(data)

    def reply(self, answer: bytes) -> None:
        """Send the response. It is far smaller than any send buffer, so this does not block."""
        self.replied = True
        self.deadline = time.monotonic() + _LINGER
        with suppress(OSError):  # the client is gone; its request counts anyway
            self.socket.sendall(answer)
            self.socket.shutdown(socket.SHUT_WR)


# --- binding ------------------------------------------------------------------------------------------------------


def _authority(host: str, sockets: list[socket.socket]) -> str:
    port = sockets[0].getsockname()[1]
    # The literal address by default: the name localhost can resolve to something else, or to the IP version that we
    # do not listen on (RFC 8252, section 8.3).
    if host == "localhost":
        return f"localhost:{port}"
    return f"[::1]:{port}" if sockets[0].family == socket.AF_INET6 else f"{_LOOPBACK_V4}:{port}"


def _bind(host: str) -> list[socket.socket]:
    """Bind a port for `host`. The kernel picks it in the same call: looking for a free port first would be a race.

    For localhost, a port that is not free in both families is not used, because another program would receive the
    requests of the other family.
    """
    families = _families(host)
    for _ in range(_PORTS_TO_TRY):
        try:
            return _bind_same(families)
        except OSError as error:
            reason = error.strerror or "refused by the operating system"
    raise TransientError(f"cannot open a local port for the sign-in: {reason}", code="redirect-port-unavailable")


def _bind_fixed(host: str, port: int) -> list[socket.socket]:
    """Bind one port; another one would be of no use, because the server or a tunnel expects this one."""
    try:
        return _bind_same(_families(host), port)
    except OverflowError:
        reason = "not a valid port"
    except OSError as error:
        reason = _TAKEN.get(error.errno or 0) or error.strerror or "refused by the operating system"
    raise TransientError(
        f"cannot open port {port} for the sign-in: {reason}",
        hint="Finish a sign-in that is still in progress, or close the program that uses the port; "
        "or set redirect_port to another port that the server accepts",
        code="redirect-port-taken",
        local=True,
    )


def _families(host: str) -> list[socket.AddressFamily]:
    there = [family for family in (socket.AF_INET, socket.AF_INET6) if _exists(family)] or [socket.AF_INET6]
    return {_LOOPBACK_V4: there[:1], _LOOPBACK_V6: [socket.AF_INET6]}.get(host, there)


def _bind_same(families: list[socket.AddressFamily], port: int = 0) -> list[socket.socket]:
    bound: list[socket.socket] = []
    with ExitStack() as half:
        for family in families:
            bound.append(half.enter_context(_listen(family, bound[0].getsockname()[1] if bound else port)))
        half.pop_all()
    return bound


def _exists(family: socket.AddressFamily) -> bool:
    with suppress(OSError):
        _listen(family, 0).close()
        return True
    return False


def _listen(family: socket.AddressFamily, port: int) -> socket.socket:
    with ExitStack() as unfinished:
        listening = unfinished.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if sys.platform == "win32":
            # Without this option, another program could bind the same port and receive our requests.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif port:
            # The last sign-in's closed connections would block a fixed port for a minute. On these systems the option
            # lets no other program share a port that is listened on.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_LOOPBACK_V4 if family == socket.AF_INET else _LOOPBACK_V6, port))
        listening.listen(16)
        listening.setblocking(False)
        unfinished.pop_all()
    return listening
