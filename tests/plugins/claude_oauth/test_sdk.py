"""The bridge to Anthropic's SDK: what it asks the keeper, what it hands over, and that nobody else pays for it."""

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
from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import Credential
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeToken
from freshkey_claude_oauth.sdk import anthropic_credentials


TOKEN = ClaudeToken(obtained=SYSTEM.now(), access_token=Secret("at-canary-1"), lifetime=3600.0, source="oauth")
NEWER = evolve(TOKEN, access_token=Secret("at-canary-2"))


@define
class Answers:
    """A `CredentialSource` that answers by script and remembers what it was asked."""

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
    """A format that signs and has no token."""

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"Authorization": "AWS4-HMAC-SHA256"}


def test_the_sdk_is_loaded_by_the_bridge_alone() -> None:
    program = (
        "import json, sys, freshkey, freshkey_claude_oauth, freshkey_claude_oauth.description;"
        "freshkey_claude_oauth.describe(profile=None, credential=None);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"anthropic", "httpx2", "freshkey_claude_oauth.sdk"} & set(json.loads(done.stdout))
    assert freshkey_claude_oauth.__name__ in done.stdout


def test_the_sdk_is_told_to_ask_each_time() -> None:
    source = Answers([TOKEN, NEWER])
    credentials = anthropic_credentials(source, "work")
    assert credentials() == AccessToken("at-canary-1", 0)
    assert credentials(force_refresh=False) == AccessToken("at-canary-2", 0)
    assert source.asked == [("work", None), ("work", None)]


def test_a_key_is_handed_over_like_a_token() -> None:
    key = ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("sk-canary"), source="api-key")
    assert anthropic_credentials(Answers([key]))().token == "sk-canary"


def test_after_a_refusal_the_last_one_handed_out_is_named() -> None:
    source = Answers([TOKEN, NEWER, NEWER])
    credentials = anthropic_credentials(source)
    credentials()
    assert credentials(force_refresh=True).token == "at-canary-2"
    credentials(force_refresh=True)
    assert source.asked == [(None, None), (None, TOKEN), (None, NEWER)]


def test_a_refusal_before_anything_was_handed_out_is_an_ordinary_question() -> None:
    source = Answers([TOKEN])
    assert anthropic_credentials(source)(force_refresh=True).token == "at-canary-1"
    assert source.asked == [(None, None)]


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, ProviderRefused])
def test_where_there_is_no_newer_one_the_servers_refusal_is_heard_again(kind: type[FreshkeyError]) -> None:
    credentials = anthropic_credentials(Answers([TOKEN, kind("not now")]))
    credentials()
    assert credentials(force_refresh=True).token == "at-canary-1"


def test_what_the_sdk_would_try_again_in_vain_is_an_error_of_its_own() -> None:
    needed = LoginRequired("nobody is signed in", profile="me", hint="Run: freshkey login me")
    with pytest.raises(AnthropicError, match=r"^me: nobody is signed in\. Run: freshkey login me$") as caught:
        anthropic_credentials(Answers([needed]))()
    assert caught.value.__cause__ is needed


def test_what_may_pass_is_left_to_the_retries_of_the_sdk() -> None:
    with pytest.raises(TransientError, match="no route"):
        anthropic_credentials(Answers([TransientError("no route")]))()


def test_what_is_no_token_is_not_sent() -> None:
    signature = Signature(obtained=SYSTEM.now(), source="keys")
    with pytest.raises(AnthropicError, match=r"from the source 'keys' is no token, and the SDK sends tokens only"):
        anthropic_credentials(Answers([signature]))()


def test_no_secret_shows() -> None:
    credentials = anthropic_credentials(Answers([TOKEN]))
    assert "at-canary" not in f"{credentials!r} {credentials()!r}"
