"""Clients that take a function get tokens of the plugin `oidc`, and none of their requests fails when a token ends.

The tokens are real: oidc-provider, or a double that takes an identity token, issues them for a few seconds, and the API
asks it for each request whether the token is still good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from anthropic.types import MessageParam, TextBlock
from openai.types.chat import ChatCompletion, ChatCompletionUserMessageParam

from counterparts.authentication import post
from counterparts.bearer_api import ANSWER, BearerApi
from counterparts.client import PlainClient
from counterparts.exchanging import CLIENT_CREDENTIALS, IdentityProvider, TokenService
from counterparts.oidc import RESOURCE, OidcServer
from freshkey import Configuration, Keeper, OAuthToken
from waiting import until


pytestmark = pytest.mark.counterpart

SECRET = "a-secret-of-the-machine"
SECONDS = 4
"""How long a token lives: long enough for a busy machine to use one, short enough to wait for its end."""

VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_RESOURCE",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
)

Say = Callable[[], str]
"""Makes one request with the client of a test, and returns the model's words."""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


# --- who issues tokens, who serves them, and who asks -----------------------------------------------------------------


@pytest.fixture
def issuer() -> Iterator[OidcServer]:
    machine = {"client_id": "batch", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post"}
    with OidcServer(access_token_seconds=SECONDS, machines=[machine]) as server:
        yield server


@pytest.fixture
def good(issuer: OidcServer) -> Callable[[str], bool]:
    """Whether the issuer says that a token is good now (RFC 7662)."""
    machine = PlainClient(issuer, client_id="batch", authenticate=post(SECRET))
    return lambda token: machine.introspect(token).json()["active"] is True


@pytest.fixture
def api(good: Callable[[str], bool]) -> Iterator[BearerApi]:
    with BearerApi(good) as api:
        yield api


def keeper_of(settings: dict[str, object], folder: Path) -> Keeper:
    """Return a keeper with one profile, which renews when half of a token's life is over."""
    table = {"provider": "oidc", "store": "memory", "lead": SECONDS / 2, "allow_insecure_loopback": True, **settings}
    return Keeper(configuration=Configuration.of({"foundry": table}, state_dir=folder / "state"))


@pytest.fixture
def keeper(issuer: OidcServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setenv("BATCH_SECRET", SECRET)
    settings: dict[str, object] = {
        "issuer": issuer.issuer,
        "client_id": "batch",
        "client_secret_variable": "BATCH_SECRET",
        "client_authentication": "client_secret_post",
        "flow": "client-credentials",
        "resource": [RESOURCE],
        "scopes": ["read"],
    }
    with keeper_of(settings, tmp_path) as keeper:
        yield keeper


def token_of(keeper: Keeper) -> str:
    return keeper.get("foundry", kind=OAuthToken).access_token.reveal()


async def token_on_a_loop(keeper: Keeper) -> str:
    return (await keeper.aget("foundry", kind=OAuthToken)).access_token.reveal()


# --- the clients ------------------------------------------------------------------------------------------------------

HELLO: list[MessageParam] = [{"role": "user", "content": "Good morning"}]
HELLO_OPENAI: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Good morning"}]


def said(message: anthropic.types.Message) -> str:
    assert isinstance(message.content[0], TextBlock)
    return message.content[0].text


def completed(completion: ChatCompletion) -> str:
    return completion.choices[0].message.content or ""


def foundry(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    client = stack.enter_context(
        anthropic.AnthropicFoundry(
            base_url=f"{api.url}/anthropic/", azure_ad_token_provider=lambda: token_of(keeper), max_retries=0
        )
    )
    return lambda: said(client.messages.create(model="claude", max_tokens=9, messages=HELLO))


def async_foundry(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    runner = stack.enter_context(asyncio.Runner())
    client = anthropic.AsyncAnthropicFoundry(
        base_url=f"{api.url}/anthropic/", azure_ad_token_provider=partial(token_on_a_loop, keeper), max_retries=0
    )
    stack.callback(lambda: runner.run(client.close()))
    return lambda: said(runner.run(client.messages.create(model="claude", max_tokens=9, messages=HELLO)))


def openai_client(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    client = stack.enter_context(
        openai.OpenAI(base_url=f"{api.url}/v1", api_key=lambda: token_of(keeper), max_retries=0)
    )
    return lambda: completed(client.chat.completions.create(model="gpt", messages=HELLO_OPENAI))


def async_openai(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    runner = stack.enter_context(asyncio.Runner())
    client = openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key=partial(token_on_a_loop, keeper), max_retries=0)
    stack.callback(lambda: runner.run(client.close()))
    return lambda: completed(runner.run(client.chat.completions.create(model="gpt", messages=HELLO_OPENAI)))


def azure_openai(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    client = stack.enter_context(
        openai.AzureOpenAI(
            azure_endpoint=api.url,
            api_version="2024-10-21",
            azure_ad_token_provider=lambda: token_of(keeper),
            max_retries=0,
        )
    )
    return lambda: completed(client.chat.completions.create(model="gpt", messages=HELLO_OPENAI))


def async_azure_openai(api: BearerApi, keeper: Keeper, stack: ExitStack) -> Say:
    runner = stack.enter_context(asyncio.Runner())
    client = openai.AsyncAzureOpenAI(
        azure_endpoint=api.url,
        api_version="2024-10-21",
        azure_ad_token_provider=partial(token_on_a_loop, keeper),
        max_retries=0,
    )
    stack.callback(lambda: runner.run(client.close()))
    return lambda: completed(runner.run(client.chat.completions.create(model="gpt", messages=HELLO_OPENAI)))


CLIENTS = [foundry, async_foundry, openai_client, async_openai, azure_openai, async_azure_openai]


@pytest.fixture
def say(request: pytest.FixtureRequest, api: BearerApi, keeper: Keeper) -> Iterator[Say]:
    with ExitStack() as stack:
        yield request.param(api, keeper, stack)


def refused(api: BearerApi, token: str) -> bool:
    """Whether the API refuses a token, as any client of it would find out."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{api.url}/v1/messages", json={"model": "any"}, headers=headers, trust_env=False, timeout=20)
    return answer.status_code == 401


# --- across an expiry -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("say", CLIENTS, indirect=True, ids=lambda make: make.__name__)
def test_requests_go_on_without_a_failure_while_tokens_end(
    say: Say, api: BearerApi, issuer: OidcServer, good: Callable[[str], bool]
) -> None:
    """Nothing is retried: one refused request would raise an error."""
    answers = []

    def first_has_ended_and_the_second_was_replaced() -> bool:
        answers.append(say())
        return len(api.tokens) > 2 and not good(api.tokens[0])

    until(first_has_ended_and_the_second_was_replaced, "the end of the first token, and a third one")
    assert set(answers) == {ANSWER}
    assert [each.status for each in api.served] == [200] * len(answers)
    # Each was used for many requests, so they came from memory.
    assert len(api.tokens) <= issuer.count("grant.success", grant_type="client_credentials") < len(answers)
    assert refused(api, api.tokens[0])


@pytest.mark.parametrize("say", CLIENTS, indirect=True, ids=lambda make: make.__name__)
def test_first_request_after_a_pause_gets_a_token_that_has_not_ended(
    say: Say, api: BearerApi, good: Callable[[str], bool]
) -> None:
    assert say() == ANSWER
    (old,) = api.tokens
    until(lambda: not good(old), "the end of the first token", pause=0.05)
    assert say() == ANSWER
    assert [each.status for each in api.served] == [200, 200]
    assert len(api.tokens) == 2


# --- with the identity token of a workload, as at Entra ID ------------------------------------------------------------


def test_foundry_goes_on_with_tokens_for_a_federated_identity(tmp_path: Path) -> None:
    platform = IdentityProvider()
    with ExitStack() as stack:
        service = stack.enter_context(
            TokenService(platform, audience="api://AzureADTokenExchange", access_token_seconds=SECONDS)
        )

        def accepted(token: str) -> bool:
            shown = {"Authorization": f"Bearer {token}"}
            return httpx.get(f"{service.url}/userinfo", headers=shown, trust_env=False, timeout=20).is_success

        file = tmp_path / "azure-identity-token"
        file.write_text(platform.token(service.audience), "ascii")
        file.chmod(0o600)
        settings: dict[str, object] = {
            "issuer": service.issuer,
            "client_id": service.client_id,
            "exchange": "client-assertion",
            "identity_token_file": str(file),
            "scopes": ["https://ai.azure.com/.default"],
        }
        api = stack.enter_context(BearerApi(accepted))
        say = foundry(api, stack.enter_context(keeper_of(settings, tmp_path)), stack)
        assert say() == ANSWER
        (old,) = api.tokens
        # The platform replaces the identity token as well.
        file.write_text(platform.token(service.audience), "ascii")
        until(lambda: not accepted(old), "the end of the first token", pause=0.05)
        assert say() == ANSWER
        assert [each.status for each in api.served] == [200, 200]
        assert len(api.tokens) == 2
        assert service.count(CLIENT_CREDENTIALS) == len(service.calls) >= 2
        assert service.calls[0].form["client_assertion"] != service.calls[-1].form["client_assertion"]
