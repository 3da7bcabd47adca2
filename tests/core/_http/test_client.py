"""The HTTP client with real sockets: failures are classified by whether anything may have been sent."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import importlib.metadata
import ipaddress
import logging
import os
import queue
import re
import socket
import ssl
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from freshkey._http import client, incoming
from freshkey._http.client import _user_agent, send
from freshkey._http.messages import form
from freshkey._json import MAX_BODY
from freshkey.errors import (
    ConfigurationError,
    IntermediaryAnswer,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Request, Response
from promises import proves
from raises_code import raises_code
from sockets import reset_on_close, stop_listening
from waiting import PATIENCE, until


CANARY = "canary-5f1d0c9a7e"

Script = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def no_proxy_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- scripted servers -----------------------------------------------------------------------------------------------


@frozen
class Place:
    port: int
    requests: queue.SimpleQueue[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def secure_url(self) -> str:
        return f"https://127.0.0.1:{self.port}/token"


@contextlib.contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[Place]:
    """Serve connections one at a time on a free port: read the request, then run `script`."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
                with spoken:
                    requests.put(read_request(spoken))
                    script(spoken)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Place(listener.getsockname()[1], requests)
        finally:
            stop_listening(listener)
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(*, status: str = "200 OK", headers: tuple[str, ...] = (), body: bytes = b"{}") -> Script:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return lambda connection: connection.sendall(head.encode() + body)


def post(place: Place, *, deadline: float = 20.0, **options: Any) -> Response:
    request = form(place.url, {"refresh_token": CANARY}, {"Authorization": f"Bearer {CANARY}"})
    return send(request, deadline=deadline, allow_insecure_loopback=True, **options)


# --- a response arrives ---------------------------------------------------------------------------------------------


def test_request_and_response_are_transferred_whatever_the_status() -> None:
    refused = answer(status="400 Bad Request", headers=("X-Two: a", "X-Two: b"), body=b'{"error":"x"}')
    with serving(refused) as place:
        response = post(place)
        seen = place.requests.get(timeout=20).decode()
    assert (response.status, response.body) == (400, b'{"error":"x"}')
    assert response.headers["x-two"] == "a, b"
    assert seen.startswith("POST /token HTTP/1.1\r\n")
    assert seen.endswith(f"\r\n\r\nrefresh_token={CANARY}")


def test_user_agent_and_accept_encoding_cannot_be_overridden() -> None:
    with serving(answer()) as place:
        forged = {"user-agent": "SomebodyElse/1", "accept-encoding": "gzip", "X-Kept": "yes"}
        send(form(place.url, {}, forged), allow_insecure_loopback=True)
        seen = place.requests.get(timeout=20).decode().lower()
    assert re.search(r"\r\nuser-agent: freshkey/\d+\.\d+", seen)
    assert "\r\naccept-encoding: identity\r\n" in seen
    assert "\r\nx-kept: yes\r\n" in seen
    assert "somebodyelse" not in seen
    assert "gzip" not in seen


def test_user_agent_without_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    _user_agent.cache_clear()
    try:
        with serving(answer()) as place:
            post(place)
            assert b"\r\nuser-agent: freshkey\r\n" in place.requests.get(timeout=20).lower()
    finally:
        _user_agent.cache_clear()


def test_each_exchange_uses_a_new_connection() -> None:
    peers: queue.SimpleQueue[object] = queue.SimpleQueue()

    def script(connection: socket.socket) -> None:
        peers.put(connection.getpeername())
        answer()(connection)
        connection.recv(1)  # the client closes; on a keep-alive connection its next request would arrive here

    with serving(script) as place:
        post(place)
        post(place)
        assert peers.get(timeout=20) != peers.get(timeout=20)


def test_loopback_requests_bypass_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(answer()) as place:
        assert post(place).status == 200


def test_a_body_of_exactly_the_limit_is_read() -> None:
    with serving(answer(body=b"x" * MAX_BODY)) as place:
        assert len(post(place).body) == MAX_BODY


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize(
    ("script", "kind", "code", "fact"),
    [
        (answer(status="600 Unknown"), ProtocolError, "invalid-response", "600"),
        (
            answer(headers=("Content-Encoding: br",), body=b"\x8b\x0b\x80"),
            ProtocolError,
            "response-compressed",
            "127.0.0.1",
        ),
        (answer(body=b"x" * (2 << 20)), ProtocolError, "response-too-large", f"{MAX_BODY} bytes"),
        (
            answer(headers=("Content-Encoding: br", "Content-Type: text/html"), body=b"\x8b\x0b\x80"),
            IntermediaryAnswer,
            "answered-in-between",
            "a page",
        ),
        (
            answer(
                status="401 Unauthorized",
                headers=("Content-Encoding: zstd", "Content-Type: text/HTML; charset=utf-8"),
                body=b"\x28\xb5\x2f\xfd",
            ),
            IntermediaryAnswer,
            "answered-in-between",
            "a page",
        ),
        (
            answer(headers=("Content-Encoding: gzip",), body=gzip.compress(b"x" * (2 << 20))),
            ProtocolError,
            "response-too-large",
            f"{MAX_BODY} bytes",
        ),
    ],
    ids=["600", "brotli", "2-MiB", "brotli-page", "zstd-page-401", "2-MiB-gzip"],
)
def test_responses_that_cannot_be_read_are_protocol_errors(
    script: Script, *, kind: type[ProtocolError], code: str, fact: str
) -> None:
    with serving(script) as place, raises_code(kind, code) as caught:
        post(place)
    assert type(caught.value) is kind
    assert fact in str(caught.value)


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("503 Busy", (), b"<" * (2 << 20)),
        ("403 Forbidden", ("Content-Encoding: br",), b"\x8b\x0b\x80"),
        ("400 Bad Request", ("Content-Encoding: gzip",), gzip.compress(b"x" * (2 << 20))),
    ],
    ids=["large", "brotli", "large-gzip"],
)
def test_the_status_of_an_error_counts_whatever_its_body(status: str, headers: tuple[str, ...], body: bytes) -> None:
    with serving(answer(status=status, headers=headers, body=body)) as place:
        response = post(place)
    assert response.status == int(status[:3])
    assert len(response.body) <= MAX_BODY


@proves("NET-6")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Encoding: gzip",), gzip.compress(b"{}")),
        (("Content-Encoding: deflate",), zlib.compress(b"{}")),
        (tuple(f"X-{n}: 1" for n in range(1000)), b"{}"),
        (("X-Same: 1",) * 1000, b"{}"),
    ],
    ids=["gzip", "deflate", "1000-headers", "one-header-1000-times"],
)
def test_compressed_responses_and_many_headers_are_read(headers: tuple[str, ...], body: bytes) -> None:
    with serving(answer(headers=headers, body=body)) as place:
        response = post(place)
    assert response.body == b"{}"
    assert "content-encoding" not in response.headers


@proves("FAULT-37", "NET-5")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "304 Not Modified", "307 Moved"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with serving(answer()) as target:
        with (
            serving(answer(status=status, headers=(f"Location: {target.url}",))) as place,
            raises_code(TransientError, "redirect-refused") as caught,
        ):
            post(place)
        assert caught.value.local
        assert status[:3] in str(caught.value)
        assert target.requests.empty()


# --- nothing was sent -----------------------------------------------------------------------------------------------


@proves("FAULT-32", "NET-1")
def test_a_refused_connection_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with raises_code(TransientError, "connection-failed") as caught:
        post(Place(port, queue.SimpleQueue()))
    assert caught.value.local
    assert f"127.0.0.1:{port}: Connection refused" in str(caught.value)


@proves("FAULT-32", "NET-1")
def test_a_name_that_does_not_resolve_is_transient() -> None:
    with raises_code(TransientError, "connection-failed") as caught:
        send(Request(method="GET", url="https://freshkey.invalid/"), deadline=10)
    assert caught.value.local
    assert "freshkey.invalid" in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "xn--a.invalid", "xn--.invalid"])
def test_an_invalid_host_name_is_a_configuration_error(host: str) -> None:
    with raises_code(ConfigurationError, "invalid-url") as caught:
        send(Request(method="GET", url=f"https://{host}/"), deadline=5)
    assert host in str(caught.value)


def test_a_hanging_name_lookup_fails_at_the_deadline_and_sends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, over = socket.getaddrinfo, threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        over.wait(10)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(answer()) as place:
        with raises_code(TransientError, "connection-failed") as caught:
            post(place, deadline=0.1)
        assert "0.1 s" in str(caught.value)
        over.set()
        # The abandoned thread now connects, and must close the connection without sending anything.
        assert place.requests.get(timeout=20) == b""


def test_an_abandoned_request_sends_nothing_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, over = socket.getaddrinfo, threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        over.wait(10)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(answer()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with raises_code(TransientError, "connection-failed") as caught:
            send(Request(method="POST", url="https://freshkey.invalid/"), deadline=0.1)
        assert "0.1 s" in str(caught.value)
        over.set()
        # A proxy that drips its response would otherwise block the abandoned thread forever.
        assert proxy.requests.get(timeout=20) == b""


def test_a_server_that_never_finishes_the_tls_handshake_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with raises_code(TransientError, "connection-failed"):
            send(Request(method="GET", url=url), deadline=0.3)


def test_a_server_without_tls_is_transient() -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        with raises_code(TransientError, "connection-failed"):
            send(Request(method="GET", url=f"https://127.0.0.1:{listener.getsockname()[1]}/"), deadline=5)
        thread.join()


@proves("FAULT-52", "NET-1")
def test_running_out_of_threads_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError

    with serving(answer()) as place:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with raises_code(TransientError, "out-of-threads") as caught:
            post(place)
        monkeypatch.undo()
    assert caught.value.local


# --- something may have been sent -----------------------------------------------------------------------------------


def reset(connection: socket.socket) -> None:
    reset_on_close(connection)


def drip(prefix: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)

    return script


@proves("FAULT-35", "ROT-6")
@pytest.mark.parametrize(
    "script",
    [
        reset,
        lambda _: None,
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        lambda connection: connection.sendall(f"SSH-2.0-{CANARY}\r\n".encode()),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000),
    ],
    ids=["reset", "closed", "truncated", "truncated-chunk", "not-http", "endless-header"],
)
def test_a_broken_response_leaves_the_outcome_unknown(script: Script) -> None:  # FAULT-34
    with serving(script) as place, raises_code(OutcomeUnknown, "response-lost") as caught:
        post(place)
    assert CANARY not in str(caught.value)


TOKENS = b'{"access_token": "at-1", "refresh_token": "rt-1"}'

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(TOKENS)


def ending_badly(body: bytes, *headers: str, status: str = "200 OK") -> Script:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""])
    return lambda connection: connection.sendall(head.encode() + body)


def left_open(response: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(response)
        connection.recv(1)

    return script


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize(
    "script",
    [
        ending_badly(TOKENS, "Content-Length: 99"),
        ending_badly(TOKENS + b"<!-- 7 -->", "Content-Length: 99"),
        ending_badly(b"%x\r\n%b\r\n" % (len(TOKENS), TOKENS), "Transfer-Encoding: chunked"),
        ending_badly(b"%x\r\n%b" % (len(TOKENS) + 9, TOKENS + b" "), "Transfer-Encoding: chunked"),
        ending_badly(gzip.compress(TOKENS)[:-8] + bytes(8), "Content-Encoding: gzip"),
        ending_badly(gzip.compress(TOKENS)[:-8], "Content-Encoding: gzip", "Content-Length: 999"),
        ending_badly(TOKENS.replace(b"access_t", b"accessT"), "Content-Length: 99", status="201 Created"),
        ending_badly(TOKENS + b"x" * (2 << 20)),
        left_open(b"HTTP/1.1 200 OK\r\n\r\n" + TOKENS),
        left_open(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + TOKENS + b"\n"),
        left_open(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(TOKENS), TOKENS)),
    ],
    ids=[
        *("short", "short-with-a-comment", "no-last-chunk", "cut-chunk", "wrong-checksum", "short-gzip", "camel-case"),
        *("too-long", "left-open", "short-left-open", "no-last-chunk-left-open"),
    ],
)
def test_tokens_that_have_arrived_count_whatever_ends_the_response(script: Script) -> None:
    with serving(script) as place:
        start = time.monotonic()
        response = post(place, deadline=60.0)

        assert b"at-1" in response.body
        assert "content-encoding" not in response.headers
        assert time.monotonic() - start < 30


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize(
    "headers",
    [
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 5", "Content-Length: 7"),
        ("PHP Warning",),
        ("Bad Name: 1", "X-A: a\0b"),
        (f"Set-Cookie: a={'x' * 200_000}",),
    ],
    ids=["identity", "not-chunked", "two-lengths", "no-colon", "invalid-headers", "long-cookie"],
)
def test_tokens_are_read_after_a_head_that_is_not_valid(headers: tuple[str, ...]) -> None:
    with serving(ending_badly(TOKENS, *headers, "X-Kept: 1")) as place:
        response = post(place)
    assert (response.body, response.headers["x-kept"]) == (TOKENS, "1")


@proves("FAULT-36", "NET-6")
@pytest.mark.parametrize(
    "response", [ENDLESS, b"HTTP/1.1 200 OK\r\n\r\n" + TOKENS + b"<!-- 7 -->"], ids=["gzip", "a-comment"]
)
def test_what_has_arrived_is_read_again_at_the_deadline(response: bytes) -> None:
    with serving(left_open(response)) as place:
        assert post(place, deadline=1.0).body.startswith(TOKENS)


@proves("FAULT-35", "NET-6")
@pytest.mark.parametrize(
    "script",
    [
        ending_badly(TOKENS[:-1], "Content-Length: 99"),
        ending_badly(b'{"data": ' + TOKENS, "Content-Length: 99"),
        ending_badly(b'{"access_token": ""}', "Content-Length: 99"),
        ending_badly(b'{"keys": []}', "Content-Length: 99"),
        ending_badly(b"[" + TOKENS + b"]", "Content-Length: 99"),
        ending_badly(b'{"error": "invalid_gr', "Content-Length: 99", status="400 Bad Request"),
        ending_badly(b"Unauthorized", "Content-Length: 99", status="401 Unauthorized"),
        ending_badly(b"", "Content-Length: 99", status="401 Unauthorized"),
        ending_badly(gzip.compress(TOKENS)[:-20], "Content-Encoding: gzip", "Content-Length: 99"),
        ending_badly(b"<br />\n<b>Warning</b>:  x in <b>/a.php</b><br />\n", "Content-Length: 500"),
        ending_badly(b"<b>Fatal error</b>:  x <br />\n" + TOKENS[:20], "Content-Length: 500"),
        ending_badly(b"<!-- debug: ", "Content-Length: 500"),
    ],
    ids=[
        "no-end",
        "no-outer-end",
        "no-token",
        "no-tokens",
        "a-list",
        "part-of-an-error",
        "text",
        "nothing",
        "cut-gzip",
        "a-warning",
        "a-fatal-error-and-part",
        "part-of-a-comment",
    ],
)
def test_anything_else_that_is_incomplete_does_not(script: Script) -> None:
    with serving(script) as place, raises_code(OutcomeUnknown, "response-lost"):
        post(place)


PAGE = b"<html>Blocked</html>"


@proves("FAULT-35", "NET-6")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, body) for status in (403, 404, 407, 429, 500, 502, 503, 511) for body in (PAGE, b"", b'{"error": ')),
        *((status, PAGE) for status in (200, 400, 401)),
        *((200, before + PAGE) for before in (b"<!-- x -->", b"<br />\n<b>Warning</b>:  x <br />\n")),
        *((401, body) for body in (b"<b>Blocked</b>", b"<!-- block page ")),
        *((status, b'{"error": "invalid_grant"}') for status in (400, 401)),
    ],
)
def test_a_response_whose_body_is_cut_off_is_known_if_its_beginning_says_enough(status: int, body: bytes) -> None:
    with serving(ending_badly(body, "Content-Length: 900", "Retry-After: 7", status=f"{status} X")) as place:
        response = post(place)
    assert (response.status, response.body, response.headers["retry-after"]) == (status, body, "7")


@proves("FAULT-36", "NET-6")
@pytest.mark.parametrize("status", ["403 Forbidden", "503 Busy", "200 OK"])
def test_a_response_whose_body_does_not_end_is_known_at_the_deadline(status: str) -> None:
    with serving(left_open(f"HTTP/1.1 {status}\r\n\r\n".encode() + PAGE)) as place:
        response = post(place, deadline=1.0)
    assert (response.status, response.body) == (int(status[:3]), PAGE)


@proves("FAULT-35", "NET-6")
@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(PAGE)[:-9]), ("gzip", gzip.compress(PAGE)), ("", b"<" * (2 << 20))],
    ids=["cut-gzip", "gzip", "too-long"],
)
def test_the_beginning_of_a_page_is_enough(coding: str, body: bytes) -> None:
    with serving(ending_badly(body, f"Content-Encoding: {coding}", f"Content-Length: {3 << 20}")) as place:
        response = post(place)
    assert response.body.startswith(b"<")
    assert len(response.body) <= MAX_BODY


def test_a_body_in_single_bytes_is_read_a_limited_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def has_token(body: bytes) -> bool:
        read.append(body)
        return False

    monkeypatch.setattr(incoming, "has_token", has_token)
    pieces = incoming.Incoming(200, {})

    for _ in range(1000):
        pieces.body += b"}"
        assert not pieces.complete()

    assert len(read) == incoming._MAX_LOOKS


@proves("FAULT-36", "NET-6")
@pytest.mark.parametrize(
    "script",
    [
        lambda connection: connection.recv(1),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ],
    ids=["black-hole", "dripping-headers", "dripping-body"],
)
def test_the_deadline_covers_the_whole_exchange(script: Script) -> None:  # NET-6
    with serving(script) as place:
        start = time.monotonic()
        with raises_code(OutcomeUnknown, "response-lost"):
            post(place, deadline=0.3)
        assert time.monotonic() - start < 20


def test_giving_up_closes_the_connection() -> None:
    closed = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.recv(1)
        closed.set()

    with serving(script) as place:
        with raises_code(OutcomeUnknown, "response-lost"):
            post(place, deadline=0.1)
        assert closed.wait(20)


def workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "freshkey-http"}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each read of an exchange wait for minutes, so that only the caller's own deadline ends its wait."""
    with serving(answer()) as place:
        post(place)  # the first exchange of a process imports much
    build = client._client
    monkeypatch.setattr(client, "_client", lambda url, host, _: build(url, host, 10 * PATIENCE))


def stays_open(script: Script) -> Script:
    def run(connection: socket.socket) -> None:
        script(connection)
        until(lambda: not workers(), "the exchange to end")

    return run


@proves("FAULT-36", "NET-6")
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "late",
    [lambda _: None, stays_open(answer(body=TOKENS)), drip(b"HTTP/1.1 200 OK\r\nX-Slow: ")],
    ids=["the-connection-ends", "the-response-arrives", "the-server-drips"],
)
def test_the_caller_returns_in_time_and_the_thread_ends_with_what_comes_next(late: Script) -> None:
    """Shutting down a socket need not wake the thread that reads from it: it does not in Wine 8."""
    earlier = workers()

    def script(connection: socket.socket) -> None:
        connection.recv(1)  # the client gives up
        late(connection)

    with serving(script) as place:
        start = time.monotonic()
        with raises_code(OutcomeUnknown, "response-lost"):
            post(place, deadline=2.0)
        assert 2.0 <= time.monotonic() - start < 20
        until(lambda: workers() <= earlier, "the thread to end")


@proves("FAULT-36", "NET-6")
def test_the_thread_of_an_abandoned_request_ends_if_nothing_ever_comes() -> None:
    over, earlier = threading.Event(), workers()

    def script(_: socket.socket) -> None:
        over.wait(PATIENCE)

    with serving(script) as place:
        with raises_code(OutcomeUnknown, "response-lost"):
            post(place, deadline=2.0)
        until(lambda: workers() <= earlier, "the thread to end")
        over.set()


# --- certificates ---------------------------------------------------------------------------------------------------


@frozen
class Certificate:
    file: Path
    context: ssl.SSLContext


def certificate(folder: Path, *, address: str = "127.0.0.1", expired: bool = False) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "freshkey tests")])
    now = dt.datetime.now(dt.UTC)
    end = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=1)
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return Certificate(file, context)


@proves("FAULT-38", "NET-5")
def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:  # NET-1
    with serving(answer(), tls=certificate(tmp_path).context) as place:
        with raises_code(TransientError, "tls-certificate-refused") as caught:
            send(form(place.secure_url, {"refresh_token": CANARY}))
        assert place.requests.empty()
    assert caught.value.local
    assert "self-signed" in str(caught.value)
    assert "SSL_CERT_FILE" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "fact"), [({"address": "127.0.0.9"}, "mismatch"), ({"expired": True}, "expired")], ids=str
)
def test_a_trusted_certificate_must_match_the_host_and_be_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], fact: str
) -> None:
    made = certificate(tmp_path, **options)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with (
        serving(answer(), tls=made.context) as place,
        raises_code(TransientError, "tls-certificate-refused") as caught,
    ):
        send(Request(method="GET", url=place.secure_url))
    assert fact in str(caught.value)


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this OpenSSL has no TLS 1.1")
def test_a_server_with_tls_1_1_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # NET-5
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    made.context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.context.minimum_version = made.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(answer(), tls=made.context) as place, raises_code(TransientError, "tls-version-refused") as caught:
        send(Request(method="GET", url=place.secure_url))
    assert "TLS 1.2" in str(caught.value)


def test_ssl_cert_file_is_trusted_and_sslkeylogfile_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with serving(answer(), tls=made.context) as place:
        assert send(Request(method="GET", url=place.secure_url), hosts=["127.0.0.1"]).status == 200
    assert not (tmp_path / "keys.log").exists()


@proves("LEK-10")
def test_sslkeylogfile_is_ignored_towards_a_proxy_that_speaks_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with serving(answer(status="407 Proxy Authentication Required"), tls=made.context) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://user:canary@127.0.0.1:{proxy.port}")
        with raises_code(TransientError, "connection-failed"):
            send(form("https://127.0.0.2:7/", {"refresh_token": CANARY}))
        assert proxy.requests.get().startswith(b"CONNECT 127.0.0.2:7")
    assert not (tmp_path / "keys.log").exists()


@proves("LEK-10")
def test_passwords_of_a_netrc_file_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password canary\n", "utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(answer()) as place:
        send(Request(method="GET", url=place.url), allow_insecure_loopback=True)
        assert b"authorization" not in place.requests.get().lower()


@proves("FAULT-40", "NET-6")
def test_a_head_that_is_not_valid_is_read_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with serving(ending_badly(TOKENS, "PHP Warning", "Content-Length: x"), tls=made.context) as place:
        assert send(form(place.secure_url, {"refresh_token": CANARY})).body == TOKENS


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize("established", ["HTTP/1.1 200 Established\r\n\r\n", "HTTP/1.0 200 OK\r\nVia: p\r\n\r\n"])
def test_a_head_that_is_not_valid_is_read_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, established: str
) -> None:
    made = certificate(tmp_path, address="127.0.0.2")

    def script(connection: socket.socket) -> None:
        connection.sendall(established.encode())
        with made.context.wrap_socket(connection, server_side=True) as spoken:
            read_request(spoken)
            ending_badly(TOKENS, "PHP Warning", "Content-Length: x")(spoken)

    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with serving(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert send(form("https://127.0.0.2:7/", {"refresh_token": CANARY})).body == TOKENS


@proves("FAULT-36", "NET-6")
def test_the_deadline_covers_a_dripping_tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with (
        serving(drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), tls=made.context) as place,
        raises_code(OutcomeUnknown, "response-lost"),
    ):
        send(Request(method="GET", url=place.secure_url), deadline=0.5)


@pytest.mark.parametrize(
    "setting",
    [
        {"SSL_CERT_FILE": os.devnull + "/missing.pem"},
        {"HTTPS_PROXY": "gopher://127.0.0.1"},
        {"HTTPS_PROXY": "http://127.0.0.1:port"},
    ],
    ids=["missing-certificates", "unknown-proxy-scheme", "invalid-proxy-url"],
)
def test_unusable_network_settings_in_the_environment_are_named(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    with raises_code(ConfigurationError, "invalid-network-settings") as caught:
        send(Request(method="GET", url="https://freshkey.invalid/"))
    assert next(iter(setting)) in str(caught.value)


def test_a_proxy_that_refuses_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(status="407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CANARY}@127.0.0.1:{proxy.port}")
        with raises_code(TransientError, "connection-failed") as caught:
            send(form("https://freshkey.invalid/", {"refresh_token": CANARY}))
        assert proxy.requests.get(timeout=20).startswith(b"CONNECT freshkey.invalid:443 ")
    assert caught.value.local
    assert "HTTPS_PROXY" in str(caught.value)
    assert CANARY not in str(caught.value)


# --- allowed hosts, and secrets in logs and tracebacks --------------------------------------------------------------


def test_only_the_allowed_hosts_are_called() -> None:  # TRU-2
    with serving(answer()) as place:
        with raises_code(ProviderRefused, "host-not-allowed") as caught:
            post(place, hosts=["auth.example.com"])
        assert "127.0.0.1" in str(caught.value)
        assert place.requests.empty()
        assert post(place, hosts=["127.0.0.1"]).status == 200


def test_http_libraries_log_neither_request_nor_response(caplog: pytest.LogCaptureFixture) -> None:  # LEK-3
    caplog.set_level(logging.DEBUG)
    with serving(answer(status=f"200 {CANARY}", headers=(f"Set-Cookie: {CANARY}",))) as place:
        post(place)
    assert CANARY not in caplog.text
    assert "POST request to 127.0.0.1: status 200" in caplog.text


def test_log_records_of_the_applications_own_httpx_use_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answer()) as place:
        post(place)
    logging.getLogger("httpx").info("a record of the application")
    assert "a record of the application" in caplog.text


def test_the_traceback_of_an_error_does_not_lead_to_the_request() -> None:  # LEK-1
    with (
        serving(answer(status="302 Found", headers=(f"Location: /{CANARY}",))) as place,
        raises_code(TransientError, "redirect-refused") as caught,
    ):
        post(place)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    frames = []
    step = caught.value.__traceback__
    while step is not None:
        frames.append(step.tb_frame.f_code.co_name)
        step = step.tb_next
    assert "_read" not in frames
