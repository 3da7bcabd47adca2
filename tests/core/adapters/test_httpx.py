"""The httpx adapter: it signs requests, and after a 401 renews and sends once more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from freshkey.errors import LoginRequired, NotForHttp, TransientError
from freshkey.keeper import Keeper
from leasing import LeaseProvider
from raises_code import raises_code
from rotating import World, in_threads


URL = "https://api.example.com/v1/things?page=2"


def test_credential_that_is_not_for_http_sends_nothing(world: World) -> None:
    world.provider = LeaseProvider(world.clock, world.journal, world.store)
    api = Api()
    with api.client(world.keeper()) as client, raises_code(NotForHttp, "not-for-http") as caught:
        client.get(URL)
    assert "database connections" in caught.value.message
    assert api.seen == []


class Api:
    """A server that accepts some tokens."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.seen: list[tuple[str, bytes]] = []
        self._mutex = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        with self._mutex:
            self.seen.append((token, request.content))
        return httpx.Response(200 if token in self.accepted else 401, text=f"for {token}")

    @property
    def tokens(self) -> list[str]:
        return [token for token, _ in self.seen]

    def client(self, keeper: Keeper) -> httpx.Client:
        return httpx.Client(auth=keeper.auth("me"), transport=httpx.MockTransport(self))

    def async_client(self, keeper: Keeper) -> httpx.AsyncClient:
        return httpx.AsyncClient(auth=keeper.auth("me"), transport=httpx.MockTransport(self))


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


def post(api: Api, keeper: Keeper, way: str, body: bytes = b"body") -> httpx.Response:
    """Send one request, with the sync or the async client."""
    if way == "sync":
        with api.client(keeper) as client:
            return client.post(URL, content=body)

    async def send() -> httpx.Response:
        async with api.async_client(keeper) as client:
            return await client.post(URL, content=body)

    return asyncio.run(send())


def aged(world: World) -> Keeper:
    """Return a keeper whose credential is older than the attempt floor."""
    keeper = world.signed_in()
    world.clock.advance(60)
    return keeper


def test_each_request_is_signed(world: World, way: str) -> None:
    api = Api("at-1")
    assert post(api, aged(world), way).status_code == 200
    assert api.seen == [("at-1", b"body")]
    assert world.provider.sent == []


def test_request_is_sent_once_more_after_a_401(world: World, way: str) -> None:
    api = Api("at-2")
    response = post(api, aged(world), way)
    assert (response.status_code, response.text) == (200, "for at-2")
    assert api.seen == [("at-1", b"body"), ("at-2", b"body")]
    assert world.provider.sent == ["rt-1"]


def test_second_401_is_returned(world: World, way: str) -> None:
    api = Api()
    keeper = aged(world)
    assert post(api, keeper, way).status_code == 401
    assert api.tokens == ["at-1", "at-2"]
    assert post(api, keeper, way).status_code == 401
    assert api.tokens == ["at-1", "at-2", "at-2"], "nothing is renewed again within the pause"
    assert world.provider.sent == ["rt-1"]


def test_401_is_returned_if_the_renewal_fails(world: World, way: str) -> None:
    api = Api()
    keeper = aged(world)
    world.provider.script.extend([TransientError("no route")] * 4)
    response = post(api, keeper, way)
    assert (response.status_code, response.text) == (401, "for at-1")


def test_login_required_is_raised(world: World, way: str) -> None:
    keeper = aged(world)
    world.provider.revoked = True
    with raises_code(LoginRequired, "sign-in-required"):
        post(Api(), keeper, way)


def test_other_statuses_are_returned_unchanged(world: World, way: str) -> None:
    keeper = aged(world)
    transport = httpx.MockTransport(lambda request: httpx.Response(403))
    if way == "sync":
        with httpx.Client(auth=keeper.auth("me"), transport=transport) as client:
            assert client.get(URL).status_code == 403
    else:

        async def send() -> int:
            async with httpx.AsyncClient(auth=keeper.auth("me"), transport=transport) as client:
                return (await client.get(URL)).status_code

        assert asyncio.run(send()) == 403
    assert world.provider.sent == []


def test_concurrent_401s_of_threads_share_one_renewal(world: World) -> None:
    api = Api("at-2")
    keeper = aged(world)
    with api.client(keeper) as client:
        answers = in_threads(20, lambda: client.get(URL).status_code)
    assert answers == [200] * 20
    assert world.provider.sent == ["rt-1"]


def test_concurrent_401s_of_an_event_loop_share_one_renewal(world: World) -> None:
    api = Api("at-2")
    keeper = aged(world)

    async def send() -> list[int]:
        async with api.async_client(keeper) as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.get(URL) for _ in range(50)))]

    assert asyncio.run(send()) == [200] * 50
    assert world.provider.sent == ["rt-1"]


def test_streamed_body_is_sent_again_completely(world: World) -> None:
    api = Api("at-2")
    keeper = aged(world)

    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    async def async_parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def send() -> httpx.Response:
        async with api.async_client(keeper) as client:
            return await client.post(URL, content=async_parts())

    with api.client(keeper) as client:
        assert client.post(URL, content=parts()).status_code == 200
    api.accepted = {"at-3"}
    world.clock.advance(60)
    assert asyncio.run(send()).status_code == 200
    assert api.seen == [(token, b"one two") for token in ("at-1", "at-2", "at-2", "at-3")]


def test_the_selected_profile_is_the_default(world: World) -> None:
    api = Api("at-1")
    keeper = aged(world)
    with httpx.Client(auth=keeper.auth(), transport=httpx.MockTransport(api)) as client:
        assert client.get(URL).status_code == 200


def test_401_after_a_renewal_by_another_process_adopts_its_credential(world: World) -> None:
    """A process that gets a 401 adopts what the other process renewed."""
    keeper, other = aged(world), world.keeper()
    api = Api("at-1")
    assert post(api, other, "sync").status_code == 200
    keeper.refresh("me")
    api.accepted = {"at-2"}
    assert post(api, other, "sync").status_code == 200
    assert api.tokens == ["at-1", "at-1", "at-2"]
    assert world.provider.sent == ["rt-1"]
