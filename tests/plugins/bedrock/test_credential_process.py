"""The JSON of ``credential_process``, read and written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.model.credential import Credential
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock.credential_process import read_credentials
from freshkey_bedrock.description import description
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_testing import ManualClock
from raises_code import raises_code


PROFILE = Profile(name="me", provider="bedrock", settings=None, state_dir=Path("/none"))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def credential() -> AwsCredential:
    clock = ManualClock(wall=NEW_YEAR.timestamp())
    return AwsCredential(
        obtained=clock.now(),
        clock=clock,
        lifetime=3600.0,
        access_key_id="ASIAEXAMPLE",
        secret_access_key=Secret("the-secret"),
        session_token=Secret("the-token"),
        region="eu-west-1",
    )


def written(value: Credential) -> str:
    return description(None).exports["credential-process"](PROFILE, value)


def test_written_json_matches_the_aws_documentation() -> None:
    assert json.loads(written(credential())) == {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "the-secret",
        "SessionToken": "the-token",
        "Expiration": "2026-01-01T01:00:00Z",
    }


def test_static_key_has_neither_token_nor_expiration() -> None:
    lasting = attrs.evolve(credential(), session_token=None, lifetime=None)
    assert set(json.loads(written(lasting))) == {"Version", "AccessKeyId", "SecretAccessKey"}


def test_api_key_cannot_be_written() -> None:
    key = BedrockApiKey(obtained=ManualClock().now(), key=Secret("ABSK-made-up"))
    with raises_code(ConfigurationError, "bedrock-api-key-not-supported") as caught:
        written(key)
    assert "AWS_BEARER_TOKEN_BEDROCK" in str(caught.value.hint)


def test_written_json_can_be_read() -> None:
    keys = read_credentials(Secret(written(credential())), "it")
    assert (keys.access_key_id, keys.secret_access_key.reveal()) == ("ASIAEXAMPLE", "the-secret")
    assert keys.expires_at == NEW_YEAR.replace(hour=1)


@pytest.mark.parametrize("end", ["2026-01-01T01:00:00Z", "2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+01:00"])
def test_expiration_formats(end: str) -> None:
    printed = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": end}
    assert read_credentials(Secret(json.dumps(printed)), "it").expires_at == NEW_YEAR.replace(hour=1)


@settings(deadline=None)  # slow on a busy machine
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=4))
def test_any_member_is_accepted_or_refused_and_never_quoted(value: object) -> None:
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Version", "Credentials"):
        printed = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "canary-secret", name: value}
        assert "canary-secret" not in outcome(Secret(json.dumps(printed)))


def outcome(printed: Secret) -> str:
    """Return the result or the error as text."""
    try:
        return repr(read_credentials(printed, "it"))
    except ProtocolError as error:
        return str(error)
