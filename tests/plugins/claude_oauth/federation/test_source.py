"""A machine's identity token is exchanged as in Anthropic's SDK, read again each time, without asking the user."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

import freshkey_claude_oauth as provider
from freshkey import Keeper
from freshkey._config.configuration import Configuration
from freshkey._http.messages import form
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.events import Event, Renewed
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.endpoints import at_endpoint
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_testing import AuthorizationServer
from freshkey_testing.secret_scan import assert_no_secret
from raises_code import raises_code


MakeProfile = Callable[..., Profile]

TOKEN = "eyJhbGciOiJSUzI1NiJ9.canary-1d9e.c2ln"


@pytest.fixture
def source() -> Source:
    found = description(None).source("federation")
    assert found is not None
    return found


@pytest.fixture
def token_file(tmp_path: Path, server: AuthorizationServer) -> Path:
    path = tmp_path / "identity" / "token"
    path.parent.mkdir()
    path.write_text(TOKEN + "\n")
    server.trust(TOKEN)
    return path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, server: AuthorizationServer, token_file: Path) -> Path:
    """The variables that Anthropic's SDK reads, pointing at the test server."""
    monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_1")
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.urls.issuer)
    return token_file


@pytest.fixture
def profile(make_profile: MakeProfile) -> Profile:
    return make_profile(allow_insecure_loopback=True)


def take(profile: Profile, source: Source) -> ClaudeToken:
    found = provider.acquire(profile=profile, source=source, interaction=NonInteractive("me"))
    assert isinstance(found, ClaudeToken)
    return found


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")
def test_token_file_that_others_can_change_is_not_sent(environment: Path) -> None:
    """TRU-14: they would choose the identity."""
    environment.chmod(0o666)
    with raises_code(ConfigurationError, "unsafe-file") as caught:
        identity_token.read(environment, {})
    assert "ANTHROPIC_IDENTITY_TOKEN_FILE or identity_token_file" in caught.value.message
    environment.chmod(0o644)
    assert identity_token.read(environment, {}) == Secret(TOKEN)


def test_byte_order_mark_before_the_identity_token_is_not_sent(environment: Path) -> None:
    environment.write_bytes(b"\xef\xbb\xbf" + environment.read_bytes() + b"\r\n")
    assert identity_token.read(environment, {}) == Secret(TOKEN)
    in_variable = {"ANTHROPIC_IDENTITY_TOKEN": environment.read_text("utf-8")}
    assert identity_token.read(None, in_variable) == Secret(TOKEN)


@pytest.mark.parametrize("in_file", [False, True])
def test_detected_version_changes_with_the_identity_token(
    environment: Path, profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, in_file: bool
) -> None:
    if not in_file:
        monkeypatch.delenv("ANTHROPIC_IDENTITY_TOKEN_FILE")
        monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "eyJhbGciOiJSUzI1NiJ9.before.c2ln")
    before = source.detect(profile)
    environment.write_text("eyJhbGciOiJSUzI1NiJ9.another-token.c2ln")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "eyJhbGciOiJSUzI1NiJ9.after.c2ln")
    after = source.detect(profile)
    assert before is not None
    assert after is not None
    assert before.version is not None
    assert after.version not in (None, before.version)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_2"),
        ("ANTHROPIC_ORGANIZATION_ID", "org-2"),
        ("ANTHROPIC_SERVICE_ACCOUNT_ID", "svac_2"),
        ("ANTHROPIC_WORKSPACE_ID", "wrkspc_2"),
        ("ANTHROPIC_BASE_URL", "https://gateway.example.com"),
    ],
)
def test_detected_version_changes_with_each_variable(
    profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    before = source.detect(profile)
    same = source.detect(profile)
    monkeypatch.setenv(name, value)
    after = source.detect(profile)
    assert before is not None
    assert same is not None
    assert after is not None
    assert before.version == same.version
    assert after.version not in (None, before.version)


@pytest.mark.usefixtures("environment")
def test_what_the_hint_of_a_refusal_says_is_tried_at_once_in_another_process(
    server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
    table = {"provider": "claude_oauth", "source": "federation", "allow_insecure_loopback": True}
    configuration = Configuration.of({"me": table}, state_dir=tmp_path / "state")
    server.next_response(400, json.dumps({"error": "invalid_grant"}))
    with Keeper(configuration=configuration) as keeper, raises_code(ProviderRefused, "claude-federation-refused"):
        keeper.get("me")
    with Keeper(configuration=configuration) as keeper, raises_code(ProviderRefused, "claude-federation-refused"):
        keeper.get("me")
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "wrkspc_1")
    with Keeper(configuration=configuration) as keeper:
        assert keeper.get("me").source == "federation"
    assert json.loads(server.requests[-1].body)["workspace_id"] == "wrkspc_1"


# --- request --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_exchange_request_is_that_of_anthropics_sdk(
    server: AuthorizationServer, profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_SERVICE_ACCOUNT_ID", "svac_1")
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "")
    found = take(profile, source)
    asked = server.requests[-1]
    assert json.loads(asked.body) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": TOKEN,
        "federation_rule_id": "fdrl_1",
        "organization_id": "org-1",
        "service_account_id": "svac_1",
    }
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["anthropic-beta"] == "oauth-2025-04-20,oidc-federation-2026-04-01"
    assert (found.source, found.lifetime, found.renewable) == ("federation", 3600.0, False)
    assert dict(found.extra_headers) == {"anthropic-beta": "oauth-2025-04-20"}
    assert found.token_endpoint == server.urls.token


def test_settings_override_variables(
    server: AuthorizationServer,
    make_profile: MakeProfile,
    source: Source,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FEDERATION_RULE_ID", "ORGANIZATION_ID", "WORKSPACE_ID", "IDENTITY_TOKEN_FILE"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", "from-the-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example")
    chosen = make_profile(
        federation_rule_id="fdrl_2",
        organization_id="org-2",
        workspace_id="wrkspc_2",
        identity_token_file=token_file,
        base_url=server.urls.issuer + "/",
        allow_insecure_loopback=True,
    )
    take(chosen, source)
    sent = json.loads(server.requests[-1].body)
    assert [sent[name] for name in ("federation_rule_id", "organization_id", "workspace_id", "assertion")] == [
        "fdrl_2",
        "org-2",
        "wrkspc_2",
        TOKEN,
    ]


def test_only_described_hosts_and_that_of_the_endpoint_are_allowed(make_profile: MakeProfile) -> None:  # TRU-5
    send = at_endpoint(make_profile(), "https://api.example.com/v1/oauth/token").send
    with pytest.raises(ProviderRefused) as caught:
        send(form("https://elsewhere.example/v1/oauth/token", {}))
    assert "elsewhere.example" in str(caught.value)


def test_identity_token_may_be_in_a_variable(
    server: AuthorizationServer,
    profile: Profile,
    source: Source,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment.unlink()
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", TOKEN)
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", "")
    take(profile, source)
    assert server.count("grant.assertion") == 1


def test_identity_token_is_read_again_each_time(
    server: AuthorizationServer, profile: Profile, source: Source, environment: Path
) -> None:
    take(profile, source)
    environment.unlink()
    (environment.parent / "data").write_text("eyJhbGciOiJSUzI1NiJ9.second.c2ln")
    if sys.platform == "win32":  # links need a privilege there
        (environment.parent / "data").replace(environment)
    else:
        environment.symlink_to("data")  # as Kubernetes projects tokens
    server.trust("eyJhbGciOiJSUzI1NiJ9.second.c2ln")
    take(profile, source)
    assert json.loads(server.requests[-1].body)["assertion"] == "eyJhbGciOiJSUzI1NiJ9.second.c2ln"


# --- detection ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_detection_reports_rule_and_token_file_without_reading_it(
    profile: Profile, source: Source, environment: Path
) -> None:
    environment.unlink()
    detected = source.detect(profile)
    assert detected is not None
    assert (detected.kind, detected.last_four) == ("workload identity", None)
    assert "fdrl_1" in detected.origin
    assert str(environment) in detected.origin


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "missing", ["ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID", "ANTHROPIC_IDENTITY_TOKEN_FILE"]
)
def test_rule_organization_and_identity_token_are_all_required(
    profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(missing, "")
    assert source.detect(profile) is None
    with raises_code(ConfigurationError, "claude-federation-not-configured") as caught:
        take(profile, source)
    assert missing in str(caught.value)


def test_project_may_not_configure_federation() -> None:  # TRU-5
    theirs = {field.name for field in attrs.fields(ClaudeSettings) if field.metadata.get("project")}
    assert theirs == {"anthropic_profile", "api_key_helper_gives"}


def test_relative_token_file_is_refused(make_profile: MakeProfile) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        make_profile(identity_token_file=Path("token"))
    assert "identity_token_file" in str(caught.value)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, '{"type": "error", "error": {"type": "authentication_error", "message": "Authentication failed"}}'),
        (400, '{"error": "invalid_grant"}'),
        (403, '{"type": "error", "error": {"type": "permission_error", "message": "Not allowed"}}'),
    ],
)
def test_refusal_is_not_retried_and_says_what_to_check(
    server: AuthorizationServer, profile: Profile, source: Source, status: int, body: str
) -> None:
    server.next_response(status, body)
    with raises_code(ProviderRefused, "claude-federation-refused") as caught:
        take(profile, source)
    assert str(status) in str(caught.value)
    assert "ANTHROPIC_WORKSPACE_ID" in str(caught.value)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")


@pytest.mark.usefixtures("environment")
def test_refusal_does_not_suggest_the_workspace_if_it_is_set(
    server: AuthorizationServer, profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "wrkspc_1")
    server.next_response(401, '{"error": "invalid_grant"}')
    with raises_code(ProviderRefused, "claude-federation-refused") as caught:
        take(profile, source)
    assert "ANTHROPIC_WORKSPACE_ID" not in str(caught.value)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ('{"access_token": "at"}', ProtocolError, "invalid-response"),
        ('{"access_token": "at", "expires_in": 60, "token_type": "DPoP"}', ProviderRefused, "unsupported-token-type"),
        (f'{{"access_token": "{TOKEN} x", "expires_in": 60}}', ProviderRefused, "unusable-access-token"),
        (f'["{TOKEN}"]', TransientError, "answered-in-between"),
        (f"<html>{TOKEN}", TransientError, "answered-in-between"),
    ],
    ids=["no-lifetime", "other-type", "unusable", "not-an-object", "page"],
)
def test_invalid_response_is_not_quoted(
    server: AuthorizationServer, profile: Profile, source: Source, *, body: str, kind: type[FreshkeyError], code: str
) -> None:  # NET-6
    server.next_response(200, body)
    with raises_code(kind, code) as caught:
        take(profile, source)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")


@pytest.mark.usefixtures("environment")
def test_temporary_errors_are_distinguished(server: AuthorizationServer, profile: Profile, source: Source) -> None:
    server.next_response(429, "{}", {"Retry-After": "7"})
    with pytest.raises(TransientError) as caught:
        take(profile, source)
    assert caught.value.retry_after == 7.0
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        take(profile, source)


@pytest.mark.parametrize(
    "base_url",
    ["http://api.example.com", "https://user:canary-pw@api.example.com", "https://api.example.com?x=1"],
    ids=["http", "password", "query"],
)
@pytest.mark.usefixtures("environment")
def test_identity_token_is_sent_only_to_safe_urls(
    profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, base_url: str
) -> None:  # NET-5
    monkeypatch.setenv("ANTHROPIC_BASE_URL", base_url)
    with raises_code(ConfigurationError, "invalid-url") as caught:
        take(profile, source)
    assert "ANTHROPIC_BASE_URL: " in str(caught.value)
    assert "canary-pw" not in str(caught.value)


@pytest.mark.usefixtures("environment")
def test_plain_http_on_loopback_requires_the_flag(make_profile: MakeProfile, source: Source) -> None:
    with raises_code(ConfigurationError, "invalid-url") as caught:
        take(make_profile(), source)
    assert "https" in str(caught.value)


# --- the identity token ---------------------------------------------------------------------------------------------


def test_invalid_identity_token_is_not_sent_and_its_place_is_named(
    server: AuthorizationServer,
    profile: Profile,
    source: Source,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What else is invalid: tests/core/_secret_input/test_identity_token.py."""
    environment.write_text(f"{TOKEN} second")
    with raises_code(ConfigurationError, "claude-invalid-identity-token") as caught:
        take(profile, source)
    assert str(environment) in str(caught.value)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")
    monkeypatch.delenv("ANTHROPIC_IDENTITY_TOKEN_FILE")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", f"{TOKEN} second")
    with raises_code(ConfigurationError, "claude-invalid-identity-token") as caught:
        take(profile, source)
    assert "ANTHROPIC_IDENTITY_TOKEN" in str(caught.value)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")
    assert server.requests == []


def test_missing_token_file_is_named_with_its_variable(
    profile: Profile, source: Source, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", f'"{environment}"')
    with raises_code(ConfigurationError, "claude-invalid-identity-token") as caught:
        take(profile, source)
    assert "ANTHROPIC_IDENTITY_TOKEN_FILE" in str(caught.value.hint)


# --- in a keeper ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_detected_source_is_renewed_before_it_expires(server: AuthorizationServer, tmp_path: Path) -> None:  # TIM-3
    server.policy.lifetime = 4.0
    table = {"provider": "claude_oauth", "allow_insecure_loopback": True}
    configuration = Configuration.of({"ci": table}, state_dir=tmp_path / "state", default="ci")
    events: list[Event] = []
    with Keeper(configuration=configuration, bare=True) as keeper:
        keeper.subscribe(events.append)
        winner = next(step for step in keeper.explain().steps if step.wins)
        assert winner.source.id == "federation"
        first = keeper.get()
        server.wait_for("grant.assertion", 2)
        second = keeper.get(refused=first)
        assert second.token not in {None, first.token}
    assert not first.expired()
    assert any(isinstance(event, Renewed) for event in events)
