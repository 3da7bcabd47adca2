"""Only the user finishes a sign-in (FLO-14): other users, proxies and other browsers, with peers that a test names."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from freshkey._http import peer
from freshkey._http.peer import Kind, Peer
from freshkey.errors import FreshkeyError, LoginRequired
from freshkey.oauth import LoopbackListener, Server, loopback, pages
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


STATE = "a-state-of-this-attempt"
TARGET = f"https://id.example.com/authorize?state={STATE}"


class Attempt:
    """A listener whose peers are what the test says, and requests to it."""

    def __init__(self, server: Server, **options: object) -> None:
        self.kind: Kind = "ours"
        self.told: list[str] = []
        self.lookups = 0
        self.listener = LoopbackListener(
            state=STATE,
            server=server,
            notice=self.told.append,
            **{"find_peer": self._find_peer, **options},  # type: ignore[arg-type]
        )
        self.start = self.listener.start_at(TARGET)
        self.answer: Future[Secret | None] = Future()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _find_peer(self, _: socket.socket) -> Peer:
        self.lookups += 1
        return Peer(self.kind, 4711 if self.kind == "stranger" else None)

    def _wait(self) -> None:
        try:
            self.answer.set_result(self.listener.wait(self._given_up))
        except FreshkeyError as error:
            self.answer.set_exception(error)

    def get(self, url: str, kind: Kind, *headers: str, method: str = "GET") -> bytes:
        """Send a request from a peer of a kind, and return the whole response."""
        self.kind = kind
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
            connection.sendall("\r\n".join(lines).encode())
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    def redirect(self, query: str = f"code=c0de&state={STATE}") -> str:
        return f"{self.listener.redirect_uri}?{query}"

    def begin(self, kind: Kind) -> str:
        """Open the start address and return the cookie header that the browser sends from then on."""
        response = self.get(self.start, kind)
        assert response.startswith(b"HTTP/1.1 303 ")
        return cookie_of(response)

    def stop(self) -> None:
        self._given_up.set()
        self._thread.join(10)
        self.listener.close()


def cookie_of(response: bytes) -> str:
    found = re.search(rb"\r\nSet-Cookie: ([^;]+);", response)
    assert found
    return f"Cookie: {found[1].decode()}"


Begin = Callable[..., Attempt]


@pytest.fixture
def begin(server: Server) -> Iterator[Begin]:
    with ExitStack() as stack:

        def make(**options: object) -> Attempt:
            attempt = Attempt(server, **options)
            stack.callback(attempt.stop)
            return attempt

        yield make


# --- the start address ---------------------------------------------------------------------------------------------


@proves("FLO-14")
def test_the_start_address_redirects_to_the_server_and_says_nothing_itself(begin: Begin) -> None:
    attempt = begin()

    head = attempt.get(attempt.start, "unknown").decode().split("\r\n")

    assert STATE not in attempt.start
    assert head[0] == "HTTP/1.1 303 See Other"
    assert f"Location: {TARGET}" in head
    assert {"Cache-Control: no-store", "Referrer-Policy: no-referrer", "Content-Length: 0"} <= set(head)
    (cookie,) = [line for line in head if line.startswith("Set-Cookie: ")]
    assert cookie.split("; ")[1:] == ["Path=/callback", "Max-Age=900", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("path", ["/", "/callback", "/a/b/", "/a;b,c"])
def test_start_and_redirect_share_the_host_and_the_path_of_the_cookie(begin: Begin, host: str, path: str) -> None:
    attempt = begin(host=host, path=path)
    start, redirect = urlsplit(attempt.start), urlsplit(attempt.listener.redirect_uri)
    response = attempt.get(attempt.start, "unknown")
    attributes = re.search(rb"Path=([^;\r]*); ", response)
    assert attributes
    scope = attributes[1].decode()

    assert start.netloc == redirect.netloc
    assert all(f"{parts.path}/".startswith(f"{scope.rstrip('/')}/") for parts in (start, redirect))
    assert attempt.get(attempt.redirect(), "unknown", cookie_of(response)) == pages.RECEIVED


def test_two_attempts_have_different_addresses_and_cookies(begin: Begin) -> None:
    one, two = begin(), begin()

    assert urlsplit(one.start).path != urlsplit(two.start).path
    assert one.begin("unknown").partition("=")[0] != two.begin("unknown").partition("=")[0]


# --- peers without a name: containers, port proxies, other systems -------------------------------------------------


@proves("FLO-14")
def test_only_the_browser_with_the_cookie_is_heard_where_the_peer_is_unknown(begin: Begin) -> None:
    attempt = begin()
    cookie = attempt.begin("unknown")
    name = cookie.partition("=")[0]

    assert attempt.get(attempt.redirect("code=evil&state=" + STATE), "unknown") == pages.OTHER_BROWSER
    assert attempt.get(attempt.redirect("code=evil&state=" + STATE), "unknown", f"{name}=x") == pages.OTHER_BROWSER
    assert attempt.get(attempt.redirect("error=access_denied&state=" + STATE), "unknown") == pages.OTHER_BROWSER
    assert attempt.get(attempt.redirect(), "unknown", f"{name}=tossed; a=b", cookie + "; c") == pages.RECEIVED
    assert attempt.answer.result(10) == Secret("c0de")


def test_the_user_is_told_once_what_to_do_with_another_browser(begin: Begin) -> None:
    attempt = begin()

    for _ in range(3):
        attempt.get(attempt.redirect("code=evil&state=wrong"), "unknown")
    assert attempt.told == []  # anyone may have sent that
    for _ in range(3):
        attempt.get(attempt.redirect(), "unknown")
    assert [attempt.start in notice and "paste" in notice for notice in attempt.told] == [True]


def test_a_start_address_that_is_used_up_is_not_recommended(begin: Begin) -> None:
    attempt = begin()
    attempt.begin("unknown")

    attempt.get(attempt.redirect(), "unknown")

    assert [attempt.start in notice for notice in attempt.told] == [False]


@proves("FLO-14")
def test_a_second_unknown_browser_at_the_start_address_ends_the_attempt(begin: Begin) -> None:
    attempt = begin()
    attempt.begin("unknown")

    assert attempt.get(attempt.start, "unknown") == pages.OPENED_TWICE
    with raises_code(LoginRequired, "sign-in-opened-twice") as caught:
        attempt.answer.result(10)
    assert "again" in str(caught.value.hint)


def test_our_own_browser_after_an_unknown_one_ends_the_attempt_too(begin: Begin) -> None:
    attempt = begin()
    attempt.begin("unknown")

    assert attempt.get(attempt.start, "ours") == pages.OPENED_TWICE
    with raises_code(LoginRequired, "sign-in-opened-twice"):
        attempt.answer.result(10)


def test_the_same_browser_may_load_the_start_address_again(begin: Begin) -> None:
    attempt = begin()
    cookie = attempt.begin("unknown")

    assert attempt.get(attempt.start, "unknown", cookie).startswith(b"HTTP/1.1 303 ")
    assert attempt.get(attempt.redirect(), "unknown", cookie) == pages.RECEIVED


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("HEAD", "A: b"),
        ("POST", "A: b"),
        ("GET", "Sec-Purpose: prefetch;prerender"),
        ("GET", "Purpose: prefetch"),
        ("GET", "Sec-Fetch-Dest: image"),
        ("GET", "Sec-Fetch-Dest: iframe"),
    ],
)
def test_looking_ahead_does_not_use_up_the_start_address(begin: Begin, method: str, header: str) -> None:
    attempt = begin()

    assert b"Location" not in attempt.get(attempt.start, "unknown", header, method=method)
    assert attempt.get(attempt.redirect(), "unknown", attempt.begin("unknown")) == pages.RECEIVED


def test_a_request_whose_sender_is_gone_does_not_use_up_the_start_address(begin: Begin) -> None:
    """Otherwise another user could send one and close, so that the kernel forgets who it was, and end the sign-in."""
    attempt = begin()

    for _ in range(loopback.MAX_REQUESTS + 1):
        assert b"Location" not in attempt.get(attempt.start, "gone")
        assert attempt.get(attempt.redirect(), "gone") == pages.OTHER_BROWSER
    assert attempt.get(attempt.redirect(), "unknown", attempt.begin("unknown")) == pages.RECEIVED


def test_requests_of_unknown_peers_do_not_end_the_attempt(begin: Begin) -> None:
    attempt = begin()
    cookie = attempt.begin("unknown")

    for _ in range(loopback.MAX_REQUESTS + 1):
        assert b" 404 " in attempt.get(urlsplit(attempt.start)._replace(path="/favicon.ico").geturl(), "unknown")
    assert attempt.get(attempt.redirect(), "unknown", cookie) == pages.RECEIVED


# --- our own browser -----------------------------------------------------------------------------------------------


def test_our_own_programs_need_no_cookie_and_may_open_the_start_address_often(begin: Begin) -> None:
    attempt = begin()

    assert attempt.begin("ours")
    assert attempt.begin("ours")
    assert attempt.get(attempt.redirect(), "ours") == pages.RECEIVED


def test_an_unknown_browser_gets_nothing_after_our_own_one(begin: Begin) -> None:
    attempt = begin()
    attempt.begin("ours")

    assert attempt.get(attempt.start, "unknown") == pages.ALREADY_STARTED
    assert attempt.get(attempt.redirect(), "ours") == pages.RECEIVED


def test_a_listener_without_a_start_address_hears_unknown_peers(server: Server) -> None:
    with LoopbackListener(state=STATE, server=server, find_peer=lambda _: Peer("unknown")) as listener:
        given_up = threading.Event()
        answer: list[Secret | None] = []
        thread = threading.Thread(target=lambda: answer.append(listener.wait(given_up)))
        thread.start()
        parts = urlsplit(listener.redirect_uri)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
            connection.sendall(
                f"GET /callback?code=c0de&state={STATE} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        thread.join(10)
    assert answer == [Secret("c0de")]


# --- another user --------------------------------------------------------------------------------------------------


@proves("FLO-14")
def test_another_user_gets_one_static_page_whatever_she_sends(begin: Begin) -> None:
    attempt = begin()
    cookie = attempt.begin("ours")

    for url in (attempt.redirect(), attempt.redirect("error=access_denied&state=" + STATE), attempt.start):
        assert attempt.get(url, "stranger", cookie) == pages.OTHER_USER
    for _ in range(loopback.MAX_REQUESTS + 1):
        assert attempt.get(attempt.redirect("code=evil&state=wrong"), "stranger") == pages.OTHER_USER
    assert ["another user" in notice.lower() and "4711" in notice for notice in attempt.told] == [True]
    assert attempt.get(attempt.redirect(), "ours") == pages.RECEIVED
    assert attempt.answer.result(10) == Secret("c0de")


@pytest.mark.parametrize("kind", ["stranger", "gone"])
def test_another_users_connections_do_not_push_out_the_users_own(begin: Begin, kind: Kind) -> None:
    attempt = begin(connection_seconds=60)
    attempt.kind = kind
    parts = urlsplit(attempt.start)
    with ExitStack() as stack:

        def connect() -> socket.socket:
            address = (parts.hostname or "", parts.port or 0)
            return stack.enter_context(socket.create_connection(address, timeout=10))

        slow = connect()
        held = [connect() for _ in range(loopback.MAX_CONNECTIONS - 1)]
        assert connect().recv(1) == b""  # hers, and full
        assert attempt.lookups == 1  # only then is anyone looked up
        attempt.kind = "ours"
        slow.sendall(f"GET /callback?code=c0de&state={STATE} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert len(held) == loopback.MAX_CONNECTIONS - 1
    assert attempt.answer.result(10) == Secret("c0de")


# --- another process, where the kernel names no one -----------------------------------------------------------------

STRANGER = """
import json, socket, sys
statuses = []
for host, port, target in json.loads(sys.argv[1]):
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
        statuses.append(int(connection.recv(65536).split()[1]))
print(json.dumps(statuses))
"""


@pytest.fixture
def nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        monkeypatch.setattr(peer, "_owner", lambda _: None)


def asked_by_another_process(*urls: str) -> list[int]:
    """Have another process send requests, and return the status of each response."""
    parts = [urlsplit(url) for url in urls]
    targets = [(one.hostname, one.port, f"{one.path}?{one.query}".rstrip("?")) for one in parts]
    command = [sys.executable, "-I", "-c", STRANGER, json.dumps(targets)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)  # type: ignore[no-any-return]


@proves("FLO-14")
@pytest.mark.usefixtures("nobody_named")
def test_another_process_without_the_cookie_neither_finishes_nor_ends_the_sign_in(begin: Begin) -> None:
    attempt = begin(find_peer=peer.find_peer)
    held = attempt.begin("unknown")
    answers = [attempt.redirect(), attempt.redirect(f"error=access_denied&state={STATE}")]

    assert asked_by_another_process(*answers, *[attempt.redirect("code=x&state=y")] * 70) == [403] * 72

    assert not attempt.answer.done()
    assert ["was not started in, and was refused" in notice for notice in attempt.told] == [True]
    assert attempt.get(attempt.redirect(), "unknown", held) == pages.RECEIVED
    assert attempt.answer.result(10) == Secret("c0de")


@proves("FLO-14")
@pytest.mark.usefixtures("nobody_named")
def test_another_process_that_opens_the_start_address_ends_the_sign_in(begin: Begin) -> None:
    attempt = begin(find_peer=peer.find_peer)
    attempt.begin("unknown")

    assert asked_by_another_process(attempt.start) == [403]

    with raises_code(LoginRequired, "sign-in-opened-twice"):
        attempt.answer.result(10)
