"""Heads that the HTTP library refuses are replaced with valid ones; everything else is handed on as it is."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.lenient_head import MAX_HEAD, HeadReader, read_head
from promises import proves


CANARY = "canary-5f1d0c9a7e"
BODY = b'{"access_token": "at-1"}'
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKS = b"Transfer-Encoding: chunked"


class Connection:
    """Returns the pieces of a response one by one, then nothing, or raises an error."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces, self.error = list(pieces), error

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert max_bytes == 100
        assert timeout == 1.0
        if self.pieces:
            return self.pieces.pop(0)
        if self.error:
            raise self.error
        return b""


def reader(*pieces: bytes, error: Exception | None = None) -> HeadReader:
    return HeadReader(Connection(*pieces, error=error).read, lambda: True)


def everything(*pieces: bytes) -> bytes:
    source, read = reader(*pieces), b""
    while piece := source.read(100, 1.0):
        read += piece
    return read


def understood(received: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, the headers and the body as the HTTP library reads them."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "a.example")]))
    client.send(h11.EndOfMessage())
    client.receive_data(received)
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    return response.status_code, list(response.headers), body


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK", end: bytes = b"\r\n") -> bytes:
    return end.join((status, *lines, b"", b""))


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(head(LENGTH) + BODY, id="valid"),
        pytest.param(head(CHUNKS) + CHUNKED, id="chunked"),
        pytest.param(head() + BODY, id="no length"),
        pytest.param(head(LENGTH, end=b"\n") + BODY, id="line feeds"),
        pytest.param(head(LENGTH, status=b"HTTP/1.0 200") + BODY, id="1.0"),
        pytest.param(head(LENGTH, status=b"http/1.1 200 OK") + BODY, id="lower case"),
        pytest.param(head(LENGTH, status=b"HTTP/2 200") + BODY, id="2"),
        pytest.param(head(LENGTH, status=b"ICY 200 OK") + BODY, id="ICY"),
        pytest.param(b"\r\n\n\r\n" + head(LENGTH) + BODY, id="empty lines before it"),
        pytest.param(head(status=b"HTTP/1.1 100 Continue") + head(LENGTH) + BODY, id="100"),
        pytest.param(head(b"A: b", status=b"HTTP/1.1 103 Early Hints") * 3 + head(LENGTH) + BODY, id="103"),
        pytest.param(head(b"Invalid Name: 1", b"Sn\xc3\xb6: 1", b": 1", LENGTH) + BODY, id="invalid names"),
        pytest.param(head(b"Content-Length : %d" % len(BODY)) + BODY, id="a space before the colon"),
        pytest.param(head(b"PHP Warning", LENGTH) + BODY, id="no colon"),
        pytest.param(head(b"X-A: a\0b\x01\x7f", LENGTH) + BODY, id="control characters"),
        pytest.param(head(LENGTH, b"X-A: a\r") + BODY, id="a stray carriage return"),
        pytest.param(head(b"X-A: a", b"\tb", b"  c", LENGTH) + BODY, id="folded"),
        pytest.param(head(CHUNKS, CHUNKS) + CHUNKED, id="chunked twice"),
        pytest.param(head(b"Transfer-Encoding: Chunked, chunked") + CHUNKED, id="chunked, chunked"),
        pytest.param(head(b"Transfer-Encoding: gzip, chunked") + CHUNKED, id="gzip, chunked"),
        pytest.param(head(CHUNKS, b"Content-Length: 7") + CHUNKED, id="chunked with a length"),
        pytest.param(head(b"Transfer-Encoding: identity", LENGTH) + BODY, id="identity"),
        pytest.param(head(b"Transfer-Encoding: identity") + BODY, id="identity without a length"),
        pytest.param(head(CHUNKS) + BODY, id="chunked, but it is not"),
        pytest.param(head(CHUNKS, LENGTH) + BODY, id="chunked with a length, but it is not"),
        pytest.param(head(LENGTH, b"Content-Length: 5") + BODY, id="two lengths"),
        pytest.param(head(LENGTH, LENGTH) + BODY, id="a length twice"),
        pytest.param(head(b"Content-Length: %d" % (len(BODY) - 2)) + BODY, id="a length in characters"),
        *(pytest.param(head(b"Content-Length:" + n) + BODY, id=f"length {n!r}") for n in (b"", b"-1", b"+24", b"x")),
        pytest.param(head(b"Set-Cookie: a=" + b"x" * 200_000, LENGTH) + BODY, id="a long cookie"),
        pytest.param(head(*[b"Set-Cookie: a=" + b"x" * 4000] * 50, LENGTH) + BODY, id="many cookies"),
        pytest.param(head(*[b"X-A: " + b"x" * 4000] * 50, LENGTH) + BODY, id="many headers"),
        pytest.param(head(b"Connection: keep-alive", b"Upgrade: h2c", LENGTH) + BODY, id="kept alive"),
    ],
)
def test_a_response_is_understood_whatever_its_head_looks_like(response: bytes) -> None:
    assert understood(everything(response))[::2] == (200, BODY)


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("response", [head(CHUNKS, CHUNKS) + CHUNKED, head(CHUNKS) + BODY, head(b"x", LENGTH) + BODY])
def test_it_does_not_matter_in_which_pieces_it_arrives(response: bytes, size: int) -> None:
    response = b"\r\n" + head(status=b"HTTP/1.1 100 Continue") + response
    pieces = [response[at : at + size] for at in range(0, len(response), size)]
    assert understood(everything(*pieces))[::2] == (200, BODY)


def test_nothing_but_space_after_the_length_does_not_count() -> None:
    assert understood(everything(head(LENGTH) + BODY + b"\r\n"))[2] == BODY


def test_the_headers_that_can_be_read_are_kept() -> None:
    lines = (b"Set-Cookie: " + b"x" * 8000, b"Bad Name: 1", b"Retry-After: 7", b"X-A: 1", b"X-A: 2", b"X-B: a", b" b")
    cookies = (b"Set-Cookie: " + b"y" * 8000,) * 9
    _, headers, _ = understood(everything(head(*lines, *cookies, b"X-C: " + b"z" * 9000, b"X-Last: 1", LENGTH) + BODY))
    named = [(name, value) for name, value in headers if name not in (b"set-cookie", b"connection", b"content-length")]
    assert named == [
        *((b"retry-after", b"7"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"a b"), (b"x-last", b"1")),
    ]


@pytest.mark.parametrize(
    "received",
    [
        *(
            b"",
            b"SSH-2.0-x\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"<html>\n\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: 1",
        ),
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD + 100_000) + b"\r\n\r\n{}",
    ],
)
def test_what_is_not_a_head_is_handed_on_as_it_is(received: bytes) -> None:
    assert everything(*[received[at : at + 50_000] for at in range(0, len(received), 50_000)]) == received


def test_nothing_is_changed_before_the_request_is_sent() -> None:
    begun = False
    tunnel = head(b"A B: 1", status=b"HTTP/1.1 200 Established")
    source = HeadReader(Connection(tunnel, head(b"A B: 1") + BODY).read, lambda: begun)
    assert source.read(100, 1.0) == tunnel
    begun = True
    assert understood(source.read(100, 1.0))[2] == BODY


@pytest.mark.parametrize("framing", [LENGTH, CHUNKS, b"Content-Length: 0"])
@pytest.mark.parametrize("status", [403, 503])
def test_the_head_of_an_error_is_not_held_back_until_the_body_comes(status: int, framing: bytes) -> None:
    source = reader(head(framing, status=b"HTTP/1.1 %d X" % status), error=TimeoutError())
    assert source.read(100, 1.0).startswith(b"HTTP/1.1 %d " % status)


def test_an_error_after_the_head_does_not_lose_it() -> None:
    source = reader(head(CHUNKS), error=ConnectionResetError())
    assert source.read(100, 1.0).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConnectionResetError):
        source.read(100, 1.0)


def test_an_error_within_the_head_is_raised() -> None:
    with pytest.raises(ConnectionResetError):
        reader(b"HTTP/1.1 200 OK\r\nX: 1\r\n", error=ConnectionResetError()).read(100, 1.0)


def test_nothing_that_was_read_is_shown_or_kept() -> None:
    source = reader(f"HTTP/1.1 200 OK\r\nSet-Cookie: {CANARY}\r\n".encode(), f"\r\n{CANARY}".encode())
    source._next(f"HTTP/1.1 200 OK\r\nX: {CANARY}".encode())
    assert CANARY not in repr(source)
    assert CANARY.encode() in source.read(100, 1.0)
    assert source._received == b""
    assert CANARY not in repr(read_head(f"HTTP/1.1 200 OK\r\nSet-Cookie: {CANARY}".encode()))


PIECES = st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"\n\n", b"HTTP/1.1 200 OK\r\n", CHUNKS])


@given(st.lists(PIECES, max_size=9))
def test_any_bytes_are_read_to_their_end(pieces: list[bytes]) -> None:
    received = everything(*pieces)
    assert received == b"".join(pieces).lstrip(b"\r\n") or b"\r\n\r\n" in received
