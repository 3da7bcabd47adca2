"""What a provider sends and receives while a check runs, and what the kit answers instead of the author's world.

It sees what goes through `Profile.send`, and what goes through httpx or ``http.client`` on the way to a test's server.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from attrs import evolve, field, frozen

from freshkey import Profile
from freshkey.plugin import BoundSend, HostLimited, Request, Response
from freshkey_testing.exchanges import Fault, fault_error


if TYPE_CHECKING:
    import httpx

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@frozen
class Sent:
    """One request, whoever sent it. It contains secrets.

    Attributes:
        host: The host, in lower case.
        text: URL, headers and body.
    """

    host: str
    text: str = field(repr=False)


@frozen
class Wire:
    """Watches exchanges within `watched`, and may answer them.

    Attributes:
        answers: Are returned in this order, the last one for all that follow; no request then reaches anyone.
        fault: Goes wrong with every request, which then reaches no one.
        cookie: Is set by every answer to a client other than `Profile.send`, which keeps none.
        sent: The requests, oldest first.
        received: The answers, oldest first.
    """

    answers: tuple[Response, ...] = ()
    fault: Fault | None = None
    cookie: str | None = None
    sent: list[Sent] = field(init=False, factory=list)
    received: list[Response] = field(init=False, factory=list)

    def of(self, profile: Profile) -> Profile:
        """Return a profile whose requests are seen here."""
        return evolve(profile, send=_Watched(self, profile.send))

    def hosts(self) -> set[str]:
        """Return the hosts of all requests."""
        return {each.host for each in self.sent}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Also see other clients; only loopback, where a test runs its server, is really reached by them."""
        import httpx

        hand_over = httpx.HTTPTransport.handle_request
        write: Callable[..., None] = http.client.HTTPConnection.send
        wire = self

        def handle_request(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            return wire.through_httpx(request, lambda: hand_over(transport, request))

        def send(connection: http.client.HTTPConnection, data: Any) -> None:  # noqa: ANN401  bytes, files or iterables
            if isinstance(data, bytes):
                host = getattr(connection, "_tunnel_host", None) or connection.host
                wire.sent.append(Sent(host.lower(), data.decode("utf-8", "replace")))
            if wire.fault is not None or connection.host not in LOOPBACK:
                raise ConnectionRefusedError("blocked by the contract kit")
            write(connection, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(httpx.HTTPTransport, "handle_request", handle_request)
            patch.setattr(http.client.HTTPConnection, "send", send)
            yield

    def through_httpx(self, request: httpx.Request, hand_over: Callable[[], httpx.Response]) -> httpx.Response:
        """Let one request of httpx through, or answer it."""
        import httpx

        head = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = request.read().decode("utf-8", "replace")
        self.sent.append(Sent(request.url.host.lower(), f"{request.url}\n{head}\n{body}"))
        if self.fault == "before-sending":
            raise httpx.ConnectTimeout("the contract kit let it time out", request=request)
        if self.fault is not None:
            _tell_that_it_was_sent(request)
            raise httpx.ReadTimeout("the contract kit let it time out", request=request)
        if self.answers:
            answer = self.scripted()
            stream = httpx.ByteStream(answer.body)
            return httpx.Response(answer.status, headers=dict(answer.headers), stream=stream)
        if request.url.host not in LOOPBACK:
            raise httpx.ConnectError("blocked by the contract kit", request=request)
        return self._noted(hand_over())

    def _noted(self, response: httpx.Response) -> httpx.Response:
        import httpx

        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.read()
        self.received.append(Response(status=response.status_code, headers=headers, body=body))
        hop_by_hop = ("content-length", "transfer-encoding", "content-encoding")
        same = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in hop_by_hop]
        if self.cookie is not None:
            same.append(("set-cookie", f"kit={self.cookie}; Path=/"))
        response.close()
        return httpx.Response(response.status_code, headers=same, stream=httpx.ByteStream(body))

    def scripted(self) -> Response:
        """Return the next of `answers`."""
        answer = self.answers[min(len(self.received), len(self.answers) - 1)]
        self.received.append(answer)
        return answer


@frozen
class _Watched:
    """`Profile.send`, seen by a wire."""

    _wire: Wire
    _send: BoundSend

    def __call__(self, request: Request, *, deadline: float = 30.0) -> Response:
        wire, host = self._wire, (urlsplit(request.url).hostname or "").lower()
        head = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        wire.sent.append(Sent(host, f"{request.url}\n{head}\n{request.body.decode('utf-8', 'replace')}"))
        if wire.fault is not None:
            raise fault_error(wire.fault, host, deadline)
        if wire.answers:
            return wire.scripted()
        at = len(wire.sent), len(wire.received)
        response = self._send(request, deadline=deadline)
        del wire.sent[at[0] :], wire.received[at[1] :]  # the same exchange, seen once more on its way
        wire.received.append(response)
        return response

    def with_hosts(self, hosts: Collection[str]) -> BoundSend:
        """Return a copy that also sends to these hosts."""
        return evolve(self, send=self._send.with_hosts(hosts)) if isinstance(self._send, HostLimited) else self

    def allow(self, issuer: str, urls: Iterable[str]) -> None:
        """Also send to the hosts in the metadata of the issuer that the profile is bound to."""
        if isinstance(self._send, HostLimited):
            self._send.allow(issuer, urls)


def _tell_that_it_was_sent(request: httpx.Request) -> None:
    """Report what httpcore reports before it writes, by which `Profile.send` knows that something was sent."""
    trace = request.extensions.get("trace")
    if trace is not None:
        trace("http11.send_request_headers.started", {"request": SimpleNamespace(method=request.method.encode())})
