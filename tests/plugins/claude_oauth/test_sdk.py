"""The bridge to Anthropic's SDK: what it requests from the keeper and returns, and that only it imports the SDK."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from anthropic import AnthropicError
from anthropic.lib.credentials import AccessToken
from attrs import define, evolve, field, frozen

import freshkey_claude_oauth
from freshkey.clock import SYSTEM
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.model.credential import Credential
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeToken
from freshkey_claude_oauth.sdk import anthropic_credentials
from raises_code import raises_code


TOKEN = ClaudeToken(obtained=SYSTEM.now(), access_token=Secret("at-canary-1"), lifetime=3600.0, source="oauth")
NEWER = evolve(TOKEN, access_token=Secret("at-canary-2"))


@define
class Answers:
    """A `CredentialSource` that returns scripted results and records its calls."""

    script: list[Credential | FreshkeyError]
    asked: list[tuple[str | None, Credential | None]] = field(factory=list)

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        self.asked.append((profile, refused))
        answer = self.script.pop(0)
        if isinstance(answer, FreshkeyError):
            raise answer
        return answer

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        return self.get(profile, min_ttl=min_ttl, refused=refused)


@frozen(kw_only=True)
class Signature(Credential):
    """A credential that signs requests and has no token."""

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"Authorization": "AWS4-HMAC-SHA256"}


def test_only_the_bridge_imports_the_sdk() -> None:
    program = (
        "import json, sys, freshkey, freshkey_claude_oauth, freshkey_claude_oauth.description;"
        "freshkey_claude_oauth.describe(profile=None, credential=None);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"anthropic", "httpx2", "freshkey_claude_oauth.sdk"} & set(json.loads(done.stdout))
    assert freshkey_claude_oauth.__name__ in done.stdout


def test_sdk_gets_the_credential_before_every_request() -> None:
    source = Answers([TOKEN, NEWER])
    credentials = anthropic_credentials(source, "work")
    assert credentials() == AccessToken("at-canary-1", 0)
    assert credentials(force_refresh=False) == AccessToken("at-canary-2", 0)
    assert source.asked == [("work", None), ("work", None)]


def test_api_key_is_returned_like_a_token() -> None:
    key = ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("sk-canary"), source="api-key")
    assert anthropic_credentials(Answers([key]))().token == "sk-canary"


def test_after_a_401_the_last_returned_credential_is_reported_as_refused() -> None:
    source = Answers([TOKEN, NEWER, NEWER])
    credentials = anthropic_credentials(source)
    credentials()
    assert credentials(force_refresh=True).token == "at-canary-2"
    credentials(force_refresh=True)
    assert source.asked == [(None, None), (None, TOKEN), (None, NEWER)]


def test_forced_refresh_before_any_credential_is_an_ordinary_get() -> None:
    source = Answers([TOKEN])
    assert anthropic_credentials(source)(force_refresh=True).token == "at-canary-1"
    assert source.asked == [(None, None)]


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, ProviderRefused])
def test_without_a_newer_credential_the_refused_one_is_returned_again(kind: type[FreshkeyError]) -> None:
    credentials = anthropic_credentials(Answers([TOKEN, kind("not now")]))
    credentials()
    assert credentials(force_refresh=True).token == "at-canary-1"


def test_permanent_error_becomes_an_anthropic_error() -> None:
    needed = LoginRequired("no one is signed in", profile="me", hint="Run: freshkey login me")
    with pytest.raises(AnthropicError) as caught:
        anthropic_credentials(Answers([needed]))()
    assert str(caught.value) == str(needed)
    assert caught.value.__cause__ is needed


def test_transient_error_is_left_to_the_sdks_retries() -> None:
    with raises_code(TransientError, "connection-failed"):
        anthropic_credentials(Answers([TransientError("no route", code="connection-failed")]))()


def test_credential_without_a_token_is_an_error() -> None:
    signature = Signature(obtained=SYSTEM.now(), source="keys")
    with pytest.raises(AnthropicError) as caught:
        anthropic_credentials(Answers([signature]), "me")()
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert caught.value.__cause__.code == "claude-unsupported-credential"
    assert "'keys'" in str(caught.value)


def test_repr_contains_no_secret() -> None:
    credentials = anthropic_credentials(Answers([TOKEN]))
    assert "at-canary" not in f"{credentials!r} {credentials()!r}"
