"""A response on its way: what has arrived is read as soon as it says what it is, whatever is missing after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from attrs import define, field

from freshkey._http import content_coding
from freshkey._http.json_object import has_token, is_before_an_answer, is_page, read_object
from freshkey._json import MAX_BODY
from freshkey.errors import IntermediaryAnswer, ProtocolError, TransientError
from freshkey.model.exchange import Response


_MAX_LOOKS: Final = 50
"""How often a body is read while it arrives: a server that sends single bytes must not keep the machine busy."""

_AMBIGUOUS: Final = frozenset({400, 401})
"""Errors that a server says something with, and something in between as well; only the body tells."""


@define
class Incoming:
    """A response whose head is complete and whose body grows."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytearray = field(repr=False, factory=bytearray)
    _looks: int = field(init=False, default=0)

    def known(self) -> Response | None:
        """Return the response if what has arrived says what it is, whatever is missing or wrong after it.

        See docs/decisions.md, "Tokens that have arrived count, whatever ends the response".
        See docs/decisions.md, "What the head of a response says is known".
        """
        body = self._decoded()
        if not body_decides(self.status):
            return self._response(bytes(self.body) if body is None else body)
        if body is None:
            return None
        if self._success():
            says = has_token(body) or (is_page(body) and not is_before_an_answer(body))
        else:
            says = is_page(body) or read_object(body) is not None
        return self._response(body) if says else None

    def complete(self) -> bool:
        """Return whether there is no need to wait for the end; it looks only a few times, where an object may end."""
        if not self._success() or self._looks == _MAX_LOOKS or not self.body[-8:].rstrip().endswith(b"}"):
            return False
        self._looks += 1
        body = self._decoded()
        return body is not None and has_token(body)

    def read(self, chunks: Iterator[bytes], host: str) -> Response:
        """Read the body, but not much more than `MAX_BODY` of it.

        Raises:
            IntermediaryAnswer: It is a page that cannot be decoded.
            ProtocolError: It violates a limit, or cannot be decoded. What has arrived may still be `known`.
        """
        for chunk in chunks:
            self.body += chunk
            if len(self.body) > MAX_BODY or self.complete():
                break
        try:
            body = self._whole(host)
        except IntermediaryAnswer:
            raise
        except ProtocolError:
            if self._success():
                raise
            body = bytes(self.body)  # whatever it says, the status is what counts
        return self._response(body)

    def _whole(self, host: str) -> bytes:
        message = f"{host} responded with more than {MAX_BODY} bytes"
        if len(self.body) > MAX_BODY:
            raise ProtocolError(message, code="response-too-large")
        try:
            body = content_coding.decode(bytes(self.body), self.headers.get("content-encoding", ""), MAX_BODY)
        except content_coding.TooLong:
            raise ProtocolError(message, code="response-too-large") from None
        if body is not None:
            return body
        if body_decides(self.status) and "html" in self.headers.get("content-type", "").lower():
            raise IntermediaryAnswer(f"{host} responded with a page")
        message = f"{host} sent a compressed response that cannot be decoded"
        raise ProtocolError(message, hint="Check for a proxy that compresses responses", code="response-compressed")

    def _decoded(self) -> bytes | None:
        try:
            return content_coding.decode(bytes(self.body), self.headers.get("content-encoding", ""), MAX_BODY)
        except content_coding.TooLong:
            return None

    def _success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004  RFC 9110, section 15.3

    def _response(self, body: bytes) -> Response:
        headers = {name: value for name, value in self.headers.items() if name != "content-encoding"}
        return Response(status=self.status, headers=headers, body=body[:MAX_BODY])


def body_decides(status: int) -> bool:
    """Return whether the status of a response does not say enough without its body."""
    return 200 <= status < 300 or status in _AMBIGUOUS  # noqa: PLR2004  RFC 9110, section 15.3


def begin(status: int, headers: Iterable[tuple[str, str]], host: str) -> Incoming:
    """Return a response of which only the head has arrived; a header may be there several times.

    Raises:
        TransientError: It is a redirect.
        ProtocolError: Its status is invalid.
    """
    if 300 <= status < 400:  # noqa: PLR2004  RFC 9110, section 15.4
        # Not accepted by the endpoint: it has no reason to redirect, but the login page of a network has.
        raise TransientError(
            f"{host} responded with status {status}; redirects are not followed",
            local=True,
            hint="Check whether the network asks you to log in, and the URLs in the profile's settings",
            code="redirect-refused",
        )
    if not 200 <= status < 600:  # noqa: PLR2004  RFC 9110, section 15
        raise ProtocolError(f"{host} responded with the invalid status {status}")
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    return Incoming(status, {name: ", ".join(found) for name, found in values.items()})
