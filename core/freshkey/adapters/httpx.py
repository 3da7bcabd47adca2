"""Signs each request of an httpx client with a fresh credential, and renews once if the server rejects it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import suppress

import httpx
from attrs import define

from freshkey.adapters.engine import NO_NEWER_ONE, Exchange, Response, Step, must_be_private
from freshkey.model.credential import CredentialSource
from freshkey.model.verdict import PEEK_SIZE


@define(eq=False, slots=False)
class KeeperAuth(httpx.Auth):
    """Authentication for one profile, for ``httpx.Client(auth=…)`` and ``httpx.AsyncClient(auth=…)``.

    A request whose credential the server rejects (`Credential.judge`) is sent once more with a newer one, if there is
    one or one can be obtained. Requests that are rejected at the same time share one renewal. A profile of None means
    the selected one.

    httpx follows redirects by itself, if a client asks for that. It then removes ``Authorization`` for another origin,
    but no other header: a client with a key in another header should not follow redirects.
    """

    _keeper: CredentialSource
    _profile: str | None
    _allow_http: bool = False

    # Credential formats that sign requests, such as SigV4, sign the body too.
    requires_request_body = True

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request; if its credential is rejected, renew once and send it once more."""
        url = self._url(request)
        request.read()
        exchange = Exchange(request.method, url, self._keeper.get(self._profile))
        response = yield _signed(request, exchange)
        while (step := exchange.after(seen := _Seen(response))) is not Step.DONE:
            if step is Step.PEEK:
                seen.add_beginning(_peek(response))
                step = exchange.after(seen)
            if step is Step.DONE:
                return
            if step is Step.RENEW:
                try:
                    exchange.credential = self._keeper.get(self._profile, refused=exchange.credential)
                except NO_NEWER_ONE:
                    return
            response.read()
            response = yield _signed(request, exchange)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Like `sync_auth_flow`, without blocking the event loop."""
        url = self._url(request)
        await request.aread()
        exchange = Exchange(request.method, url, await self._keeper.aget(self._profile))
        response = yield _signed(request, exchange)
        while (step := exchange.after(seen := _Seen(response))) is not Step.DONE:
            if step is Step.PEEK:
                seen.add_beginning(await _apeek(response))
                step = exchange.after(seen)
            if step is Step.DONE:
                return
            if step is Step.RENEW:
                try:
                    exchange.credential = await self._keeper.aget(self._profile, refused=exchange.credential)
                except NO_NEWER_ONE:
                    return
            await response.aread()
            response = yield _signed(request, exchange)

    def _url(self, request: httpx.Request) -> str:
        url = str(request.url)
        if not url.startswith("https:") and not self._allow_http:
            must_be_private(url)
        return url


def _signed(request: httpx.Request, exchange: Exchange) -> httpx.Request:
    # One by one: `Headers.update` takes longer than all the rest.
    for name, value in exchange.headers(request.content).items():
        request.headers[name] = value
    return request


@define
class _Seen(Response):
    """A response as `Credential.judge` sees it; after a redirect, that of the last request."""

    _response: httpx.Response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def method(self) -> str:
        return self._response.request.method

    @property
    def url(self) -> str:
        return str(self._response.request.url)


# --- reading the beginning of a body that the caller still gets whole ----------------------------------------------


class _Rejoined(httpx.SyncByteStream):
    """The chunks that were read, then the rest."""

    def __init__(self, chunks: list[bytes], rest: Iterator[bytes], whole: httpx.SyncByteStream) -> None:
        self._chunks, self._rest, self._whole = chunks, rest, whole

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        yield from self._rest

    def close(self) -> None:
        self._whole.close()


class _AsyncRejoined(httpx.AsyncByteStream):
    """Like `_Rejoined`, for asyncio."""

    def __init__(self, chunks: list[bytes], rest: AsyncIterator[bytes], whole: httpx.AsyncByteStream) -> None:
        self._chunks, self._rest, self._whole = chunks, rest, whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        await self._whole.aclose()


def _peek(response: httpx.Response) -> bytes:
    stream = response.stream
    if response.is_stream_consumed or not isinstance(stream, httpx.SyncByteStream):
        return _content(response)
    rest, chunks, size = iter(stream), [], 0
    for chunk in rest:
        chunks.append(chunk)
        size += len(chunk)
        if size >= PEEK_SIZE:
            break
    response.stream = _Rejoined(chunks, rest, stream)
    return _decoded(response, b"".join(chunks))


async def _apeek(response: httpx.Response) -> bytes:
    stream = response.stream
    if response.is_stream_consumed or not isinstance(stream, httpx.AsyncByteStream):
        return _content(response)
    rest, chunks, size = aiter(stream), [], 0
    async for chunk in rest:
        chunks.append(chunk)
        size += len(chunk)
        if size >= PEEK_SIZE:
            break
    response.stream = _AsyncRejoined(chunks, rest, stream)
    return _decoded(response, b"".join(chunks))


def _content(response: httpx.Response) -> bytes:
    """Return the body of a response that has been read, or nothing if the caller's hook took it."""
    with suppress(httpx.ResponseNotRead):
        return response.content
    return b""


def _decoded(response: httpx.Response, raw: bytes) -> bytes:
    """Return the beginning of a body without its content coding, as far as it can be decoded."""
    whole = httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(raw[:PEEK_SIZE]))
    decoded = bytearray()
    with suppress(httpx.DecodingError):
        for chunk in whole.iter_bytes(PEEK_SIZE):
            decoded += chunk
            break
    return bytes(decoded[:PEEK_SIZE])
