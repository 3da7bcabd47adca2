"""Borrowed credentials come from the environment at the moment of the call, and are never shown by a look."""

from __future__ import annotations

import pytest

import freshkey_claude_oauth as provider
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model import Profile, Sighting, Source
from freshkey.person import Nobody
from freshkey.secret import Secret
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken


CANARY = "sk-ant-canary-5f1d0c9a7e"

VARIABLES = [("auth-token", "ANTHROPIC_AUTH_TOKEN", ClaudeAuthToken), ("api-key", "ANTHROPIC_API_KEY", ClaudeApiKey)]


def source(source_id: str) -> Source:
    found = description(None).source(source_id)
    assert found is not None
    return found


def test_what_the_environment_holds_comes_before_the_sign_in() -> None:
    sources = description(None).sources
    assert [(each.id, each.owned, each.interactive) for each in sources] == [
        ("auth-token", False, False),
        ("api-key", False, False),
        ("anthropic-profile", False, False),
        ("federation", False, False),
        ("oauth", True, True),
        ("anthropic-active-profile", False, False),
    ]


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_a_look_tells_kind_origin_and_last_four(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, source_id: str, variable: str, kind: type
) -> None:
    assert source(source_id).look(profile) is None
    monkeypatch.setenv(variable, CANARY)
    sighting = source(source_id).look(profile)
    assert isinstance(sighting, Sighting)
    assert (sighting.origin, sighting.last_four) == (f"environment variable {variable}", "9a7e")
    assert CANARY not in repr(sighting)


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_it_is_taken_as_it_is(
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    source_id: str,
    variable: str,
    kind: type[ClaudeApiKey | ClaudeAuthToken],
) -> None:
    monkeypatch.setenv(variable, CANARY + "\n")
    credential = provider.acquire(profile=profile, source=source(source_id), ask=Nobody("me"))
    assert type(credential) is kind
    assert credential.token == Secret(CANARY)
    assert (credential.source, credential.lifetime) == (source_id, None)
    assert CANARY not in repr(credential)


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_without_it_a_person_must_act(profile: Profile, source_id: str, variable: str, kind: type) -> None:
    with pytest.raises(LoginRequired, match=f"Set {variable}"):
        provider.acquire(profile=profile, source=source(source_id), ask=Nobody("me"))


def test_an_empty_variable_counts_as_unset(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert source("api-key").look(profile) is None


def test_a_broken_value_is_named_and_not_quoted(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"{CANARY} x")
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY") as caught:
        source("api-key").look(profile)
    assert CANARY not in str(caught.value)
