"""A machine's identity is exchanged as Anthropic's SDK does, read anew each time, and never asks a person."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

import freshkey_claude_oauth as provider
from freshkey import Keeper
from freshkey._config.configuration import Configuration
from freshkey._http.messages import form
from freshkey.errors import ConfigurationError, OutcomeUnknown, ProtocolError, ProviderRefused, TransientError
from freshkey.events import Event, Renewed
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.transport import endpoint_sender
from freshkey_testing import AuthorizationServer
from freshkey_testing.secret_scan import assert_no_secret


MakeProfile = Callable[..., Profile]

TOKEN = "eyJ.canary-1d9e.c2ln"


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


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_the_exchange_is_that_of_the_vendors_sdk(
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


def test_settings_do_the_same_and_come_first(
    server: AuthorizationServer,
    make_profile: MakeProfile,
    source: Source,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FEDERATION_RULE_ID", "ORGANIZATION_ID", "WORKSPACE_ID", "IDENTITY_TOKEN_FILE"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", "of-somebody")
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


def test_the_host_of_the_endpoint_is_the_only_one(make_profile: MakeProfile) -> None:  # TRU-5
    send = endpoint_sender("https://api.example.com/v1/oauth/token", make_profile().settings_as(ClaudeSettings))
    with pytest.raises(ProviderRefused, match=r"elsewhere.example is not a host"):
        send(form("https://elsewhere.example/v1/oauth/token", {}))


def test_the_token_may_be_in_a_variable(
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


def test_it_is_read_anew_each_time(
    server: AuthorizationServer, profile: Profile, source: Source, environment: Path
) -> None:
    take(profile, source)
    environment.unlink()
    (environment.parent / "data").write_text("eyJ.second.c2ln")
    environment.symlink_to("data")  # as Kubernetes projects tokens
    server.trust("eyJ.second.c2ln")
    take(profile, source)
    assert json.loads(server.requests[-1].body)["assertion"] == "eyJ.second.c2ln"


# --- what is there --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_a_look_names_rule_and_place_and_reads_nothing(profile: Profile, source: Source, environment: Path) -> None:
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
def test_without_one_of_three_nothing_is_there(
    profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(missing, "")
    assert source.detect(profile) is None
    with pytest.raises(ConfigurationError, match=r"is not set up: .* Set ANTHROPIC_FEDERATION_RULE_ID"):
        take(profile, source)


def test_a_project_may_not_choose_any_of_it() -> None:  # TRU-5
    theirs = {field.name for field in attrs.fields(ClaudeSettings) if field.metadata.get("project")}
    assert theirs == {"anthropic_profile", "api_key_helper_gives"}


def test_a_relative_token_file_is_no_setting(make_profile: MakeProfile) -> None:
    with pytest.raises(ConfigurationError, match="identity_token_file: it must be an absolute path"):
        make_profile(identity_token_file=Path("token"))


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, '{"type": "error", "error": {"type": "authentication_error", "message": "Authentication failed"}}'),
        (401, ""),
        (400, '{"error": "invalid_grant"}'),
        (403, '{"error": {"type": "permission_error"}}'),
    ],
)
def test_a_refusal_is_a_matter_of_configuration(
    server: AuthorizationServer, profile: Profile, source: Source, status: int, body: str
) -> None:
    server.next_response(status, body)
    with pytest.raises(ProviderRefused, match=f"federation was refused: .*{status}.*ANTHROPIC_WORKSPACE_ID") as caught:
        take(profile, source)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")


@pytest.mark.usefixtures("environment")
def test_the_workspace_is_no_advice_where_it_is_set(
    server: AuthorizationServer, profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "wrkspc_1")
    server.next_response(401)
    with pytest.raises(ProviderRefused) as caught:
        take(profile, source)
    assert "Workload identity" in str(caught.value)
    assert "ANTHROPIC_WORKSPACE_ID" not in str(caught.value)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "body",
    [
        '{"access_token": "at"}',
        '{"access_token": "at", "expires_in": 60, "token_type": "DPoP"}',
        f'{{"access_token": "{TOKEN} x", "expires_in": 60}}',
        f'["{TOKEN}"]',
    ],
    ids=["no-lifetime", "other-type", "unusable", "no-object"],
)
def test_an_unreadable_answer_quotes_nothing(
    server: AuthorizationServer, profile: Profile, source: Source, body: str
) -> None:  # NET-6
    server.next_response(200, body)
    with pytest.raises(ProtocolError) as caught:
        take(profile, source)
    assert_no_secret(str(caught.value), {TOKEN}, "the error")


@pytest.mark.usefixtures("environment")
def test_trouble_that_passes_is_told_apart(server: AuthorizationServer, profile: Profile, source: Source) -> None:
    server.next_response(429, "{}", {"Retry-After": "7"})
    with pytest.raises(TransientError) as caught:
        take(profile, source)
    assert caught.value.retry_after == 7.0
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        take(profile, source)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("http://api.example.com", "does not use https"),
        ("https://user:canary-pw@api.example.com", "user name"),
        ("https://api.example.com?x=1", "has a query"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_the_identity_goes_to_safe_addresses_only(
    profile: Profile, source: Source, monkeypatch: pytest.MonkeyPatch, base_url: str, says: str
) -> None:  # NET-5
    monkeypatch.setenv("ANTHROPIC_BASE_URL", base_url)
    with pytest.raises(ConfigurationError, match=f"ANTHROPIC_BASE_URL: .*{says}") as caught:
        take(profile, source)
    assert "canary-pw" not in str(caught.value)


@pytest.mark.usefixtures("environment")
def test_plain_http_on_loopback_needs_the_flag(make_profile: MakeProfile, source: Source) -> None:
    with pytest.raises(ConfigurationError, match="does not use https"):
        take(make_profile(), source)


# --- the identity token ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"x" * 16385, "more than 16384 bytes"),
        (TOKEN.encode() + b" second", "characters that no token has"),
        (TOKEN.encode() + b"\xff", "characters that no token has"),
        (b"-----BEGIN PRIVATE KEY-----\n" + TOKEN.encode(), "characters that no token has"),
    ],
    ids=["empty", "blank", "huge", "two-words", "not-ascii", "key"],
)
def test_what_is_no_token_is_named_and_not_sent(
    server: AuthorizationServer, profile: Profile, source: Source, environment: Path, *, content: bytes, says: str
) -> None:
    environment.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says) as caught:
        take(profile, source)
    assert str(environment) in str(caught.value)
    assert_no_secret(str(caught.value), {TOKEN, "x" * 100}, "the error")
    assert server.requests == []


def test_a_file_that_is_none_is_named_at_once(profile: Profile, source: Source, environment: Path) -> None:
    environment.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        take(profile, source)
    os.mkfifo(environment)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        take(profile, source)
    environment.unlink()
    environment.mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        take(profile, source)


# --- in a keeper ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_from_look_to_a_proactive_renewal(server: AuthorizationServer, tmp_path: Path) -> None:  # TIM-3
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
