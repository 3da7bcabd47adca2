from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from free_port import free_port
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.oauth import LoopbackListener, Server, loopback, pages
from freshkey.oauth.callback import Unproven
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from sockets import reset_on_close


STATE = "a-state-of-this-attempt"
GOOD = f"/callback?code=c0de&state={STATE}"


class Waiting:
    """A listener that waits on its own thread, and raw requests to it."""

    def __init__(self, listener: LoopbackListener) -> None:
        self.listener = listener
        self.given_up = threading.Event()
        self.answer: Future[Secret | None] = Future()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answer.set_result(self.listener.wait(self.given_up))
        except FreshkeyError as error:
            self.answer.set_exception(error)

    @property
    def authority(self) -> str:
        return urlsplit(self.listener.redirect_uri).netloc

    def connect(self, host: str | None = None) -> socket.socket:
        parts = urlsplit(self.listener.redirect_uri)
        return socket.create_connection((host or parts.hostname or "", parts.port or 0), timeout=10)

    def get(self, target: str, *headers: str, method: str = "GET", host: str | None = None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", *(headers or (f"Host: {self.authority}",)), "", ""]
        return self.raw("\r\n".join(lines).encode(), host=host)

    def raw(self, data: bytes, *, host: str | None = None) -> bytes:
        with self.connect(host) as connection:
            connection.sendall(data)
            return read_all(connection)

    def stop(self) -> None:
        self.given_up.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.listener.close()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def refuses(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, port)) != 0


Listen = Callable[..., Waiting]


@pytest.fixture
def listen(server: Server) -> Iterator[Listen]:
    with ExitStack() as stack:

        def make(**options: object) -> Waiting:
            waiting = Waiting(LoopbackListener(state=STATE, server=server, **options))  # type: ignore[arg-type]
            stack.callback(waiting.stop)
            return waiting

        yield make


# --- the redirect ---------------------------------------------------------------------------------------------------


def test_the_redirect_returns_the_code_and_frees_the_port(listen: Listen) -> None:  # FLO-4
    waiting = listen()
    port = urlsplit(waiting.listener.redirect_uri).port or 0

    page = waiting.get(GOOD)

    assert page == pages.RECEIVED
    assert waiting.answer.result(10) == Secret("c0de")
    assert refuses(port)


def test_the_redirect_uri_is_a_literal_address_with_the_bound_port(listen: Listen) -> None:  # FLO-4
    waiting = listen(path="/oauth/example")

    assert waiting.listener.redirect_uri.startswith("http://127.0.0.1:")
    assert waiting.listener.redirect_uri.endswith("/oauth/example")
    assert waiting.get(f"/oauth/example?code=c0de&state={STATE}") == pages.RECEIVED


def test_a_request_may_arrive_byte_by_byte(listen: Listen) -> None:
    waiting = listen()
    request = f"GET {GOOD} HTTP/1.1\r\nHost: {waiting.authority}\r\n\r\n".encode()

    with waiting.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            connection.sendall(bytes([byte]))
        assert read_all(connection) == pages.RECEIVED
    assert waiting.answer.result(10) == Secret("c0de")


def test_the_user_declined(listen: Listen) -> None:  # FLO-12
    waiting = listen()

    assert waiting.get(f"/callback?error=access_denied&error_description=canary&state={STATE}") == pages.DECLINED
    with raises_code(LoginRequired, "sign-in-not-completed") as caught:
        waiting.answer.result(10)
    assert "access_denied" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_server_refused_the_request(listen: Listen) -> None:
    waiting = listen()

    assert waiting.get(f"/callback?error=invalid_scope&state={STATE}") == pages.DECLINED
    with raises_code(ProviderRefused, "sign-in-refused") as caught:
        waiting.answer.result(10)
    assert "invalid_scope" in str(caught.value)


# --- unrelated requests: FAULT-53 -----------------------------------------------------------------------------------


@proves("FAULT-53", "FLO-2", "FLO-5")
def test_unrelated_requests_are_rejected_and_the_attempt_continues(listen: Listen) -> None:
    waiting = listen()
    here = f"Host: {waiting.authority}"

    answers = [
        *(waiting.get(f"/callback?code=evil&state=wrong{number}") for number in range(50)),
        waiting.get(f"/callback?code=a&code=b&state={STATE}"),
        waiting.get("/favicon.ico"),
        waiting.get(GOOD, method="HEAD"),
        waiting.raw(f"POST {GOOD} HTTP/1.1\r\n{here}\r\nContent-Length: 90000\r\n\r\n".encode() + b"x" * 90_000),
        waiting.raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"),
        waiting.raw(f"GET {GOOD} HTTP/1.1\r\n{here}\r\nA: ".encode() + b"a" * 100_000 + b"\r\n\r\n"),
        waiting.get(GOOD, "Host: evil.example"),
        waiting.get(GOOD, here, "Sec-Purpose: prefetch"),
        waiting.get(GOOD, here, "Sec-Fetch-Dest: image"),
        waiting.raw(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"),
        waiting.get(f"{GOOD}&iss=https%3A%2F%2Fevil.example"),
    ]

    statuses = [int(answer.split(b" ", 2)[1]) for answer in answers]
    assert statuses == [400] * 50 + [400, 404, 405, 405, 414, 431, 421, 403, 403, 400, 400]
    assert not waiting.answer.done()
    assert waiting.get(GOOD) == pages.RECEIVED
    assert waiting.answer.result(10) == Secret("c0de")


def test_nothing_from_a_request_is_echoed(listen: Listen) -> None:  # FLO-6
    waiting = listen()

    answer = waiting.get(
        "/callback?code=canary<script>&state=canary&error=canary", f"Host: {waiting.authority}", "A: canary"
    )

    assert b"canary" not in answer


@proves("FAULT-53", "FLO-2")
def test_64_unrelated_requests_end_the_attempt(listen: Listen) -> None:
    waiting = listen()

    for _ in range(64):
        assert b" 404 " in waiting.get("/")

    with raises_code(LoginRequired, "redirect-port-flooded") as caught:
        waiting.answer.result(10)
    assert "64" in str(caught.value)


def test_the_first_of_two_valid_redirects_wins(listen: Listen) -> None:
    waiting = listen()
    port = urlsplit(waiting.listener.redirect_uri).port or 0

    with waiting.connect() as second:
        assert waiting.get(GOOD) == pages.RECEIVED
        assert waiting.answer.result(10) == Secret("c0de")
        second.settimeout(10)
        try:
            second.sendall(f"GET {GOOD.replace('c0de', 'other')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            late = read_all(second)
        except OSError:
            late = b""
    assert late == b""
    assert refuses(port)


# --- slow connections ---------------------------------------------------------------------------------------------


def test_silent_connections_do_not_block_the_redirect(listen: Listen) -> None:
    waiting = listen(connection_seconds=60)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(waiting.connect())
        half = stack.enter_context(waiting.connect())
        half.sendall(b"GET /callback?code=")
        started = time.monotonic()

        assert waiting.get(GOOD) == pages.RECEIVED
        assert waiting.answer.result(20) == Secret("c0de")
        assert time.monotonic() - started < 40


def test_a_silent_connection_is_closed(listen: Listen) -> None:  # FLO-5
    waiting = listen(connection_seconds=0.2)

    with waiting.connect() as silent:
        assert silent.recv(1) == b""
    assert waiting.get(GOOD) == pages.RECEIVED


def test_a_dripping_connection_is_closed(listen: Listen) -> None:
    waiting = listen(connection_seconds=0.3)

    with waiting.connect() as dripping, pytest.raises(OSError, match=r"."):  # noqa: PT012  the write after the close fails
        for _ in range(1000):
            dripping.sendall(b"a")
            time.sleep(0.01)


def test_the_oldest_connection_is_closed_if_there_are_too_many(listen: Listen) -> None:
    waiting = listen(connection_seconds=60)
    with ExitStack() as stack:
        opened = [stack.enter_context(waiting.connect()) for _ in range(loopback.MAX_CONNECTIONS + 1)]

        assert opened[0].recv(1) == b""
        assert waiting.get(GOOD) == pages.RECEIVED


def test_a_served_connection_is_closed_at_once(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:  # FLO-5
    monkeypatch.setattr(loopback, "_LINGER", 60)
    waiting = listen(connection_seconds=60)

    assert b" 404 " in waiting.get("/")
    assert waiting.get(GOOD) == pages.RECEIVED
    assert waiting.answer.result(10) == Secret("c0de")


def test_a_client_that_never_closes_does_not_delay_the_code(listen: Listen) -> None:
    waiting = listen()
    with waiting.connect() as connection:
        connection.sendall(f"GET {GOOD} HTTP/1.1\r\nHost: {waiting.authority}\r\n\r\n".encode())

        assert waiting.answer.result(10) == Secret("c0de")
        assert read_all(connection) == pages.RECEIVED


def test_a_client_that_resets_does_not_stop_the_wait(listen: Listen) -> None:
    waiting = listen()
    for _ in range(5):
        with waiting.connect() as connection:
            reset_on_close(connection)
            connection.sendall(b"GET /")

    assert waiting.get(GOOD) == pages.RECEIVED


# --- what the page says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", "nothing"),
        ("?nonsense", "nothing"),
        ("?error=access_denied", "error-without-state"),
        ("?error=access_denied&error_description=canary", "error-without-state"),
        ("?error=access_denied&state=earlier", "other-state"),
        ("?code=canary&state=earlier", "other-state"),
        ("?code=canary", "other-state"),
        (f"?code=canary&state={STATE}&iss=https://evil.example", "other-issuer"),
        (f"?error=access_denied&state={STATE}&iss=https://evil.example", "other-issuer"),
    ],
)
def test_the_page_says_why_the_wait_goes_on(listen: Listen, query: str, page: Unproven) -> None:
    waiting = listen()

    assert waiting.get("/callback" + query) == pages.UNPROVEN[page]
    assert waiting.get(GOOD) == pages.RECEIVED


def test_the_user_is_told_once_about_an_error_without_a_state(listen: Listen) -> None:
    told: list[str] = []
    waiting = listen(notice=told.append)

    for _ in range(3):
        waiting.get("/callback?error=access_denied_canary")

    assert len(told) == 1
    assert "cancel" in told[0]
    assert "canary" not in told[0]


# --- giving up: FAULT-54 -------------------------------------------------------------------------------------------


def test_wait_returns_none_soon_after_giving_up(listen: Listen) -> None:
    waiting = listen()

    waiting.given_up.set()

    assert waiting.answer.result(20) is None


def test_leaving_the_context_frees_the_port(server: Server) -> None:
    with LoopbackListener(state=STATE, server=server) as listener:
        port = urlsplit(listener.redirect_uri).port or 0
        assert not refuses(port)

    assert refuses(port)


# --- addresses: FLO-4, FAULT-55 ------------------------------------------------------------------------------------


@contextmanager
def families(monkeypatch: pytest.MonkeyPatch, *there: socket.AddressFamily) -> Iterator[None]:
    real = loopback._listen

    def listen(family: socket.AddressFamily, port: int) -> socket.socket:
        if family not in there:
            raise OSError(99, "Cannot assign requested address")
        return real(family, port)

    with monkeypatch.context() as patch:
        patch.setattr(loopback, "_listen", listen)
        yield


def has_ipv6() -> bool:
    try:
        loopback._listen(socket.AF_INET6, 0).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@needs_ipv6
def test_localhost_is_bound_for_ipv4_and_ipv6_on_one_port(listen: Listen) -> None:
    waiting = listen(host="localhost")
    port = urlsplit(waiting.listener.redirect_uri).port or 0

    assert waiting.listener.redirect_uri == f"http://localhost:{port}/callback"
    assert not refuses(port, "127.0.0.1")
    assert not refuses(port, "::1")
    assert b" 421 " in waiting.get(GOOD, f"Host: 127.0.0.1:{port}", host="127.0.0.1")
    assert waiting.get(GOOD, host="::1") == pages.RECEIVED
    assert refuses(port, "127.0.0.1")
    assert refuses(port, "::1")


@proves("FAULT-55", "FLO-4")
@needs_ipv6
def test_a_port_that_another_program_holds_for_ipv6_is_not_used(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loopback._listen
    stolen: list[int] = []

    def steal_first(family: socket.AddressFamily, port: int) -> socket.socket:
        listening = real(family, port)
        if family == socket.AF_INET and port == 0 and len(stolen) < 4:
            wanted = listening.getsockname()[1]
            thief = real(socket.AF_INET6, wanted)
            stack.enter_context(thief)
            stolen.append(wanted)
        return listening

    with ExitStack() as stack:
        monkeypatch.setattr(loopback, "_listen", steal_first)
        waiting = listen(host="localhost")

        port = urlsplit(waiting.listener.redirect_uri).port
        assert stolen
        assert port not in stolen
        assert waiting.get(GOOD, host="::1") == pages.RECEIVED


def test_localhost_fails_if_no_port_is_free_in_both_families(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real = loopback._listen

    def half(family: socket.AddressFamily, port: int) -> socket.socket:
        if port:
            raise OSError(98, "Address already in use")
        return real(socket.AF_INET, 0)

    monkeypatch.setattr(loopback, "_listen", half)
    with raises_code(TransientError, "redirect-port-unavailable") as caught:
        LoopbackListener(state=STATE, server=server, host="localhost")
    assert "Address already in use" in str(caught.value)


def test_localhost_without_ipv6_is_bound_for_ipv4(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    with families(monkeypatch, socket.AF_INET):
        waiting = listen(host="localhost")

    assert waiting.get(GOOD, host="127.0.0.1") == pages.RECEIVED


@proves("FAULT-55", "FLO-4")
@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere, a port that is listened on is never shared")
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_program_can_share_the_port_on_windows(server: Server, host: str, fixed: bool) -> None:
    """By the option, as Wine 8 refuses a port to others without it, too."""
    with LoopbackListener(state=STATE, server=server, host=host, port=free_port() if fixed else None) as listener:
        assert listener._sockets
        if sys.platform == "win32":
            for listening in listener._sockets:
                assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE) == 1
                assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_ipv4_the_literal_is_ipv6(listen: Listen, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with families(monkeypatch, socket.AF_INET6):
        waiting = listen(host=host)

    assert waiting.listener.redirect_uri.startswith("http://[::1]:")
    assert waiting.get(GOOD) == pages.RECEIVED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_fixed_port_is_used_again_right_after_a_sign_in(listen: Listen, host: str) -> None:
    port = free_port()
    for _ in range(2):
        waiting = listen(host=host, port=port)

        assert waiting.listener.redirect_uri == f"http://{host}:{port}/callback"
        assert waiting.get(GOOD) == pages.RECEIVED
        waiting.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_fixed_port_that_is_taken_is_an_error_and_no_other_port_is_used(server: Server, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with raises_code(TransientError, "redirect-port-taken") as caught:
            LoopbackListener(state=STATE, server=server, host=host, port=port)
    assert str(port) in str(caught.value)
    assert "another program uses it" in str(caught.value)
    assert "redirect_port" in str(caught.value.hint)


@needs_ipv6
def test_a_fixed_port_for_localhost_must_be_free_in_both_families(server: Server) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as thief:
        port = thief.getsockname()[1]
        with raises_code(TransientError, "redirect-port-taken"):
            LoopbackListener(state=STATE, server=server, host="localhost", port=port)
        assert refuses(port)


def test_an_impossible_port(server: Server) -> None:
    with raises_code(TransientError, "redirect-port-taken") as caught:
        LoopbackListener(state=STATE, server=server, port=65536)
    assert "not a valid port" in str(caught.value)


def test_no_loopback_interface(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with families(monkeypatch), raises_code(TransientError, "redirect-port-unavailable") as caught:
        LoopbackListener(state=STATE, server=server)
    assert "Cannot assign requested address" in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "127.0.0.2", ""])  # noqa: S104  must be refused
def test_only_loopback_hosts_are_allowed(server: Server, host: str) -> None:
    with raises_code(ConfigurationError, "invalid-redirect-address") as caught:
        LoopbackListener(state=STATE, server=server, host=host)
    assert "host" in str(caught.value)


@pytest.mark.parametrize("path", ["", "callback", "/a?b", "/a#b", "/a b", "/é", "/a\r\n"])
def test_an_invalid_redirect_path(server: Server, path: str) -> None:
    with raises_code(ConfigurationError, "invalid-redirect-address") as caught:
        LoopbackListener(state=STATE, server=server, path=path)
    assert "path" in str(caught.value)


def test_nothing_is_logged_or_printed(
    listen: Listen, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:  # FLO-6
    caplog.set_level(logging.DEBUG)
    waiting = listen()

    waiting.get("/canary?code=canary")
    waiting.get(GOOD)
    waiting.answer.result(10)

    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
