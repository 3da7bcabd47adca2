"""Secrets are read from the environment when they are needed, and detection never shows them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from attrs import frozen

import freshkey_claude_oauth as provider
from freshkey._secret_input import file_descriptor
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken, ClaudeToken
from raises_code import raises_code


CANARY = "sk-ant-canary-5f1d0c9a7e"

VARIABLES = [
    ("auth-token", "ANTHROPIC_AUTH_TOKEN", ClaudeAuthToken),
    ("api-key", "ANTHROPIC_API_KEY", ClaudeApiKey),
    ("oauth-token", "CLAUDE_CODE_OAUTH_TOKEN", ClaudeToken),
]


def source(source_id: str) -> Source:
    found = description(None).source(source_id)
    assert found is not None
    return found


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_detection_reports_kind_origin_and_last_four(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, source_id: str, variable: str, kind: type
) -> None:
    assert source(source_id).detect(profile) is None
    monkeypatch.setenv(variable, CANARY)
    detected = source(source_id).detect(profile)
    assert isinstance(detected, Detected)
    assert (detected.origin, detected.last_four) == (f"environment variable {variable}", "9a7e")
    assert CANARY not in repr(detected)
    monkeypatch.setenv(variable, f"{CANARY}-2")
    changed = source(source_id).detect(profile)
    assert changed is not None
    assert detected.version is not None
    assert changed.version not in (None, detected.version)
    assert CANARY not in detected.version


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_value_is_used_unchanged(
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    source_id: str,
    variable: str,
    kind: type[ClaudeApiKey | ClaudeAuthToken | ClaudeToken],
) -> None:
    monkeypatch.setenv(variable, CANARY + "\n")
    credential = provider.acquire(profile=profile, source=source(source_id), interaction=NonInteractive("me"))
    assert type(credential) is kind
    assert credential.token == Secret(CANARY)
    assert (credential.source, credential.lifetime) == (source_id, None)
    assert CANARY not in repr(credential)


@pytest.mark.parametrize(("source_id", "variable", "kind"), VARIABLES)
def test_unset_variable_is_an_error(profile: Profile, source_id: str, variable: str, kind: type) -> None:
    with raises_code(LoginRequired, "no-credential-found") as caught:
        provider.acquire(profile=profile, source=source(source_id), interaction=NonInteractive("me"))
    assert variable in str(caught.value)


def test_empty_variable_counts_as_unset(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert source("api-key").detect(profile) is None


def test_invalid_value_is_an_error_that_names_the_variable_but_not_the_value(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"{CANARY} x")
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        source("api-key").detect(profile)
    assert "ANTHROPIC_API_KEY" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_each_kind_is_sent_with_the_headers_it_needs(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = {}
    for source_id, variable, _ in VARIABLES:
        monkeypatch.setenv(variable, CANARY)
        sent[source_id] = provider.acquire(
            profile=profile, source=source(source_id), interaction=NonInteractive("me")
        ).headers()
    assert sent == {
        "auth-token": {"Authorization": f"Bearer {CANARY}"},
        "api-key": {"x-api-key": CANARY},
        "oauth-token": {"Authorization": f"Bearer {CANARY}", "anthropic-beta": "oauth-2025-04-20"},
    }


def test_only_the_api_key_needs_consent_and_all_are_explicitly_provided() -> None:
    handed = {each.id: each.needs_consent for each in description(None).sources if each.handed_in and not each.owned}
    assert [name for name, needs_consent in handed.items() if needs_consent] == ["api-key"]
    assert {"auth-token", "api-key", "api-key-fd", "oauth-token", "oauth-token-fd", "api-key-helper"} <= set(handed)


# --- file descriptors -------------------------------------------------------------------------------------------------

DESCRIPTORS = [
    ("api-key-fd", "api_key_fd", "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", ClaudeApiKey),
    ("oauth-token-fd", "oauth_token_fd", "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR", ClaudeToken),
]


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a descriptor as inherited from a parent process, with a secret to read."""
    monkeypatch.setattr(file_descriptor, "_handed_over", {})
    reading, writing = os.pipe()
    os.write(writing, CANARY.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


@frozen
class Place:
    """Where a descriptor's number is configured, and the kind of credential that is read from it."""

    source: Source
    setting: str
    variable: str
    kind: type


@pytest.fixture(params=DESCRIPTORS, ids=lambda names: names[0])
def place(request: pytest.FixtureRequest) -> Place:
    source_id, setting, variable, kind = request.param
    return Place(source(source_id), setting, variable, kind)


@pytest.mark.parametrize("by_setting", [True, False])
def test_descriptor_is_set_by_setting_or_variable(
    make_profile: Callable[..., Profile],
    monkeypatch: pytest.MonkeyPatch,
    descriptor: int,
    place: Place,
    by_setting: bool,
) -> None:
    profile = make_profile(**({place.setting: descriptor} if by_setting else {}))
    monkeypatch.setenv(place.variable, "987" if by_setting else str(descriptor))
    detected = place.source.detect(profile)
    assert detected is not None
    assert detected.origin == f"file descriptor {descriptor}"
    for _ in range(2):
        credential = provider.acquire(profile=profile, source=place.source, interaction=NonInteractive("me"))
        assert (type(credential), credential.token) == (place.kind, Secret(CANARY))
    assert place.source.detect(profile) == detected


def test_without_an_inherited_descriptor_nothing_is_detected(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    with raises_code(LoginRequired, "no-credential-found") as caught:
        provider.acquire(profile=profile, source=place.source, interaction=NonInteractive("me"))
    assert place.setting in str(caught.value)
    assert place.variable in str(caught.value)
    monkeypatch.setenv(place.variable, "")
    assert place.source.detect(profile) is None
    # A grandchild process inherits the variable, but not the descriptor.
    monkeypatch.setenv(place.variable, "987")
    assert place.source.detect(profile) is None


@pytest.mark.parametrize("value", ["five", "-1", "5.0", "1" * 40, "\u0663"])
def test_variable_that_is_not_a_number_is_an_error(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", value)
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        source("api-key-fd").detect(profile)
    assert str(caught.value).startswith("me: ")
    assert "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR" in str(caught.value)
