"""The provider keeps the contract that every provider must keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import freshkey_claude_oauth
from freshkey.model import Profile
from freshkey.testing import AuthorizationServer, ProviderContract
from freshkey_claude_oauth.formats import ClaudeToken


class TestClaudeOauth(ProviderContract):
    @pytest.fixture
    def provider(self) -> object:
        return freshkey_claude_oauth

    @pytest.fixture
    def profile(
        self, server: AuthorizationServer, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
    ) -> Profile:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-a-made-up-key")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-made-up-token-of-a-gateway")
        return make_profile(**server.settings())

    @pytest.fixture
    def signed_in(self, signed_in_now: ClaudeToken) -> ClaudeToken:
        return signed_in_now

    @pytest.fixture
    def revocable(self, signed_in_now: ClaudeToken) -> ClaudeToken:
        return signed_in_now
