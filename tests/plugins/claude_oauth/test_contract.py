"""The provider passes the contract tests for providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

import freshkey_claude_oauth
from anthropic_home import AnthropicHome, in_seconds
from freshkey.model.profile import Profile
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_testing import AuthorizationServer, Lender, ProviderContract, ScriptedUser
from freshkey_testing.browser import follow


class TestClaudeOauth(ProviderContract):
    @pytest.fixture
    def provider(self) -> object:
        return freshkey_claude_oauth

    @pytest.fixture
    def profile(
        self,
        server: AuthorizationServer,
        make_profile: Callable[..., Profile],
        home: AnthropicHome,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Profile:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-a-made-up-key")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-made-up-token-of-a-gateway")
        home.write_config("work")
        home.write_credentials("work", access_token="sk-ant-oat01-a-made-up-token", expires_at=in_seconds(600))
        home.activate("work")
        monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
        monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_1")
        monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
        monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "eyJhbGciOiJSUzI1NiJ9.made-up.c2ln")
        server.trust("eyJhbGciOiJSUzI1NiJ9.made-up.c2ln")
        return make_profile(**server.settings(), base_url=server.urls.issuer)

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        key = ScriptedUser(secret="sk-ant-api03-another-made-up-key")
        return {"oauth": ScriptedUser(browser=follow), "stored-api-key": key}

    @pytest.fixture
    def lenders(self, home: AnthropicHome) -> Mapping[str, Lender]:
        def renew() -> None:
            home.write_credentials("work", access_token="sk-ant-oat01-a-newer-token", expires_at=in_seconds(1200))

        program = Lender(renew=renew, remove=home.credentials_file("work").unlink)
        return {"anthropic-profile": program}

    @pytest.fixture
    def signed_in(self, signed_in_now: ClaudeToken) -> ClaudeToken:
        return signed_in_now

    @pytest.fixture
    def revocable(self, signed_in_now: ClaudeToken) -> ClaudeToken:
        return signed_in_now
