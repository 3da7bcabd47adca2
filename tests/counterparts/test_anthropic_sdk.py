"""Anthropic's Python SDK makes requests with credentials from freshkey, renewed once and without a restart."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import pytest
from anthropic.types import MessageParam, TextBlock

from counterparts.messages_api import ANSWER, OAUTH_BETA, MessagesApi
from freshkey import Configuration, Keeper, LoginRequired
from freshkey_claude_oauth.sdk import anthropic_credentials
from freshkey_testing import AuthorizationServer, ManualClock, Policy, ScriptedUser
from freshkey_testing.browser import follow
from rotating import in_threads


pytestmark = pytest.mark.counterpart

KEY = "sk-ant-api03-canary-of-the-sdk"
HELLO: list[MessageParam] = [{"role": "user", "content": "Good morning"}]

MakeKeeper = Callable[..., Keeper]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "anthropic"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[AuthorizationServer]:
    with AuthorizationServer(Policy(state_in_body=True), clock=clock) as running:
        yield running


@pytest.fixture
def api(server: AuthorizationServer) -> Iterator[MessagesApi]:
    with MessagesApi(server, keys=[KEY]) as running:
        yield running


@pytest.fixture
def make_keeper(server: AuthorizationServer, clock: ManualClock, tmp_path: Path) -> Iterator[MakeKeeper]:
    keepers = []

    def make(**settings: object) -> Keeper:
        table = {"provider": "claude_oauth", "store": "memory", **server.settings(), **settings}
        configuration = Configuration.of({"me": table}, state_dir=tmp_path / "state", default="me")
        keeper = Keeper(configuration=configuration, clock=clock)
        keepers.append(keeper)
        return keeper

    yield make
    for keeper in keepers:
        keeper.close()


@pytest.fixture
def signed_in(make_keeper: MakeKeeper, clock: ManualClock) -> Keeper:
    """A keeper that has signed in long enough ago to renew."""
    keeper = make_keeper()
    with ScriptedUser(browser=follow) as user:
        keeper.login(interaction=user)
    clock.advance(60)
    return keeper


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


def say(api: MessagesApi, keeper: Keeper, way: str, requests: int = 1) -> list[str]:
    """Make requests, one after the other, with one client of the SDK; return the responses."""
    credentials = anthropic_credentials(keeper)
    if way == "sync":
        with anthropic.Anthropic(credentials=credentials, base_url=api.url, max_retries=1) as client:
            return [_said(_create(client)) for _ in range(requests)]

    async def talk() -> list[str]:
        async with anthropic.AsyncAnthropic(credentials=credentials, base_url=api.url, max_retries=1) as client:
            return [
                _said(await client.messages.create(model="claude", max_tokens=9, messages=HELLO))
                for _ in range(requests)
            ]

    return asyncio.run(talk())


def _create(client: anthropic.Anthropic) -> anthropic.types.Message:
    return client.messages.create(model="claude", max_tokens=9, messages=HELLO)


def _said(message: anthropic.types.Message) -> str:
    assert isinstance(message.content[0], TextBlock)
    return message.content[0].text


def tokens(api: MessagesApi) -> list[str]:
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in api.messages]


# --- where the credential comes from --------------------------------------------------------------------------------


def test_sign_in_works(api: MessagesApi, signed_in: Keeper, way: str) -> None:
    assert say(api, signed_in, way) == [ANSWER]
    asked = api.messages[0]
    assert OAUTH_BETA in asked.headers["anthropic-beta"]
    assert "x-api-key" not in asked.headers
    token = signed_in.get().token
    assert token is not None
    assert tokens(api) == [token.reveal()]


def test_api_key_from_a_helper_works(api: MessagesApi, make_keeper: MakeKeeper, tmp_path: Path, way: str) -> None:
    helper = tmp_path / "print-key"
    helper.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\necho {KEY}\n")
    helper.chmod(stat.S_IRWXU)
    assert say(api, make_keeper(api_key_helper=[str(helper)]), way, requests=3) == [ANSWER] * 3
    assert tokens(api) == [KEY] * 3
    assert (tmp_path / "runs").read_text().splitlines() == ["run"]


@pytest.mark.parametrize("name", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
def test_token_from_the_environment_works(
    api: MessagesApi, make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    monkeypatch.setenv(name, KEY)
    keeper = make_keeper()
    keeper.get()
    monkeypatch.delenv(name)
    assert say(api, keeper, way) == [ANSWER]
    assert tokens(api) == [KEY]


# --- expiry and revocation ------------------------------------------------------------------------------------------


def test_one_client_keeps_working_after_its_credential_expires(
    api: MessagesApi, signed_in: Keeper, server: AuthorizationServer, clock: ManualClock
) -> None:
    with anthropic.Anthropic(credentials=anthropic_credentials(signed_in), base_url=api.url, max_retries=1) as client:
        assert _said(_create(client)) == ANSWER
        clock.advance(server.policy.lifetime)
        assert _said(_create(client)) == ANSWER
    first, second = tokens(api)
    assert first != second
    assert api.statuses == [200, 200]
    assert server.count("grant.refresh_token") == 1


def test_revoked_token_costs_one_refusal_and_one_renewal(
    api: MessagesApi, signed_in: Keeper, server: AuthorizationServer, way: str
) -> None:
    signed_in.get()
    server.expire_access_tokens()
    assert say(api, signed_in, way, requests=3) == [ANSWER] * 3
    assert api.statuses == [401, 200, 200, 200]
    assert server.count("grant.refresh_token") == 1


def test_twenty_threads_with_a_revoked_token_cost_one_renewal(
    api: MessagesApi, signed_in: Keeper, server: AuthorizationServer
) -> None:
    with anthropic.Anthropic(credentials=anthropic_credentials(signed_in), base_url=api.url) as client:
        assert _said(_create(client)) == ANSWER
        server.expire_access_tokens()
        assert in_threads(20, lambda: _said(_create(client))) == [ANSWER] * 20
    assert server.count("grant.refresh_token") == 1
    assert api.statuses.count(200) == 21


def test_twenty_tasks_with_a_revoked_token_cost_one_renewal(
    api: MessagesApi, signed_in: Keeper, server: AuthorizationServer
) -> None:
    async def talk() -> list[str]:
        credentials = anthropic_credentials(signed_in)
        async with anthropic.AsyncAnthropic(credentials=credentials, base_url=api.url) as client:
            interaction = client.messages.create
            asked = (interaction(model="claude", max_tokens=9, messages=HELLO) for _ in range(20))
            return [_said(message) for message in await asyncio.gather(*asked)]

    signed_in.get()
    server.expire_access_tokens()
    assert asyncio.run(talk()) == [ANSWER] * 20
    assert server.count("grant.refresh_token") == 1


# --- errors ---------------------------------------------------------------------------------------------------------


def test_refused_key_that_cannot_be_renewed_raises_the_servers_own_error(
    api: MessagesApi, make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-unknown-to-the-server")
    with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
        say(api, make_keeper(), way)
    assert api.statuses == [401, 401]


def test_revoked_sign_in_raises_an_error_at_once(
    api: MessagesApi, signed_in: Keeper, server: AuthorizationServer, way: str
) -> None:
    signed_in.get()
    server.revoke_grants()
    with pytest.raises(anthropic.AnthropicError, match="freshkey") as caught:
        say(api, signed_in, way)
    cause = caught.value.__cause__
    assert isinstance(cause, LoginRequired)
    assert cause.code == "sign-in-ended"
    assert cause.hint is not None
    assert "freshkey login me" in cause.hint
    assert api.statuses == [401]
