"""One HTTP exchange: bounded in time and size, never redirected, its failure sorted by what may have happened.

Whoever spends single-use tokens must know whether a failed request can have reached the server. `send` tells:
`TransientError` means that not one byte of the request was written, `OutcomeUnknown` that some may have been. Each
exchange runs on a connection of its own, because a kept one that has gone stale fails only after the writing began.

Status codes are not judged here: what a 400 means is the protocol's business.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from freshkey import _failpoints
from freshkey._http import circuit_breaker
from freshkey._http.messages import Request, Response
from freshkey._http.url import LOOPBACK, checked_url
from freshkey._json import MAX_BODY
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)


if TYPE_CHECKING:
    import ssl

    import httpx

log = logging.getLogger("freshkey")

DEADLINE: Final = 30.0
"""Seconds from the call of `send` to its end, unless the caller says otherwise."""

MAX_HEADERS: Final = 100


def send(
    request: Request,
    *,
    deadline: float = DEADLINE,
    allow_insecure_loopback: bool = False,
    hosts: Collection[str] | None = None,
) -> Response:
    """Do one exchange and return the answer, whatever its status.

    It runs on a thread of its own: neither a name lookup nor a server that drips single bytes can then hold the
    caller longer than `deadline`.

    Args:
        request: What to send. `User-Agent`, `Accept-Encoding` and `Connection` are ours.
        deadline: Seconds from now to the last byte of the answer.
        allow_insecure_loopback: See `checked_url`.
        hosts: The only hosts that may be called; None allows every host.

    Raises:
        ConfigurationError: The address, or a proxy or certificate setting of the environment, cannot be used.
        ProviderRefused: The host is not among `hosts`, or its certificate cannot be verified.
        TransientError: Nothing was sent: no address, no connection, no TLS session, or the deadline passed before; or
            this is part of a renewal, and the host is left alone for now (`freshkey._http.circuit_breaker`).
        OutcomeUnknown: The request was at least partly sent, and no complete answer came.
        ProtocolError: An answer came that is redirected, compressed, too large or no HTTP.
    """
    address = urlsplit(checked_url(request.url, allow_insecure_loopback=allow_insecure_loopback))
    host = address.hostname or ""
    if hosts is not None and host not in {name.lower() for name in hosts}:
        message = f"{host} is not a host that this provider may call"
        raise ProviderRefused(message, hint="Check the addresses in the profile's settings")
    exchange = _Exchange(request, host, deadline)
    guarded, authority = circuit_breaker.current(), address.netloc.lower()
    if guarded is not None:
        guarded.begin(authority)
    answer = exchange.run()
    if guarded is not None:
        guarded.end(authority, answer, timed_out=exchange.timed_out)
    if isinstance(answer, Exception):
        raise answer
    log.debug("%s to %s was answered with %d", request.method, host, answer.status)
    return answer


class _Abandoned(Exception):
    """The caller gave up before the request was written; it must not be written any more."""


@define
class _Exchange:
    """One exchange while it runs, shared by the thread that runs it and the caller who waits.

    `_lock` makes giving up and starting to write exclude each other, so that "nothing was sent" is never a guess.
    """

    _request: Request
    _host: str
    _deadline: float
    timed_out: bool = field(init=False, default=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _sent: bool = field(init=False, default=False)
    _abandoned: bool = field(init=False, default=False)
    _socket: socket.socket | None = field(init=False, default=None)
    _answers: queue.SimpleQueue[Response | Exception] = field(init=False, factory=queue.SimpleQueue)

    def run(self) -> Response | Exception:
        """Return the answer, or what to raise; an error is made here, so it drags no request along."""
        try:
            threading.Thread(target=self._work, name="freshkey-http", daemon=True).start()
        except RuntimeError:
            return TransientError(f"no thread could be started for a request to {self._host}")
        try:
            return self._answers.get(timeout=self._deadline)
        except queue.Empty:
            return self._give_up()
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> FreshkeyError:
        with self._lock:
            self._abandoned = self.timed_out = True
            self._cut()
            return self._failure(f"no complete answer within {self._deadline:g} s")

    def _cut(self) -> None:
        """Wake a thread that reads from the socket; closing is its own business."""
        if self._socket is not None:
            try:
                # Not SSLSocket.shutdown: that would turn the session of another thread into plain text.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection to %s was gone already", self._host)

    def _work(self) -> None:
        try:
            with _silenced():
                self._answers.put(self._exchange())
        except Exception as error:  # noqa: BLE001  whatever it is, the caller must learn that it happened
            self._answers.put(self._sorted(error))

    def _exchange(self) -> Response:
        request = self._request
        ours = {"user-agent": _user_agent(), "accept-encoding": "identity", "connection": "close"}
        theirs = {name: value for name, value in request.headers.items() if name.lower() not in ours}
        with (
            _client(request.url, self._host, self._deadline) as client,
            client.stream(
                request.method,
                request.url,
                headers={**theirs, **ours},
                content=request.body,
                extensions={"trace": self._trace},
            ) as response,
        ):
            return _read(response, self._host)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow the events of httpcore's ``trace`` extension; what this raises ends the exchange."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._abandoned:  # cut and not raised: httpcore would not close what it has just opened
                    self._cut()
        if event.endswith("send_request_body.complete"):
            _failpoints.hit("request_sent")
        # CONNECT is the proxy's business: what it carries has not been sent then.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            with self._lock:
                if self._abandoned:
                    raise _Abandoned
                self._sent = True

    def _sorted(self, error: Exception) -> Exception:
        """Return the error of freshkey that says what `error` means for the request."""
        import httpx

        if isinstance(error, FreshkeyError):
            return error.for_another_caller()
        causes = _causes(error)
        refusal = None if self._sent else _refusal(self._host, causes)
        if refusal is not None:
            return refusal
        if self._sent or isinstance(error, httpx.TransportError):
            self.timed_out = self.timed_out or isinstance(error, httpx.TimeoutException)
            return self._failure(_reason(causes))
        return error

    def _failure(self, reason: str) -> FreshkeyError:
        if self._sent:
            return OutcomeUnknown(f"a request was sent to {self._host}, and its outcome is unknown: {reason}")
        return TransientError(f"nothing could be sent to {self._host}: {reason}")


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _refusal(host: str, causes: list[BaseException]) -> FreshkeyError | None:
    """Return the error for what trying again would not change, if it was that."""
    import ssl

    if isinstance(causes[0], UnicodeError):  # of the codec that writes host names, RFC 5890
        message = f"{host} cannot be the name of a host"
        return ConfigurationError(message, hint="Check the addresses in the profile's settings")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"the certificate of {host} cannot be verified: {cause.verify_message}"
            hint = "If your network adds a certificate authority of its own, name its file in SSL_CERT_FILE"
            return ProviderRefused(message, hint=hint)
        # OpenSSL's words for a handshake that failed for the version: those of its side, and of the server's.
        if getattr(cause, "reason", None) in {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}:
            message = f"{host} speaks only versions of TLS that are not safe any more"
            return ProviderRefused(message, hint="It has to offer TLS 1.2 or later")
    return None


def _reason(causes: list[BaseException]) -> str:
    """Say why, in words of the operating system or ours: those of HTTP libraries can quote what was received."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    kinds = {type(cause).__name__ for cause in causes}
    if any(kind.endswith("Timeout") for kind in kinds):
        return "no answer in time"
    if "ProxyError" in kinds:
        return "the proxy refused (see HTTPS_PROXY)"
    return "the connection ended early, or what came was no HTTP"


def _client(url: str, host: str, deadline: float) -> httpx.Client:
    """Return a client for one exchange; proxies come from the environment, but never for this machine itself."""
    import httpx

    try:
        return httpx.Client(
            verify=_trust(certificates=url.startswith("https:")),
            trust_env=host not in LOOPBACK,
            timeout=deadline,
            follow_redirects=False,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL):
        message = "the proxy or certificate settings of the environment cannot be used"
        hint = "Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
    raise ConfigurationError(message, hint=hint)


def _trust(*, certificates: bool) -> ssl.SSLContext:
    """Return what verifies servers: the system's authorities and Mozilla's, or those that the environment names.

    Built by hand because `ssl.create_default_context` would write session keys to ``SSLKEYLOGFILE``.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if certificates and (file or folder):
        context.load_verify_locations(cafile=file or None, capath=folder or None)
    elif certificates:
        import certifi  # comes with httpx; some systems keep no authorities where OpenSSL looks

        context.load_default_certs()
        context.load_verify_locations(certifi.where())
    return context


def _read(response: httpx.Response, host: str) -> Response:
    """Read the answer, or raise `ProtocolError` where it breaks one of the limits."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if not 200 <= response.status_code < 600 or 300 <= response.status_code < 400:  # noqa: PLR2004  RFC 9110, section 15
        raise ProtocolError(f"{host} answered with status {response.status_code}, which nobody may follow here")
    if len(response.headers.raw) > MAX_HEADERS:
        raise ProtocolError(f"{host} answered with more than {MAX_HEADERS} headers")
    if encoding not in {"", "identity"}:
        raise ProtocolError(f"{host} sent a compressed answer, which was not asked for")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            raise ProtocolError(f"{host} sent more than {MAX_BODY} bytes")
    return Response(status=response.status_code, headers=dict(response.headers), body=bytes(body))


@functools.cache
def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"freshkey/{version('freshkey')}"
    except PackageNotFoundError:  # bundled into an application without its metadata
        return "freshkey"


# --- the libraries' own log records ---------------------------------------------------------------------------------


_THEIR_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")

_here: Final = threading.local()


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what httpx and httpcore log during our own exchanges: at DEBUG they write response headers.

    Records of an application's own use of these libraries pass.
    """
    for name in _THEIR_LOGGERS:
        logging.getLogger(name).addFilter(_not_ours)
    _here.exchanging = True
    try:
        yield
    finally:
        _here.exchanging = False


def _not_ours(record: logging.LogRecord) -> bool:  # noqa: ARG001  every record, whatever it says
    return not getattr(_here, "exchanging", False)
