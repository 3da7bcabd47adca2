"""How each credential format authorizes requests and child processes."""

from __future__ import annotations

import pytest

from freshkey._stores.records.codec import Codec
from freshkey.clock import SYSTEM
from freshkey.errors import CredentialExpired
from freshkey.model.credential import Credential
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import FORMATS, ClaudeApiKey, ClaudeAuthToken, ClaudeProfileToken, ClaudeToken


def token(**facts: object) -> ClaudeToken:
    given: dict[str, object] = {
        "obtained": SYSTEM.now(),
        "access_token": Secret("at-1"),
        "refresh_token": Secret("rt-1"),
        "lifetime": 3600.0,
        "extra_headers": (("anthropic-beta", "b-1"),),
    }
    return ClaudeToken(**{**given, **facts})  # type: ignore[arg-type]


def test_oauth_token_is_sent_with_the_beta_header() -> None:
    assert token().headers() == {"Authorization": "Bearer at-1", "anthropic-beta": "b-1"}


def test_child_process_gets_token_and_beta_header_but_not_the_refresh_token() -> None:
    assert token().environment() == {
        "ANTHROPIC_AUTH_TOKEN": "at-1",
        "ANTHROPIC_CUSTOM_HEADERS": "anthropic-beta: b-1",
        "ANTHROPIC_BETAS": "b-1",
    }
    assert token(extra_headers=()).environment() == {"ANTHROPIC_AUTH_TOKEN": "at-1"}
    workspace = (("anthropic-workspace-id", "w-1"),)
    assert token(extra_headers=workspace).environment() == {
        "ANTHROPIC_AUTH_TOKEN": "at-1",
        "ANTHROPIC_CUSTOM_HEADERS": "anthropic-workspace-id: w-1",
    }
    more = (("anthropic-beta", "b-1"), ("anthropic-workspace-id", "w-1"), ("x-gateway-key", "secret"))
    assert token(extra_headers=more).environment()["ANTHROPIC_CUSTOM_HEADERS"] == (
        "anthropic-beta: b-1\nanthropic-workspace-id: w-1"
    )


def test_expired_token_authorizes_nothing() -> None:
    with pytest.raises(CredentialExpired):
        token(lifetime=0.0).environment()


def test_api_key_is_sent_as_x_api_key() -> None:
    key = ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1"))
    assert key.headers() == {"x-api-key": "k-1"}
    assert key.environment() == {"ANTHROPIC_API_KEY": "k-1"}
    assert not key.renewable


def test_static_token_is_sent_as_bearer_without_the_beta_header() -> None:
    static = ClaudeAuthToken(obtained=SYSTEM.now(), key=Secret("t-1"))
    assert static.headers() == {"Authorization": "Bearer t-1"}
    assert static.environment() == {"ANTHROPIC_AUTH_TOKEN": "t-1"}


@pytest.mark.parametrize(
    "credential",
    [
        token(),
        ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1")),
        ClaudeAuthToken(obtained=SYSTEM.now(), key=Secret("t-1")),
    ],
    ids=lambda credential: type(credential).__name__,
)
def test_each_format_can_be_stored_and_loaded(credential: Credential) -> None:
    codec = Codec(FORMATS)
    assert codec.decode(codec.encode(credential)) == credential


def test_format_tags_match_stored_records() -> None:
    assert {
        "claude-oauth": ClaudeToken,
        "claude-anthropic-profile": ClaudeProfileToken,
        "claude-api-key": ClaudeApiKey,
        "claude-auth-token": ClaudeAuthToken,
    } == FORMATS
