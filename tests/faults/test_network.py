"""Renewals over a failing network: lost, late, truncated and forged responses, servers down, invalid certificates."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

import fault_proxy as at
from certificates import Authority
from counterparts.oidc import OidcServer, sign_in
from fault_proxy import Fault, FaultProxy, saying
from freshkey import Configuration, FreshkeyError, Keeper
from freshkey._http import client as http_client
from freshkey._http.circuit_breaker import HostPaused
from freshkey._json import MAX_BODY
from freshkey.errors import LoginRequired, OutcomeUnknown, TransientError
from freshkey.events import RenewalFailed, SignedOut
from freshkey.model.exchange import Request
from freshkey_testing import ScriptedUser
from line import Line
from promises import proves
from raises_code import raises_code
from rotating import collect, in_threads, token_of


ANSWER_LOST = (at.reset_after, at.closed_after)
ANSWER_BROKEN = (at.truncated_head, at.truncated_body)
NEVER_ANSWERED = (at.silence_after, at.dripping(0.05))

ATTEMPTS = 4
"""Requests of one renewal."""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with Line(tmp_path) as line:
        yield line


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> float:
    """The deadline of an HTTP request in seconds, instead of thirty."""
    with contextlib.suppress(TransientError):  # the first exchange of a process imports much
        http_client.send(Request(method="GET", url="http://127.0.0.1:9/"), allow_insecure_loopback=True)
    exchange = http_client._Exchange
    deadline = 2.0 if sys.platform == "win32" else 0.4  # in Wine, connecting takes time
    monkeypatch.setattr(http_client, "_Exchange", lambda request, host, _: exchange(request, host, deadline))
    return deadline


def works(line: Line, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(line.server.urls.resource, headers=headers, trust_env=False).status_code == 200


def named(faults: tuple[Fault, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: fault.__qualname__.split(".")[0])


# --- FAULT-34, FAULT-35, FAULT-36: the server acted, but its response does not arrive ---------------------------------


@proves("FAULT-34", "ROT-6")
@proves("FAULT-35", "ROT-6")
@named((*ANSWER_LOST, *ANSWER_BROKEN))
def test_lost_response_is_retried_at_a_server_with_a_grace_period(line: Line, fault: Fault) -> None:
    line.server.policy.grace = 30
    keeper = line.keeper()
    line.proxy.next(fault, 2)
    renewed = token_of(keeper.refresh())
    assert works(line, renewed)
    assert len(line.proxy.requests) == 3
    assert len({request.partition(b"\r\n\r\n")[2] for request in line.proxy.requests}) == 1, "the same token each time"
    assert token_of(keeper.refresh()) != renewed


@proves("FAULT-34", "ROT-6")
@proves("FAULT-35", "ROT-6")
@named((*ANSWER_LOST, *ANSWER_BROKEN))
def test_lost_response_of_a_strict_server_ends_the_sign_in_and_is_reported_once(line: Line, fault: Fault) -> None:
    keeper = line.keeper()
    before = token_of(keeper.get())
    line.proxy.next(fault)
    with raises_code(LoginRequired, "renewal-response-lost"):
        keeper.refresh()
    assert len(line.proxy.requests) == 2
    events = collect(keeper)
    for _ in range(3):
        with raises_code(LoginRequired, "renewal-response-lost"):
            keeper.refresh()
        line.clock.advance(700)
        line.run_once(keeper)
        assert token_of(keeper.get()) == before, "served until it expires"
    assert len(line.proxy.requests) == 2
    assert events == []


@proves("FAULT-35", "NET-6")
def test_complete_tokens_in_a_response_of_the_wrong_length_are_used(line: Line) -> None:
    keeper = line.keeper()
    line.proxy.next(at.wrong_length)
    renewed = token_of(keeper.refresh())
    assert works(line, renewed)
    assert len(line.proxy.requests) == 1
    assert token_of(keeper.refresh()) != renewed


@proves("FAULT-34", "ROT-6")
@pytest.mark.counterpart
@pytest.mark.parametrize(("fault", "requests"), [(at.reset_after, 2), (at.reset_before, 2), (at.passing, 1)])
def test_certified_server_sees_a_token_again_only_if_its_response_was_lost(
    tmp_path: Path, fault: Fault, requests: int
) -> None:
    with OidcServer(access_token_seconds=600) as server, FaultProxy(server.port) as proxy:
        settings = {
            "provider": "claude_oauth",
            "store": "memory",
            "client_id": server.client_id,
            "issuer": server.issuer,
            "token_url": proxy.url("/token"),
            "scopes": ["openid", "offline_access"],
            "authorize_parameters": {"prompt": "consent"},
            "allow_insecure_loopback": True,
        }
        configuration = Configuration.of({"me": settings}, state_dir=tmp_path, default="me")
        with Keeper(configuration=configuration, random=lambda: 0.0) as keeper:
            with ScriptedUser(browser=sign_in) as user:
                keeper.login(interaction=user)
            proxy.requests.clear()
            proxy.next(fault)
            lost = fault is at.reset_after
            for _ in range(3 if lost else 1):
                if lost:
                    with raises_code(LoginRequired, "renewal-response-lost"):
                        keeper.refresh()
                else:
                    keeper.refresh()
            assert len(proxy.requests) == requests
            assert server.count("grant.revoked") == int(lost)
            assert server.count("refresh_token.consumed") == 1


@proves("FAULT-36", "NET-6", "ROT-6")
@named(NEVER_ANSWERED)
def test_response_that_never_ends_is_cut_off_and_retried(line: Line, hurried: float, fault: Fault) -> None:
    line.server.policy.grace = 30
    keeper = line.keeper()
    line.proxy.next(fault)
    started = time.monotonic()
    assert works(line, token_of(keeper.refresh()))
    assert hurried <= time.monotonic() - started < hurried + 20
    assert len(line.proxy.requests) == 2


@proves("FAULT-36", "NET-6")
def test_black_hole_costs_limited_time_and_keeps_the_sign_in(line: Line, hurried: float) -> None:
    keeper = line.keeper()
    line.proxy.always(at.black_hole)
    started = time.monotonic()
    with raises_code(OutcomeUnknown, "response-lost"):
        keeper.refresh()
    assert time.monotonic() - started < 3 * hurried + 20
    assert len(line.proxy.requests) == 3, "one request, and two retries within thirty seconds"
    line.proxy.always(at.passing)
    assert works(line, token_of(keeper.refresh()))


@proves("FAULT-36", "NET-6")
def test_black_hole_does_not_delay_callers_with_a_valid_credential(line: Line) -> None:
    keeper = line.keeper()
    before = keeper.get()
    line.proxy.always(at.black_hole)
    line.clock.advance(3400)
    started = time.monotonic()
    for _ in range(200):
        assert keeper.get() == before
        keeper._scheduler.run_once()
    assert line.proxy.connections
    assert time.monotonic() - started < http_client.DEADLINE, "waiting for a single attempt takes longer"
    line.proxy.refuse()
    line.proxy.__exit__(None, None, None)  # ends pending requests now, instead of after thirty seconds
    line.settle(keeper)


# --- FAULT-37: redirects ----------------------------------------------------------------------------------------------


@proves("FAULT-37", "NET-5")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(line: Line, status: int) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    with socket.create_server(("127.0.0.1", 0)) as catcher:
        place = f"http://127.0.0.1:{catcher.getsockname()[1]}/token"
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
        line.proxy.always(saying(head.encode()))
        with raises_code(TransientError, "redirect-refused") as caught:
            keeper.refresh()
        assert caught.value.local
        assert str(status) in str(caught.value)
        catcher.setblocking(False)
        with pytest.raises(BlockingIOError):
            catcher.accept()
    assert len(line.proxy.requests) == ATTEMPTS
    assert keeper.get() == before
    assert line.stored() == kept, "no intent is left"
    line.proxy.always(at.passing)
    keeper.refresh()
    assert line.stored() != kept


# --- FAULT-38: certificates -------------------------------------------------------------------------------------------


def outdated(context: ssl.SSLContext) -> ssl.SSLContext:
    """Limit a server to TLS 1.0."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


INVALID: dict[str, tuple[Callable[[Authority], ssl.SSLContext], str, str]] = {
    "self-signed": (lambda authority: authority.self_signed(), "tls-certificate-refused", "self-signed"),
    "expired": (lambda authority: authority.context(expired=True), "tls-certificate-refused", "expired"),
    "of another host": (lambda authority: authority.context("127.0.0.9"), "tls-certificate-refused", "mismatch"),
}
if ssl.HAS_TLSv1:
    INVALID["TLS 1.0"] = (lambda authority: outdated(authority.context()), "tls-version-refused", "TLS 1.2")


@proves("FAULT-38", "NET-5", "NET-1")
@pytest.mark.parametrize(("make", "code", "fact"), INVALID.values(), ids=INVALID)
def test_server_with_an_invalid_certificate_gets_few_connections_and_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Authority], ssl.SSLContext], code: str, fact: str
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.context()
    with Line(tmp_path, tls=tls) as line:
        keeper = line.keeper()
        keeper.refresh()
        assert len(line.proxy.requests) == 1, "works with a valid certificate"
        before, kept = keeper.get(), line.stored()
        line.proxy.requests.clear()
        line.proxy._tls = make(authority)
        connections = line.proxy.connections
        with raises_code(TransientError, code) as caught:
            keeper.refresh()
        assert caught.value.local
        assert fact in str(caught.value)
        assert line.proxy.connections == connections + 1, "not retried: it would be the same a moment later"
        line.clock.advance(3400)
        for _ in range(60):
            line.run_once(keeper)
            line.clock.advance(2)
        assert line.proxy.connections <= connections + 3 * ATTEMPTS, "no storm"
        assert line.proxy.requests == []
        assert keeper.get() == before
        line.proxy._tls = tls
        line.settle(keeper)
        assert token_of(keeper.refresh()) != token_of(before)
        assert line.stored() != kept


# --- FAULT-32, FAULT-33: servers that are down, or tell clients to wait -----------------------------------------------


@proves("FAULT-32", "NET-1", "NET-2")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_server_that_is_down_is_tried_a_few_times_and_the_token_stays_valid(line: Line, status: int) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    line.server.fail_with(status)
    with raises_code(TransientError, "server-unavailable") as caught:
        keeper.refresh()
    assert str(status) in str(caught.value)
    assert len(line.proxy.requests) == ATTEMPTS
    assert keeper.get() == before
    assert line.stored() == kept
    line.server.recover()
    assert works(line, token_of(keeper.refresh()))


@proves("FAULT-32", "NET-1", "NET-2")
@pytest.mark.parametrize("cause", ["refused", "no such name", "reset"])
def test_network_outage_does_not_use_up_the_token(line: Line, monkeypatch: pytest.MonkeyPatch, cause: str) -> None:
    keeper = line.keeper()
    before, kept = keeper.get(), line.stored()
    line.proxy.refuse()
    if cause == "no such name":
        monkeypatch.setattr(socket, "getaddrinfo", _unknown_name)
    if cause == "reset":
        line.proxy.listen()
        line.proxy.always(at.reset_before)
    with pytest.raises((TransientError, OutcomeUnknown)):
        keeper.refresh()
    assert keeper.get() == before
    monkeypatch.undo()
    if cause != "reset":
        assert line.stored() == kept
        line.proxy.listen()
    line.proxy.always(at.passing)
    assert works(line, token_of(keeper.refresh()))


def _unknown_name(*arguments: object, **named: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@proves("FAULT-32", "NET-2")
def test_outage_and_recovery_are_logged_in_one_line_each(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    keeper = line.keeper()
    failures: list[RenewalFailed] = []
    keeper.subscribe(lambda event: failures.append(event) if isinstance(event, RenewalFailed) else None)
    caplog.set_level(logging.INFO, "freshkey")
    line.server.fail_with(503)
    line.clock.advance(3310)
    for _ in range(40):
        line.run_once(keeper)
        line.clock.advance(5)
    line.server.recover()
    for _ in range(20):
        line.run_once(keeper)
        line.clock.advance(5)
    records = [record for record in caplog.records if "clock" not in record.message]
    host = f"127.0.0.1:{line.proxy.port}"
    assert len(failures) >= 3
    about_the_host = [record.levelname for record in records if host in record.message]
    about_the_profile = [record.levelname for record in records if host not in record.message]
    assert about_the_host == ["WARNING", "WARNING"]
    assert about_the_profile == ["INFO", "INFO"]


@proves("FAULT-32", "NET-4")
def test_thirty_profiles_of_one_dead_host_send_only_a_few_requests(line: Line) -> None:
    names = [f"profile-{number}" for number in range(30)]
    keeper = line.keeper(*names)
    line.server.fail_with(503)
    line.clock.advance(3400)
    for name in names:
        keeper.get(name)  # due, so each starts a renewal
        line.settle(keeper)
    assert len(line.proxy.requests) == 5
    # For half an hour, the profiles share one budget of requests.
    line.clock.advance(200)
    for _ in range(60):
        line.run_once(keeper)
        line.clock.advance(30)
    assert len(line.proxy.requests) <= 5 + 1800 / 60 + 5
    line.server.recover()
    line.clock.advance(61)
    for _ in range(20):
        line.run_once(keeper)
        line.clock.advance(5)
    assert all(works(line, token_of(keeper.get(name))) for name in names)


@proves("FAULT-32", "NET-4")
def test_caller_without_a_credential_fails_at_once_while_the_host_is_paused(line: Line) -> None:
    keeper = line.keeper("me", "other")
    line.proxy.refuse()
    line.clock.advance(3540)
    for _ in range(2):
        line.clock.advance(61)
        with pytest.raises(TransientError):
            keeper.get("me")
    started = line.clock.elapsed()
    with raises_code(HostPaused, "host-paused") as caught:
        keeper.get("other")
    assert f"127.0.0.1:{line.proxy.port}" in str(caught.value)
    assert line.clock.elapsed() - started < 1
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 60
    shown = keeper.status("other").last_error
    assert shown is not None
    assert re.search(rf"127\.0\.0\.1:{line.proxy.port} .*\d\d:\d\d:\d\d UTC", shown)
    line.proxy.listen()
    assert works(line, token_of(keeper.refresh("other"))), "a refresh by the user is not delayed"


@proves("FAULT-33", "NET-3", "NET-4")
@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("40", 40.0),
        ("in a minute", 0.0),
        ("date", 50.0),
        ("-5", 0.0),
        ("1e9", 0.0),
        ("1000000000", 3600.0),
        ("NaN", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_for_one_profile_applies_to_all(line: Line, asked: str, wait: float) -> None:
    keeper = line.keeper("me", "other")
    line.clock.advance(3600)
    # By the server's own clock, which is an hour behind this one.
    header = formatdate(time.time() + wait, usegmt=True) if asked == "date" else asked
    line.server.fail_with(429, retry_after=header)
    with pytest.raises(TransientError) as caught:
        keeper.get("me")
    assert len(line.proxy.requests) == (1 if wait else ATTEMPTS)
    line.server.recover()
    if not wait:
        assert works(line, token_of(keeper.get("other")))
        return
    assert caught.value.retry_after == pytest.approx(wait, abs=1)
    with raises_code(HostPaused, "host-paused") as refused:
        keeper.get("other")
    assert refused.value.retry_after == pytest.approx(wait, abs=1)
    assert "Retry-After" in refused.value.message
    assert len(line.proxy.requests) == 1
    line.clock.advance(wait + 1)
    assert works(line, token_of(keeper.get("me")))
    assert works(line, token_of(keeper.get("other")))


@proves("FAULT-33", "NET-3")
def test_short_retry_after_is_honored_within_one_renewal(line: Line) -> None:
    keeper = line.keeper()
    line.server.next_response(429, b"{}", {"Retry-After": "10"})
    started = line.clock.elapsed()
    assert works(line, token_of(keeper.refresh()))
    assert line.clock.elapsed() - started >= 10


@proves("FAULT-32", "NET-4")
def test_many_callers_share_one_failure_of_a_dead_host(line: Line) -> None:
    keeper = line.keeper()
    line.proxy.refuse()
    line.clock.advance(3601)
    answers = in_threads(50, keeper.get)
    assert all(isinstance(answer, TransientError) for answer in answers)
    line.settle(keeper)
    host = f"127.0.0.1:{line.proxy.port}"
    assert keeper._runtime.breaker.state(host).failures <= 5


# --- FAULT-39: responses that are too large ---------------------------------------------------------------------------

ASKING = """
import ctypes, sys
from freshkey.errors import OutcomeUnknown
from freshkey.model.exchange import Request
from freshkey._http.client import send

def ask(path):
    try:
        send(Request(method="GET", url=f"http://127.0.0.1:{sys.argv[1]}/{path}"), allow_insecure_loopback=True)
    except OutcomeUnknown as error:
        return error.code
    return "answered"

def most_memory():
    if sys.platform == "win32":
        counters = (ctypes.c_size_t * 9)(72)  # PROCESS_MEMORY_COUNTERS
        assert ctypes.windll.kernel32.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), counters, 72)
        return counters[1] // 1024
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

warm = ask("small")
before = most_memory()
assert before
said = ask(sys.argv[2])
print(warm, most_memory() - before, said, sep="|")
"""


def _gzip_bomb() -> Iterator[bytes]:
    import zlib

    bomb, piece = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    # After a full flush, the same piece is the same bytes, and is compressed only once.
    first, next_one = (bomb.compress(piece) + bomb.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    size = len(first) + 999 * len(next_one)
    assert size < MAX_BODY
    yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % size
    yield first
    for _ in range(999):
        yield next_one


def _huge_body(*, announced: bool) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1073741824\r\n\r\n" if announced else b"\r\n")
    piece = bytes(1 << 20)
    for _ in range(1024):
        yield piece


def _many_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(10_000):
        yield b"X-%d: %s\r\n" % (number, b"x" * 64)
    yield b"Content-Length: 2\r\n\r\n{}"


def _garbage_headers() -> Iterator[bytes]:
    """As many short headers as fit into what is accepted."""
    yield b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 25_000 + b"Content-Length: 2\r\n\r\n{}"


TOO_LARGE = {
    "a gzip bomb": (_gzip_bomb, "response-too-large"),
    "a gigabyte": (lambda: _huge_body(announced=True), "response-too-large"),
    "a gigabyte without a length": (lambda: _huge_body(announced=False), "response-too-large"),
    "ten thousand headers": (_many_headers, "response-lost"),
    "25,000 empty headers": (_garbage_headers, "answered"),
}


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize(("make", "code"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_response_that_is_too_large_is_neither_read_nor_kept(make: Any, code: str) -> None:
    sent: list[int] = []

    def flood(exchange: at.Exchange) -> None:
        if b"/small " in exchange.request:
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        for piece in make():
            exchange.send(piece)
            sent.append(len(piece))

    with FaultProxy(0) as proxy:
        proxy.always(flood)
        done = subprocess.run(
            [sys.executable, "-c", ASKING, str(proxy.port), "much"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    warm, grown, said = done.stdout.strip().split("|", 2)
    assert warm == "answered"
    assert said == code
    assert int(grown) < 20 * 1024, "KiB"
    assert sum(sent) < 20 << 20, "the client closes the connection"


# --- NET-9: a sign-out that does not reach the server -----------------------------------------------------------------


@proves("FAULT-32", "NET-9")
@pytest.mark.parametrize("status", [503, 400])
def test_sign_out_removes_the_credential_and_reports_a_failed_revocation(line: Line, status: int) -> None:
    keeper = line.keeper()
    line.server.fail_with(status, endpoint="revoke")
    event = keeper.logout()
    assert event.revoked is False
    with pytest.raises(LoginRequired):
        keeper.get()


@proves("FAULT-32", "NET-9")
def test_sign_out_waits_for_a_renewal_and_revokes_its_result(line: Line) -> None:
    keeper = line.keeper()
    line.server.hold()
    renewing = threading.Thread(target=_ignoring, args=(keeper.refresh,))
    renewing.start()
    line.server.wait_until_held()
    line.clock.stands = True
    ended: list[SignedOut] = []
    leaving = threading.Thread(target=lambda: ended.append(keeper.logout()))
    leaving.start()
    line.server.release()
    renewing.join(20)
    leaving.join(20)
    line.clock.stands = False
    assert [event.revoked for event in ended] == [True]
    kinds = [entry.kind for entry in line.server.log]
    assert kinds.index("grant.refresh_token") < kinds.index("revoked")
    assert line.server.count("grant.revoked") == 1, "the result of the renewal is revoked too"
    with pytest.raises(LoginRequired):
        keeper.get()


def _ignoring(call: Any) -> None:
    with contextlib.suppress(FreshkeyError):
        call()
