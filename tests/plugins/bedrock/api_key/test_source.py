"""Bedrock API keys from the environment or the user, long-term or short-term."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from attrs import evolve

from bedrock_keys import LONG_TERM, short_term_key
from counterparts.moto import REGION
from freshkey import Keeper
from freshkey.errors import CredentialExpired, LoginRequired, ProviderRefused
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock.api_key import source
from freshkey_bedrock.api_key.parse import PREFIX
from freshkey_bedrock.formats import BedrockApiKey
from freshkey_bedrock.sources import SOURCES, acquire
from freshkey_testing import ManualClock, ScriptedUser
from raises_code import raises_code


VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"


def minutes_ago(clock: ManualClock, minutes: float) -> datetime:
    return datetime.fromtimestamp(clock.now().wall - minutes * 60, UTC).replace(microsecond=0)


# --- the environment --------------------------------------------------------------------------------------------------


def test_empty_variable_counts_as_unset(profile: Profile, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert source.detect(profile) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        source.from_environment(evolve(profile, clock=clock))
    assert caught.value.hint == "Set AWS_BEARER_TOKEN_BEDROCK"


def test_key_in_the_environment_takes_precedence(
    make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, LONG_TERM)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAME")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    credential = make_keeper().get("work")
    assert isinstance(credential, BedrockApiKey)
    assert credential.source == "bearer-key"
    assert credential.expires_at is None
    assert credential.headers("POST", "https://example.org/", b"") == {"Authorization": f"Bearer {LONG_TERM}"}
    assert credential.environment() == {VARIABLE: LONG_TERM, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def test_detection_needs_consent_and_shows_only_four_characters(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, LONG_TERM)
    detected = source.detect(profile)
    assert detected is not None
    assert detected.kind == "Bedrock API key"
    assert detected.last_four == LONG_TERM[-4:]
    assert detected.fingerprint == Secret(LONG_TERM).fingerprint()
    assert [one.id for one in SOURCES if one.needs_consent] == ["bearer-key"]


def test_expiration_and_region_come_from_the_short_term_key(
    make_keeper: Callable[..., Keeper], clock: ManualClock, monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    begins = minutes_ago(clock, 10)
    monkeypatch.setenv(VARIABLE, short_term_key(begins, 3600))
    credential = make_keeper().get("work")
    assert isinstance(credential, BedrockApiKey)
    assert credential.region == "us-west-2"
    assert credential.expires_at is not None
    assert abs(credential.expires_at.timestamp() - begins.timestamp() - 3600) < 1e-3
    detected = source.detect(profile)
    assert detected is not None
    assert detected.expires_at is not None
    assert (detected.kind, detected.last_four) == ("short-term Bedrock API key", None)
    assert detected.expires_at.timestamp() == begins.timestamp() + 3600
    clock.advance(3001)
    with pytest.raises(CredentialExpired):
        credential.headers()


def test_new_key_in_the_environment_replaces_the_old_one_before_expiration(
    make_keeper: Callable[..., Keeper], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, short_term_key(minutes_ago(clock, 10), 3600))
    keeper = make_keeper()
    first = keeper.get("work")
    monkeypatch.setenv(VARIABLE, short_term_key(minutes_ago(clock, 0), 7200))
    clock.advance(3000 - 301)
    assert keeper.get("work").token == first.token
    newer = keeper.get("work", min_ttl=400)
    assert newer.token != first.token


def test_expired_short_term_key_raises(
    make_keeper: Callable[..., Keeper], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, short_term_key(minutes_ago(clock, 61), 3600))
    with raises_code(LoginRequired, "bedrock-api-key-expired") as caught:
        make_keeper().get("work")
    assert caught.value.profile == "work"
    assert VARIABLE in caught.value.message
    assert f"{minutes_ago(clock, 1):%Y-%m-%d %H:%M:%S} UTC" in caught.value.message


# --- entered by the user ----------------------------------------------------------------------------------------------


def test_entered_key_is_stored(make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(source="stored-api-key")
    with raises_code(LoginRequired, "no-credential-found") as caught:
        keeper.get("work")
    assert "freshkey login work" in str(caught.value.hint)
    with ScriptedUser(secret=LONG_TERM) as user:
        keeper.login("work", interaction=user)
    credential = keeper.get("work")
    assert credential.token == Secret(LONG_TERM)
    assert credential.source == "stored-api-key"
    assert credential.environment()["AWS_REGION"] == REGION


@pytest.mark.parametrize(
    "entered", ["two words", "x" * 20000, "caf\u00e9-key-made-up", PREFIX + "AAAA", "sk-ant-api03-made-up"]
)
def test_invalid_input_is_refused_and_not_quoted(profile: Profile, clock: ManualClock, entered: str) -> None:
    with (
        ScriptedUser(secret=entered) as user,
        raises_code(ProviderRefused, "bedrock-invalid-api-key") as raised,
    ):
        source.from_user(evolve(profile, clock=clock), user)
    assert raised.value.profile == "work"
    assert entered not in str(raised.value)


def test_empty_input_and_missing_user_raise(profile: Profile, clock: ManualClock) -> None:
    with (
        ScriptedUser(secret="") as user,
        raises_code(LoginRequired, "no-key-entered") as caught,
    ):
        source.from_user(evolve(profile, clock=clock), user)
    assert "freshkey login work --api-key" in str(caught.value.hint)
    stored = next(one for one in SOURCES if one.id == "stored-api-key")
    with raises_code(LoginRequired, "not-signed-in"):
        acquire(evolve(profile, clock=clock), stored, NonInteractive("work"))


def test_long_term_key_without_a_region_sets_no_region_variables(
    make_profile: Callable[..., Profile], clock: ManualClock
) -> None:
    with ScriptedUser(secret=LONG_TERM) as user:
        credential = source.from_user(make_profile(region=None, clock=clock), user)
    assert credential.environment() == {VARIABLE: LONG_TERM}
