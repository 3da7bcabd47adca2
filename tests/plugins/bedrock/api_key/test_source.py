"""Bedrock API keys from the environment or the user, long-term or short-term."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

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


VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"


def minutes_ago(clock: ManualClock, minutes: float) -> datetime:
    return datetime.fromtimestamp(clock.now().wall - minutes * 60, UTC).replace(microsecond=0)


# --- the environment --------------------------------------------------------------------------------------------------


def test_an_empty_variable_is_no_key(profile: Profile, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert source.detect(profile) is None
    with pytest.raises(LoginRequired, match=rf"^work: .*{VARIABLE} is not set"):
        source.from_environment(profile, clock=clock)


def test_a_long_term_key_is_used_before_all_else(
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


def test_it_is_asked_about_where_somebody_is_signed_in_and_its_look_shows_four_characters(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, LONG_TERM)
    detected = source.detect(profile)
    assert detected is not None
    assert detected.kind == "Bedrock API key"
    assert detected.last_four == LONG_TERM[-4:]
    assert detected.fingerprint == Secret(LONG_TERM).fingerprint()
    assert [one.id for one in SOURCES if one.needs_consent] == ["bearer-key"]


def test_the_end_of_a_short_term_key_is_known_and_its_region_is_its_own(
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


def test_another_key_in_the_environment_takes_its_place_ahead_of_time(
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


def test_one_that_has_expired_needs_another(
    make_keeper: Callable[..., Keeper], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, short_term_key(minutes_ago(clock, 61), 3600))
    with pytest.raises(LoginRequired, match=rf"^work: the key in {VARIABLE} expired at .* UTC. Make another one"):
        make_keeper().get("work")


# --- a person ---------------------------------------------------------------------------------------------------------


def test_a_person_hands_one_in_and_it_is_kept(make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(source="stored-api-key")
    with pytest.raises(LoginRequired, match="freshkey login work"):
        keeper.get("work")
    with ScriptedUser(paste=LONG_TERM) as user:
        keeper.login("work", interaction=user)
    credential = keeper.get("work")
    assert credential.token == Secret(LONG_TERM)
    assert credential.source == "stored-api-key"
    assert credential.environment()["AWS_REGION"] == REGION


@pytest.mark.parametrize("entered", ["two words", "x" * 20000, "caf\u00e9-key-made-up", PREFIX + "AAAA"])
def test_what_cannot_be_a_key_is_refused(profile: Profile, clock: ManualClock, entered: str) -> None:
    with (
        ScriptedUser(paste=entered) as user,
        pytest.raises(ProviderRefused, match=r"^work: .*cannot be a Bedrock API key") as raised,
    ):
        source.from_user(profile, user, clock=clock)
    assert entered not in str(raised.value)


def test_nothing_entered_and_nobody_there(profile: Profile, clock: ManualClock) -> None:
    with (
        ScriptedUser(paste="") as user,
        pytest.raises(LoginRequired, match="freshkey login work --api-key"),
    ):
        source.from_user(profile, user, clock=clock)
    stored = next(one for one in SOURCES if one.id == "stored-api-key")
    with pytest.raises(LoginRequired):
        acquire(profile, stored, NonInteractive("work"), clock=clock)


def test_a_key_without_a_region_names_none(make_profile: Callable[..., Profile], clock: ManualClock) -> None:
    with ScriptedUser(paste=LONG_TERM) as user:
        credential = source.from_user(make_profile(region=None), user, clock=clock)
    assert credential.environment() == {VARIABLE: LONG_TERM}
