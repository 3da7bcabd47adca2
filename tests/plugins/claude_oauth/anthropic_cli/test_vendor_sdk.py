"""Anthropic's own Python SDK and freshkey share one sign-in and send the same requests."""

from __future__ import annotations

import json
import os

import pytest
from anthropic.lib.credentials import CredentialsFile, default_credentials

from anthropic_home import AnthropicHome, in_seconds
from freshkey.model.profile import Profile
from freshkey_claude_oauth.anthropic_cli.source import acquire
from freshkey_claude_oauth.federation import source as federation
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_testing import AuthorizationServer


def sdk_token(*, force: bool = False) -> str:
    """Return the token that the SDK gets from the profile in ``ANTHROPIC_PROFILE``."""
    provider = CredentialsFile()
    try:
        return provider(force_refresh=force).token
    finally:
        provider.close()


@pytest.fixture
def shared(
    home: AnthropicHome, server: AuthorizationServer, signed_in_now: ClaudeToken, monkeypatch: pytest.MonkeyPatch
) -> AnthropicHome:
    """A profile named work whose access token has expired."""
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    home.write_config(
        "work", authentication={"type": "user_oauth", "client_id": server.client_id}, base_url=server.urls.issuer
    )
    assert signed_in_now.refresh_token is not None
    home.write_credentials(
        "work",
        access_token=signed_in_now.access_token.reveal(),
        refresh_token=signed_in_now.refresh_token.reveal(),
        expires_at=in_seconds(-1),
        account_email="ada@example.com",
    )
    return home


def test_each_continues_from_what_the_other_wrote(
    shared: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:
    ours = acquire(profile, "anthropic-profile")
    assert sdk_token() == ours.access_token.reveal()
    assert server.count("grant.refresh_token") == 1
    theirs = sdk_token(force=True)
    adopted = acquire(profile, "anthropic-profile", replacing=ours.access_token)
    assert adopted.access_token.reveal() == theirs != ours.access_token.reveal()
    assert server.count("grant.refresh_token") == 2
    newest = acquire(profile, "anthropic-profile", replacing=adopted.access_token)
    assert sdk_token() == newest.access_token.reveal()
    assert server.count("refresh_token.reused") == 0
    assert shared.read_credentials("work")["account_email"] == "ada@example.com"


@pytest.mark.usefixtures("shared")
def test_both_send_the_same_renewal_request(server: AuthorizationServer, profile: Profile) -> None:
    acquire(profile, "anthropic-profile")
    sdk_token(force=True)
    ours, theirs = server.requests[-2:]
    assert json.loads(ours.body).keys() == json.loads(theirs.body).keys()
    for name in ("content-type", "anthropic-beta"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.path == theirs.path


def test_both_send_the_same_exchange_request(
    server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.trust("eyJhbGciOiJSUzI1NiJ9.machine.c2ln")
    for name in ("FEDERATION_RULE_ID", "ORGANIZATION_ID", "SERVICE_ACCOUNT_ID", "WORKSPACE_ID"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", f"a-{name.lower()}")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "eyJhbGciOiJSUzI1NiJ9.machine.c2ln")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.urls.issuer)
    federation.acquire(profile)
    found = default_credentials(base_url=os.environ["ANTHROPIC_BASE_URL"])
    assert found is not None
    assert found.provider().token
    ours, theirs = server.requests[-2:]
    assert json.loads(ours.body) == json.loads(theirs.body)
    for name in ("content-type", "anthropic-beta"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.path == theirs.path
