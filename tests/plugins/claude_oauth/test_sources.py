"""The sources of the provider, and the settings that each of them ignores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from attrs import evolve

from freshkey import Configuration, Keeper
from freshkey._commands.command import Command
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.sources import SOURCES, USED_BY


EVERY: dict[str, object] = {
    "api_key_helper": Command.of([sys.executable]),
    "api_key_helper_ttl": 60.0,
    "api_key_helper_timeout": 5.0,
    "api_key_helper_gives": "oauth-token",
    "token_url": "https://gateway.example/token",
    "profile_url": "https://gateway.example/profile",
    "api_key_fd": 3,
    "oauth_token_fd": 4,
    "anthropic_profile": "work",
    "federation_rule_id": "fdrl_1",
    "organization_id": "org_1",
    "service_account_id": "svac_1",
    "workspace_id": "wrkspc_1",
    "identity_token_file": Path("/token").absolute(),
    "client_id": "client",
    "issuer": "https://as.example",
    "authorize_url": "https://as.example/authorize",
    "revoke_url": "https://as.example/revoke",
    "device_url": "https://as.example/device",
    "revoke_replaced": False,
    "scopes": ("one",),
    "authorize_parameters": {"a": "b"},
    "flow": "device",
    "redirect_host": "127.0.0.1",
    "redirect_path": "/there",
    "paste_redirect_url": "https://as.example/paste",
    "encoding": "json",
    "repeats_for": 10.0,
}


def test_table_names_sources_and_settings_that_exist() -> None:
    assert set(USED_BY) == set(EVERY) <= {each.name for each in attrs.fields(ClaudeSettings)}
    assert set().union(*USED_BY.values()) <= {source.id for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=[source.id for source in SOURCES])
def test_each_source_names_what_it_ignores(make_profile: Callable[..., Profile], source: Source) -> None:
    profile = evolve(make_profile(**EVERY), source=source.id)
    expected = {name for name in EVERY if source.id not in USED_BY[name]}
    assert set(source.ignores(profile)) == expected


def test_default_settings_are_ignored_by_no_source(make_profile: Callable[..., Profile]) -> None:
    assert [source.ignores(evolve(make_profile(), source=source.id)) for source in SOURCES] == [()] * len(SOURCES)


@pytest.mark.parametrize(
    ("setting", "value", "source"),
    [
        ("api_key_helper", [sys.executable, "made-up"], "api-key-helper"),
        ("api_key_fd", 3, "api-key-fd"),
        ("oauth_token_fd", 3, "oauth-token-fd"),
        ("anthropic_profile", "work", "anthropic-profile"),
        ("federation_rule_id", "fdrl_1", "federation"),
    ],
)
def test_setting_that_a_left_over_variable_overrules_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: object, source: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "left-over")
    tables = {"me": {"provider": "claude_oauth", "store": "memory", setting: value}}
    with Keeper(configuration=Configuration.of(tables, state_dir=tmp_path)) as keeper:
        assert keeper.status("me").overruled == {setting: source}
        (step,) = [step for step in keeper.explain("me").steps if step.source.id == source]
        assert step.why == f"'auth-token' comes first, although {setting} is set"
