"""HTTP exchanges that a test scripts, in place of `freshkey.Profile.send`: no socket, no thread, no waiting."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal
from urllib.parse import urlsplit

from attrs import define, field

from freshkey.errors import FreshkeyError, OutcomeUnknown, TransientError
from freshkey.plugin import Listen, Request, Response, checked_url
from freshkey_testing.redirects import PastedRedirect


Fault = Literal["before-sending", "after-sending", "after-processing"]
"""What goes wrong with an exchange.

``before-sending``: the connection times out, so nothing was sent (`TransientError`). ``after-sending``: no response
arrives, and whether the server acted is unknown (`OutcomeUnknown`). ``after-processing``: the same to the caller, but
the server did act, so the answer is spent.
"""

Reply = Callable[[Request], Response]

_NOTHING: Final[Mapping[str, str]] = {}
_NO_CONTENT: Final = b""

_DEADLINE: Final = 30.0
"""As that of the real one, in seconds."""


class UnexpectedRequest(AssertionError):
    """A request was sent that the script does not answer."""


@define(eq=False)
class _Expectation:
    method: str
    place: str
    reply: Reply
    fault: Fault | None
    times: int | None

    def fits(self, request: Request) -> bool:
        if self.times == 0 or self.method.upper() not in ("*", request.method.upper()):
            return False
        address = urlsplit(request.url)
        bare = f"{address.scheme}://{address.netloc}{address.path}"
        return self.place in ("*", address.hostname, address.netloc, bare, request.url)

    def __str__(self) -> str:
        left = "" if self.times is None else f" ({self.times} more)"
        return f"{self.method} {self.place}{left}"


@define(eq=False)
class ScriptedExchanges:
    """Answers requests as a test says; a `freshkey.plugin.Network`.

    Attributes:
        requests: Every request that was let through, oldest first. They contain secrets: check them, never print them.
        unexpected: One sentence for each request that no expectation answered; the fixture ``freshkey_http`` fails at
            the end of the test if there are any.
    """

    requests: list[Request] = field(init=False, factory=list, repr=False)
    unexpected: list[str] = field(init=False, factory=list)
    _expected: list[_Expectation] = field(init=False, factory=list)

    def on(
        self,
        method: str,
        place: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] = _NOTHING,
        json: object = None,
        body: bytes = _NO_CONTENT,
        reply: Reply | None = None,
        fault: Fault | None = None,
        times: int | None = None,
    ) -> None:
        """Answer requests from now on. Expectations are tried in the order in which they were given.

        Args:
            method: HTTP method; ``*`` for any.
            place: A URL with or without its query, a host with or without its port, or ``*`` for any.
            status: Status of the answer.
            headers: Headers of the answer.
            json: Its body as JSON.
            body: Its body as bytes, if there is no `json`.
            reply: Makes the answer from the request, in place of the four above.
            fault: What goes wrong; None if nothing does.
            times: How often it answers; after that, later expectations are tried. None: without end.
        """
        answer = made_response(status, headers, json, body)
        self._expected.append(_Expectation(method, place, reply or (lambda _: answer), fault, times))

    @staticmethod
    def response(
        status: int = 200,
        headers: Mapping[str, str] = _NOTHING,
        json: object = None,
        body: bytes = _NO_CONTENT,
    ) -> Response:
        """Return an answer for a `reply`; with `json`, that is its body."""
        return made_response(status, headers, json, body)

    def clear(self) -> None:
        """Forget all expectations, but not the requests."""
        self._expected.clear()

    @contextmanager
    def instead(
        self,
        *,
        status: int = 200,
        headers: Mapping[str, str] = _NOTHING,
        json: object = None,
        body: bytes = _NO_CONTENT,
        reply: Reply | None = None,
        fault: Fault | None = None,
    ) -> Iterator[None]:
        """Within the block, answer every request like this; the arguments are those of `on`."""
        before, self._expected = self._expected, []
        try:
            self.on("*", "*", status=status, headers=headers, json=json, body=body, reply=reply, fault=fault)
            yield
        finally:
            self._expected = before

    @property
    def listen(self) -> Listen:
        """Makes what waits for the browser at the end of a sign-in: no port is opened, and the user pastes."""
        return PastedRedirect

    def __call__(self, request: Request, *, deadline: float = _DEADLINE) -> Response:
        """Answer one request.

        Raises:
            ConfigurationError: The URL cannot be used.
            TransientError: The script says that nothing was sent.
            OutcomeUnknown: The script says that no response arrived.
            UnexpectedRequest: No expectation fits.
        """
        checked_url(request.url, allow_insecure_loopback=True)
        host = urlsplit(request.url).hostname or ""
        expectation = next((each for each in self._expected if each.fits(request)), None)
        if expectation is None:
            raise self._unanswered(request)
        if expectation.times is not None:
            expectation.times -= 1
        if expectation.fault == "before-sending":
            raise fault_error(expectation.fault, host, deadline)
        self.requests.append(request)
        if expectation.fault == "after-sending":
            raise fault_error(expectation.fault, host, deadline)
        response = expectation.reply(request)
        if expectation.fault is not None:
            raise fault_error(expectation.fault, host, deadline)
        return response

    def _unanswered(self, request: Request) -> UnexpectedRequest:
        address = urlsplit(request.url)  # without the query, which may hold a secret
        sent = f"{request.method} {address.scheme}://{address.netloc}{address.path}"
        known = ", ".join(map(str, self._expected)) or "nothing"
        sentence = (
            f"an unexpected request was sent: {sent}; the script answers {known}."
            f" Add freshkey_http.on({request.method!r}, …) if the provider should send it"
        )
        self.unexpected.append(sentence)
        return UnexpectedRequest(sentence)


def made_response(
    status: int = 200, headers: Mapping[str, str] = _NOTHING, json: object = None, body: bytes = _NO_CONTENT
) -> Response:
    """Return a response with lower-case header names; with `json`, that is its body."""
    lower = {name.lower(): value for name, value in headers.items()}
    if json is None:
        return Response(status=status, headers=lower, body=body)
    text = json_module.dumps(json).encode()
    return Response(status=status, headers={"content-type": "application/json", **lower}, body=text)


def fault_error(fault: Fault, host: str, deadline: float) -> FreshkeyError:
    """Return the error that `freshkey.plugin.send` raises for a fault."""
    reason = f"timed out after {deadline:g} s"
    if fault == "before-sending":
        return TransientError(f"cannot connect to {host}: {reason}", local=True, code="connection-failed")
    message = f"a request was sent to {host}, but its outcome is unknown: {reason}"
    return OutcomeUnknown(message, code="response-lost")
