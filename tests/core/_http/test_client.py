"""Every failure of an exchange, provoked with real sockets, is sorted by what may have been sent."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import ipaddress
import logging
import os
import queue
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from freshkey._http.client import _user_agent, send
from freshkey._http.messages import Request, Response, form
from freshkey._json import MAX_BODY
from freshkey.errors import (
    ConfigurationError,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from matrix import row


CANARY = "canary-5f1d0c9a7e"

Script = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def no_proxy_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- servers that do exactly what a test says -----------------------------------------------------------------------


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
    """Serve one connection after the other on a free port: read the request, then play `script`."""
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
            listener.shutdown(socket.SHUT_RDWR)
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


def post(place: Place, *, deadline: float = 5.0, **options: Any) -> Response:
    request = form(place.url, {"refresh_token": CANARY}, {"Authorization": f"Bearer {CANARY}"})
    return send(request, deadline=deadline, allow_insecure_loopback=True, **options)


# --- an answer comes ------------------------------------------------------------------------------------------------


def test_the_request_arrives_and_the_answer_comes_back_whatever_its_status() -> None:
    refused = answer(status="400 Bad Request", headers=("X-Two: a", "X-Two: b"), body=b'{"error":"x"}')
    with serving(refused) as place:
        response = post(place)
        seen = place.requests.get(timeout=20).decode()
    assert (response.status, response.body) == (400, b'{"error":"x"}')
    assert response.headers["x-two"] == "a, b"
    assert seen.startswith("POST /token HTTP/1.1\r\n")
    assert seen.endswith(f"\r\n\r\nrefresh_token={CANARY}")


def test_the_user_agent_is_honest_and_compression_is_declined() -> None:
    with serving(answer()) as place:
        forged = {"user-agent": "SomebodyElse/1", "accept-encoding": "gzip", "X-Kept": "yes"}
        send(form(place.url, {}, forged), allow_insecure_loopback=True)
        seen = place.requests.get(timeout=20).decode().lower()
    assert re.search(r"\r\nuser-agent: freshkey/\d+\.\d+", seen)
    assert "\r\naccept-encoding: identity\r\n" in seen
    assert "\r\nx-kept: yes\r\n" in seen
    assert "somebodyelse" not in seen
    assert "gzip" not in seen


def test_a_bundled_freshkey_without_metadata_still_says_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_each_exchange_uses_a_connection_of_its_own() -> None:
    peers: queue.SimpleQueue[object] = queue.SimpleQueue()

    def script(connection: socket.socket) -> None:
        peers.put(connection.getpeername())
        answer()(connection)
        connection.recv(1)  # the client closes; a kept-alive connection would bring its next request here

    with serving(script) as place:
        post(place)
        post(place)
        assert peers.get(timeout=20) != peers.get(timeout=20)


def test_a_proxy_never_sees_what_is_meant_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(answer()) as place:
        assert post(place).status == 200


def test_a_body_of_exactly_the_limit_is_read() -> None:
    with serving(answer(body=b"x" * MAX_BODY)) as place:
        assert len(post(place).body) == MAX_BODY


@row(39, "NET-6")
@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answer(status="302 Found", headers=("Location: http://127.0.0.1:9/",)), "302"),
        (answer(status="304 Not Modified"), "304"),
        (answer(headers=("Content-Encoding: gzip",)), "compressed"),
        (answer(body=b"x" * (2 << 20)), "bytes"),
        (answer(headers=tuple(f"X-{n}: 1" for n in range(101))), "headers"),
    ],
    ids=["redirect", "not-modified", "gzip", "2-MiB", "101-headers"],
)
def test_an_answer_outside_the_rules_is_a_protocol_error(script: Script, says: str) -> None:  # NET-5, NET-6
    with serving(script) as place, pytest.raises(ProtocolError, match=says):
        post(place)


@row(37, "NET-5")
def test_a_redirect_is_not_followed() -> None:
    with serving(answer()) as target:
        with (
            serving(answer(status="307 Moved", headers=(f"Location: {target.url}",))) as place,
            pytest.raises(ProtocolError),
        ):
            post(place)
        assert target.requests.empty()


# --- nothing was sent -----------------------------------------------------------------------------------------------


@row(32, "NET-1")
def test_a_refused_connection_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransientError, match=r"nothing could be sent to 127\.0\.0\.1: Connection refused"):
        post(Place(port, queue.SimpleQueue()))


@row(32, "NET-1")
def test_a_name_that_does_not_resolve_is_transient() -> None:
    with pytest.raises(TransientError, match=r"freshkey\.invalid"):
        send(Request(method="GET", url="https://freshkey.invalid/"), deadline=10)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "xn--a.invalid", "xn--.invalid"])
def test_a_name_that_no_host_can_have_is_a_fault_of_the_configuration(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{host} cannot be the name of a host"):
        send(Request(method="GET", url=f"https://{host}/"), deadline=5)


def test_a_name_lookup_that_hangs_ends_at_the_deadline_and_sends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, over = socket.getaddrinfo, threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        over.wait(10)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(answer()) as place:
        with pytest.raises(TransientError, match=r"within 0\.1 s"):
            post(place, deadline=0.1)
        over.set()
        # The abandoned thread now connects, and must hang up without a word.
        assert place.requests.get(timeout=20) == b""


def test_what_was_given_up_asks_no_proxy_either(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, over = socket.getaddrinfo, threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        over.wait(10)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(answer()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(TransientError, match=r"within 0\.1 s"):
            send(Request(method="POST", url="https://freshkey.invalid/"), deadline=0.1)
        over.set()
        # A proxy that drips its answer would otherwise keep the abandoned thread for ever.
        assert proxy.requests.get(timeout=20) == b""


def test_a_server_that_never_finishes_the_tls_handshake_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransientError):
            send(Request(method="GET", url=url), deadline=0.3)


def test_a_server_that_speaks_no_tls_is_transient() -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(TransientError):
            send(Request(method="GET", url=f"https://127.0.0.1:{listener.getsockname()[1]}/"), deadline=5)
        thread.join()


@row(52, "NET-1")
def test_no_thread_to_be_had_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError

    with serving(answer()) as place:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(TransientError, match="thread"):
            post(place)
        monkeypatch.undo()


# --- something may have been sent -----------------------------------------------------------------------------------


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(prefix: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)

    return script


@row(35, "ROT-6")
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
    ids=["reset", "closed", "truncated", "truncated-chunk", "no-http", "endless-header"],
)
def test_a_broken_answer_leaves_the_outcome_unknown(script: Script) -> None:  # row 34
    with serving(script) as place, pytest.raises(OutcomeUnknown) as caught:
        post(place)
    assert CANARY not in str(caught.value)


@row(36, "NET-6")
@pytest.mark.parametrize(
    "script",
    [
        lambda connection: connection.recv(1),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ],
    ids=["black-hole", "dripping-headers", "dripping-body"],
)
def test_the_deadline_holds_for_the_whole_exchange(script: Script) -> None:  # NET-6
    with serving(script) as place:
        start = time.monotonic()
        with pytest.raises(OutcomeUnknown, match=r"within 0\.3 s|no answer in time"):
            post(place, deadline=0.3)
        assert time.monotonic() - start < 20


def test_giving_up_hangs_up() -> None:
    closed = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.recv(1)
        closed.set()

    with serving(script) as place:
        with pytest.raises(OutcomeUnknown):
            post(place, deadline=0.1)
        assert closed.wait(20)


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


@row(38, "NET-5")
def test_a_certificate_that_nobody_vouches_for_is_refused_for_good(tmp_path: Path) -> None:  # NET-1
    with serving(answer(), tls=certificate(tmp_path).context) as place:
        with pytest.raises(ProviderRefused, match="self-signed") as caught:
            send(form(place.secure_url, {"refresh_token": CANARY}))
        assert place.requests.empty()
    assert "SSL_CERT_FILE" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"), [({"address": "127.0.0.9"}, "mismatch"), ({"expired": True}, "expired")], ids=str
)
def test_a_trusted_certificate_must_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    made = certificate(tmp_path, **options)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with serving(answer(), tls=made.context) as place, pytest.raises(ProviderRefused, match=says):
        send(Request(method="GET", url=place.secure_url))


def test_an_authority_named_in_the_environment_is_trusted_and_no_session_key_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with serving(answer(), tls=made.context) as place:
        assert send(Request(method="GET", url=place.secure_url), hosts=["127.0.0.1"]).status == 200
    assert not (tmp_path / "keys.log").exists()


@row(36, "NET-6")
def test_a_dripping_tls_server_is_cut_off_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    with (
        serving(drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), tls=made.context) as place,
        pytest.raises(OutcomeUnknown, match="within"),
    ):
        send(Request(method="GET", url=place.secure_url), deadline=0.5)


@pytest.mark.parametrize(
    "setting",
    [
        {"SSL_CERT_FILE": os.devnull + "/missing.pem"},
        {"HTTPS_PROXY": "gopher://127.0.0.1"},
        {"HTTPS_PROXY": "http://127.0.0.1:port"},
    ],
    ids=["no-certificates", "no-such-proxy", "no-url"],
)
def test_unusable_settings_of_the_environment_are_named(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        send(Request(method="GET", url="https://freshkey.invalid/"))


def test_a_proxy_that_refuses_has_sent_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(status="407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CANARY}@127.0.0.1:{proxy.port}")
        with pytest.raises(TransientError, match="HTTPS_PROXY") as caught:
            send(form("https://freshkey.invalid/", {"refresh_token": CANARY}))
        assert proxy.requests.get(timeout=20).startswith(b"CONNECT freshkey.invalid:443 ")
    assert CANARY not in str(caught.value)


# --- what may be called, and what may be seen -----------------------------------------------------------------------


def test_only_the_hosts_of_the_provider_are_called() -> None:  # TRU-2
    with serving(answer()) as place:
        with pytest.raises(ProviderRefused, match=r"127\.0\.0\.1 is not a host"):
            post(place, hosts=["auth.example.com"])
        assert place.requests.empty()
        assert post(place, hosts=["127.0.0.1"]).status == 200


def test_no_library_logs_what_the_server_or_we_said(caplog: pytest.LogCaptureFixture) -> None:  # LEK-3
    caplog.set_level(logging.DEBUG)
    with serving(answer(status=f"200 {CANARY}", headers=(f"Set-Cookie: {CANARY}",))) as place:
        post(place)
    assert CANARY not in caplog.text
    assert "POST to 127.0.0.1 was answered with 200" in caplog.text


def test_the_applications_own_records_of_these_libraries_still_pass(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answer()) as place:
        post(place)
    logging.getLogger("httpx").info("a record of the application's own client")
    assert "a record of the application's own client" in caplog.text


def test_an_error_drags_no_request_along() -> None:  # LEK-1
    with (
        serving(answer(status="302 Found", headers=(f"Location: /{CANARY}",))) as place,
        pytest.raises(ProtocolError) as caught,
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
