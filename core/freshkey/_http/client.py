"""One HTTP exchange: bounded in time and size, redirects not followed, failures classified by what was sent.

For single-use tokens it matters whether a failed request may have reached the server, so `send` distinguishes the two:
`TransientError` means that not one byte of the request was written, `OutcomeUnknown` that some may have been. Each
exchange opens a new connection, because a stale keep-alive connection fails only after writing has begun.

Status codes are not interpreted here: what a 400 means is up to the protocol.
"""

from __future__ import annotations

import functools
import logging
import queue
import socket
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from freshkey import _failpoints
from freshkey._http import circuit_breaker
from freshkey._http.incoming import Incoming, begin
from freshkey._http.lenient_head import HeadReader
from freshkey._http.url import checked_url
from freshkey._http.windows_proxy import is_direct
from freshkey.clock import interruptible
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.model.endpoints import LOOPBACK
from freshkey.model.exchange import Network, Request, Response


if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

DEADLINE: Final = 30.0
"""Default time limit of `send` in seconds, from call to return."""


def send(
    request: Request,
    *,
    deadline: float = DEADLINE,
    allow_insecure_loopback: bool = False,
    hosts: Collection[str] | None = None,
    network: Network | None = None,
) -> Response:
    """Send one request and return the response, whatever its status.

    The exchange runs on its own thread, so that neither a slow name lookup nor a server that drips single bytes can
    block the caller longer than `deadline`.

    Args:
        request: What to send. `User-Agent`, `Accept-Encoding` and `Connection` are overridden.
        deadline: Seconds from now to the last byte of the response.
        allow_insecure_loopback: See `checked_url`.
        hosts: The only hosts that may be called; None allows every host.
        network: What answers in place of the host; None for the real network.

    Raises:
        ConfigurationError: The URL, or a proxy or certificate setting in the environment, cannot be used.
        ProviderRefused: The host is not in `hosts`.
        TransientError: Nothing was sent: name lookup, connection or TLS handshake failed or did not finish before the
            deadline, or the host's certificate or TLS version is not acceptable; or this is part of a renewal and the
            host is paused (`freshkey._http.circuit_breaker`). Or the response is a redirect, which is not followed.
        OutcomeUnknown: At least part of the request was sent, and what arrived does not say what the response is. The
            status of most errors does, so does the beginning of a page, and so does a complete JSON object: any in a
            400 or 401, and one with an access token in a success.
        IntermediaryAnswer: The response is a page that is compressed in an unknown way.
        ProtocolError: The response is compressed in an unknown way, or too large.
    """
    address = urlsplit(checked_url(request.url, allow_insecure_loopback=allow_insecure_loopback))
    host = address.hostname or ""
    if hosts is not None and host not in {name.lower() for name in hosts}:
        message = f"this provider is not allowed to call {host}"
        hint = f"Check the URLs in the profile's settings. Authors of providers: add {host} to Description.hosts"
        raise ProviderRefused(message, hint=hint, code="host-not-allowed")
    exchange = _Exchange(request, host, deadline) if network is None else _Elsewhere(request, deadline, network)
    guarded, authority = circuit_breaker.current(), address.netloc.lower()
    if guarded is not None:
        guarded.begin(authority)
    answer = exchange.run()
    if guarded is not None:
        guarded.end(authority, answer, timed_out=exchange.timed_out)
    if isinstance(answer, Exception):
        raise answer
    log.debug("%s request to %s: status %d", request.method, host, answer.status)
    return answer


@define
class _Elsewhere:
    """An exchange that something else answers in place of the network."""

    _request: Request
    _deadline: float
    _network: Network
    timed_out: bool = field(init=False, default=False)

    def run(self) -> Response | Exception:
        """Return the response, or the exception to raise."""
        try:
            return self._network(self._request, deadline=self._deadline)
        except Exception as error:  # noqa: BLE001  raised by the caller, as those of the network
            return error


class _Abandoned(Exception):
    """The caller gave up before the request was written, so it must not be written now."""


@define
class _Exchange:
    """A running exchange, shared by the worker thread and the caller that waits for it.

    `_lock` makes giving up and starting to write mutually exclusive, so that "nothing was sent" is never a guess.
    """

    _request: Request
    _host: str
    _deadline: float
    timed_out: bool = field(init=False, default=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _sent: bool = field(init=False, default=False)
    _abandoned: bool = field(init=False, default=False)
    _socket: socket.socket | None = field(init=False, default=None)
    _incoming: Incoming | None = field(init=False, default=None)
    _answers: queue.SimpleQueue[Response | Exception] = field(init=False, factory=queue.SimpleQueue)
    _arrived: list[Response | Exception] = field(init=False, factory=list)

    def run(self) -> Response | Exception:
        """Return the response or the error to raise, whose traceback must not lead to the secrets in the request."""
        try:
            # Timeouts per operation limit neither a name lookup nor a server that sends one byte at a time.
            # See docs/decisions.md, "Each exchange runs on a thread with one deadline".
            threading.Thread(target=self._work, name="freshkey-http", daemon=True).start()
        except RuntimeError:
            message = f"cannot start a thread for a request to {self._host}"
            return TransientError(message, local=True, code="out-of-threads")
        try:
            arrived = interruptible(self._arrives, self._deadline)
        except BaseException:
            self._give_up()
            raise
        return self._arrived[0] if arrived else self._give_up()

    def _arrives(self, seconds: float) -> bool:
        with suppress(queue.Empty):
            self._arrived.append(self._answers.get(timeout=seconds))
        return bool(self._arrived)

    def _give_up(self) -> Response | FreshkeyError:
        with self._lock:
            self._abandoned = self.timed_out = True
            self._cut()
            return self._known() or self._failure(f"timed out after {self._deadline:g} s")

    def _known(self) -> Response | None:
        return self._incoming.known() if self._incoming else None

    def _cut(self) -> None:
        """Wake the worker if it is reading from the socket; it closes the socket itself.

        Where this wakes no one, as in Wine, the worker ends when something arrives, or with its own timeout.
        """
        if self._socket is not None:
            try:
                # Not SSLSocket.shutdown, which would drop TLS while the worker thread is using the socket.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection to %s is already closed", self._host)

    def _work(self) -> None:
        try:
            with _silenced():
                self._answers.put(self._exchange())
        except Exception as error:  # noqa: BLE001  every failure must reach the caller
            self._answers.put(self._known() or self._sorted(error))

    def _exchange(self) -> Response:
        request = self._request
        ours = {"user-agent": _user_agent(), "accept-encoding": "identity", "connection": "close"}
        theirs = {name: value for name, value in request.headers.items() if name.lower() not in ours}
        with (
            # A kept-alive connection that the server just closed looks like a lost response.
            # See docs/decisions.md, "A new connection for each request to a provider".
            _client(request.url, self._host, self._deadline) as client,
            client.stream(
                request.method,
                request.url,
                headers={**theirs, **ours},
                content=request.body,
                extensions={"trace": self._trace},
            ) as response,
        ):
            # Not httpx's own mapping: it is searched from the start for each name, and there can be many.
            self._incoming = begin(response.status_code, response.headers.multi_items(), self._host)
            return self._incoming.read(response.iter_raw(), self._host)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Handle events of httpcore's ``trace`` extension; an exception raised here ends the exchange."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                with suppress(AttributeError):  # a stream of another kind; then the library reads the head as it is
                    info["return_value"].read = HeadReader(info["return_value"].read, lambda: self._sent).read
                if self._abandoned:  # do not raise here: httpcore would leak the socket that it has just opened
                    self._cut()
        if event.endswith("send_request_body.complete"):
            _failpoints.hit("request_sent")
        # CONNECT goes to the proxy; the request inside the tunnel has not been sent at that point.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            with self._lock:
                if self._abandoned:
                    raise _Abandoned
                self._sent = True

    def _sorted(self, error: Exception) -> Exception:
        """Return the freshkey error for the outcome of the request, given the original `error`."""
        import httpx

        if isinstance(error, FreshkeyError):
            return error.for_another_caller()
        causes = _causes(error)
        known = None if self._sent else _known_failure(self._host, causes)
        if known is not None:
            return known
        if self._sent or isinstance(error, httpx.TransportError):
            self.timed_out = self.timed_out or isinstance(error, httpx.TimeoutException)
            return self._failure(_reason(causes))
        return error

    def _failure(self, reason: str) -> FreshkeyError:
        if self._sent:
            return OutcomeUnknown(
                f"a request was sent to {self._host}, but its outcome is unknown: {reason}", code="response-lost"
            )
        where = urlsplit(self._request.url).netloc.rpartition("@")[2]  # with the port, which may be what is wrong
        return TransientError(f"cannot connect to {where}: {reason}", local=True, code="connection-failed")


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _known_failure(host: str, causes: list[BaseException]) -> FreshkeyError | None:
    """Return the error if the cause is one that the user can do something about."""
    from freshkey._http.tls import tls_failure

    if isinstance(causes[0], UnicodeError):  # raised by the IDNA codec, RFC 5890
        message = f"{host} is not a valid host name"
        return ConfigurationError(message, hint="Check the URLs in the profile's settings", code="invalid-url")
    hint = "If your network uses its own certificate authority, set SSL_CERT_FILE to its PEM file"
    return tls_failure(causes[0], host, hint)


def _reason(causes: list[BaseException]) -> str:
    """Return the reason, in the operating system's words or ours; an HTTP library's message can quote received data."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    kinds = {type(cause).__name__ for cause in causes}
    if any(kind.endswith("Timeout") for kind in kinds):
        return "timed out"
    if "ProxyError" in kinds:
        return "the proxy refused the connection (see HTTPS_PROXY)"
    return "the connection was closed early, or the response is not valid HTTP"


def _client(url: str, host: str, deadline: float) -> httpx.Client:
    """Return a client for one exchange; it uses the proxies in the environment, except for loopback hosts.

    On Windows, without any in the environment, httpx uses those of the system's settings.
    """
    import httpx

    from freshkey._http.tls import tls_context

    try:
        return _client_class()(
            verify=tls_context(authorities=url.startswith("https:")),
            trust_env=host not in LOOPBACK and not is_direct(url),
            timeout=deadline,
            # A redirect would repeat the request, with the refresh token in its body, to a host that another party
            # chose; token endpoints have no reason to redirect (RFC 9700, section 4.12).
            follow_redirects=False,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL):
        # The error is raised below, without context: the original one can quote a proxy's password.
        message = "cannot use the proxy or certificate settings in the environment"
        hint = "Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        if sys.platform == "win32":
            hint += ", and the proxy in the settings of Windows"
    raise ConfigurationError(message, hint=hint, code="invalid-network-settings")


@functools.cache
def _client_class() -> type[httpx.Client]:
    """Return httpx's client with our TLS settings towards a proxy, too: httpcore's own write session keys to a file."""
    import httpx

    from freshkey._http.tls import tls_context

    class Client(httpx.Client):
        def _init_proxy_transport(  # type: ignore[override]  # passes on whatever options this version of httpx has
            self,
            proxy: httpx.Proxy,
            **options: Any,  # noqa: ANN401
        ) -> httpx.BaseTransport:
            if proxy.url.scheme == "https":
                proxy.ssl_context = tls_context()
            return super()._init_proxy_transport(proxy, **options)

    return Client


@functools.cache
def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"freshkey/{version('freshkey')}"
    except PackageNotFoundError:  # bundled into an application without package metadata
        return "freshkey"


# --- log records of the HTTP libraries -------------------------------------------------------------------------------


_THEIR_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")

_here: Final = threading.local()


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what httpx and httpcore log during our exchanges: at DEBUG they log response headers, cookies included.

    Records from the application's own use of these libraries are kept.
    """
    for name in _THEIR_LOGGERS:
        logging.getLogger(name).addFilter(_not_ours)
    _here.exchanging = True
    try:
        yield
    finally:
        _here.exchanging = False


def _not_ours(record: logging.LogRecord) -> bool:  # noqa: ARG001  signature of a logging filter
    return not getattr(_here, "exchanging", False)
