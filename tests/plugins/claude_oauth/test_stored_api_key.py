"""An API key that a person hands over is kept, used until it is removed, and never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import freshkey_claude_oauth as provider
from freshkey import Configuration, Keeper
from freshkey._commands.helper import MAX_LINE
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeApiKey
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.secret_scan import assert_no_secret


KEY = "sk-ant-api03-canary-77aa12"

MakeKeeper = Callable[[], Keeper]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_keeper(tmp_path: Path, clock: ManualClock) -> MakeKeeper:
    def make() -> Keeper:
        profiles = {"me": {"provider": "claude_oauth", "store": "memory"}}
        return Keeper(
            configuration=Configuration.of(profiles, state_dir=tmp_path),
            clock=clock,
            providers={"claude_oauth": provider},
        )

    return make


def test_it_is_asked_for_kept_used_and_removed(make_keeper: MakeKeeper) -> None:
    with make_keeper() as keeper:
        user = ScriptedUser(paste=KEY)
        keeper.login("me", source="stored-api-key", interaction=user)
        assert user.prompts == ["Paste the API key of the Claude Console:"]
    with make_keeper() as another:
        assert another.get("me").headers() == {"x-api-key": KEY}
        status = another.status("me")
        assert (status.source, status.generation) == ("stored-api-key", 1)
        assert another.logout("me").revoked is False
        with pytest.raises(LoginRequired):
            another.get("me")


def test_one_that_is_refused_needs_a_person(make_keeper: MakeKeeper, clock: ManualClock) -> None:
    with make_keeper() as keeper:
        keeper.login("me", source="stored-api-key", interaction=ScriptedUser(paste=KEY))
        clock.advance(31)
        with pytest.raises(LoginRequired, match="Run: freshkey login me"):
            keeper.get("me", refused=keeper.get("me"))


@pytest.mark.parametrize(
    "entered",
    ["two\nlines", f"{KEY} ", f"{KEY}\0", "clé", "x" * (MAX_LINE + 1)],
    ids=["two lines", "a space", "nul", "not ASCII", "too long"],
)
def test_what_cannot_be_a_key_is_refused_unquoted(make_profile: Callable[..., Profile], entered: str) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    with pytest.raises(ProviderRefused, match="cannot be an API key") as error:
        provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(paste=entered))
    assert_no_secret(repr(error.value), [entered], "the error")


def test_nothing_entered_keeps_nothing(make_profile: Callable[..., Profile]) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    with pytest.raises(LoginRequired, match=r"no API key was entered. Run: freshkey login me --api-key"):
        provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(paste=""))
    with pytest.raises(LoginRequired, match="nobody is signed in"):
        provider.acquire(profile=make_profile(), source=source, interaction=NonInteractive("me"))


def test_it_is_a_key_and_says_where_it_came_from(make_profile: Callable[..., Profile]) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    assert (source.owned, source.interactive, source.pasted) == (True, True, True)
    credential = provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(paste=KEY))
    assert isinstance(credential, ClaudeApiKey)
    assert (credential.source, credential.lifetime) == ("stored-api-key", None)
    assert KEY not in repr(credential)
