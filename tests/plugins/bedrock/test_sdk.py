"""boto3 with credentials from a keeper: one client keeps working across renewals, expirations and sign-outs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import freshkey_bedrock
from bedrock_runtime import MODEL, BedrockRuntime
from freshkey import Configuration, Keeper
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.credential import Credential
from freshkey_bedrock.formats import AwsCredential
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from raises_code import raises_code
from rotating import in_threads
from sso_double import SsoDouble


HOUR = 3600.0

MakeKeeper = Callable[..., Keeper]


@pytest.fixture
def runtime(clock: ManualClock) -> Iterator[BedrockRuntime]:
    with BedrockRuntime(clock=clock) as running:
        yield running


@pytest.fixture
def keeper(clock: ManualClock, runtime: BedrockRuntime, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper that has just signed in; its role credentials work at the runtime for an hour."""
    with SsoDouble(clock=clock) as double:
        double.knobs.role_keys = runtime.issue
        table = {"provider": "bedrock", "store": "memory", "region": "eu-west-1", **double.settings()}
        configuration = Configuration.of({"work": table}, state_dir=tmp_path / "state", default="work")
        with (
            Keeper(configuration=configuration, clock=clock) as keeper,
            ScriptedUser(browser=follow) as user,
        ):
            keeper.login("work", interaction=user)
            yield keeper


def client(session: Any, runtime: BedrockRuntime) -> Any:
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3.Session(botocore_session=session).client("bedrock-runtime", endpoint_url=runtime.url, config=config)


def invoke(client: Any) -> bytes:
    answer: bytes = client.invoke_model(modelId=MODEL, body=b'{"anthropic_version": "bedrock-2023-05-31"}')[
        "body"
    ].read()
    return answer


def key(credential: Credential) -> str:
    assert isinstance(credential, AwsCredential)
    return credential.access_key_id


def test_client_keeps_working_across_expirations(keeper: Keeper, runtime: BedrockRuntime, clock: ManualClock) -> None:
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    assert bedrock.meta.region_name == "eu-west-1"
    for _ in range(3):
        assert b"Good morning" in invoke(bedrock)
        clock.advance(2 * HOUR)
    assert [call.status for call in runtime.calls] == [200] * 3
    assert len(set(runtime.keys)) == 3


def test_next_request_uses_renewed_credentials(keeper: Keeper, runtime: BedrockRuntime, clock: ManualClock) -> None:
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    invoke(bedrock)
    clock.advance(60)
    newer = keeper.refresh("work")
    invoke(bedrock)
    assert runtime.keys[-1] == key(newer)
    assert runtime.keys[0] != runtime.keys[1]


def test_threads_share_one_client(keeper: Keeper, runtime: BedrockRuntime, clock: ManualClock) -> None:
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    in_threads(8, lambda: invoke(bedrock))
    clock.advance(2 * HOUR)
    in_threads(8, lambda: invoke(bedrock))
    assert [call.status for call in runtime.calls] == [200] * 16
    assert len(set(runtime.keys)) == 2


def test_next_request_after_sign_out_raises(keeper: Keeper, runtime: BedrockRuntime) -> None:
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    invoke(bedrock)
    keeper.logout("work")
    with pytest.raises(LoginRequired) as caught:
        invoke(bedrock)
    assert caught.value.profile == "work"
    assert len(runtime.calls) == 1


def test_keys_in_the_environment_are_ignored(
    keeper: Keeper, runtime: BedrockRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    invoke(client(freshkey_bedrock.botocore_session(keeper, "work"), runtime))
    assert runtime.keys == [key(keeper.get("work"))]


def test_server_refuses_expired_credentials(keeper: Keeper, runtime: BedrockRuntime, clock: ManualClock) -> None:
    old = keeper.get("work")
    assert isinstance(old, AwsCredential)
    assert old.session_token is not None
    stale = boto3.Session(
        aws_access_key_id=old.access_key_id,
        aws_secret_access_key=old.secret_access_key.reveal(),
        aws_session_token=old.session_token.reveal(),
        region_name=old.region,
    )
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    bedrock = stale.client("bedrock-runtime", endpoint_url=runtime.url, config=config)
    invoke(bedrock)
    clock.advance(2 * HOUR)
    with pytest.raises(ClientError, match="ExpiredToken"):
        invoke(bedrock)


def test_session_without_a_sign_in_raises(make_keeper: MakeKeeper) -> None:
    with raises_code(LoginRequired, "no-credential-found") as caught:
        freshkey_bedrock.botocore_session(make_keeper(source="sso"), "work")
    assert "freshkey login work" in str(caught.value)


def test_session_with_an_api_key_raises(make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSK-made-up")
    with raises_code(ConfigurationError, "bedrock-api-key-not-supported") as caught:
        freshkey_bedrock.botocore_session(make_keeper(), "work")
    assert caught.value.profile == "work"
    assert "'bearer-key'" in caught.value.message


def test_credentials_without_an_expiration_work(make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    session = freshkey_bedrock.botocore_session(make_keeper(), "work")
    credentials = session.get_credentials()
    assert credentials is not None
    frozen = credentials.get_frozen_credentials()
    assert (frozen.access_key, frozen.token) == ("AKIAENVIRONMENT", None)
