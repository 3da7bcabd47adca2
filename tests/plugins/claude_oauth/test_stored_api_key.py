"""An API key that the user enters is stored, used until it is removed, and never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import freshkey_claude_oauth as provider
from freshkey import Configuration, Keeper
from freshkey._commands.helper import MAX_LINE
from freshkey._interprocess.hints import HintsFile
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeApiKey
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.secret_scan import assert_no_secret
from raises_code import raises_code


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


def test_key_is_prompted_for_stored_used_and_removed(make_keeper: MakeKeeper) -> None:
    with make_keeper() as keeper:
        user = ScriptedUser(secret=KEY)
        keeper.login("me", source="stored-api-key", interaction=user)
        assert user.prompts == ["Paste your API key from the Claude Console:"]
    with make_keeper() as another:
        assert another.get("me").headers() == {"x-api-key": KEY}
        status = another.status("me")
        assert (status.source, status.generation) == ("stored-api-key", 1)
        assert another.logout("me").revoked is False
        with pytest.raises(LoginRequired):
            another.get("me")


def test_key_in_memory_is_unknown_to_other_processes(make_keeper: MakeKeeper, tmp_path: Path) -> None:
    with make_keeper() as keeper:
        keeper.login("me", source="stored-api-key", interaction=ScriptedUser(secret=KEY))
        assert keeper.status("me").generation == 1
        assert not HintsFile(tmp_path, "me").read().may_be_signed_in


def test_rejected_key_requires_login(make_keeper: MakeKeeper, clock: ManualClock) -> None:
    with make_keeper() as keeper:
        keeper.login("me", source="stored-api-key", interaction=ScriptedUser(secret=KEY))
        clock.advance(31)
        with pytest.raises(LoginRequired) as caught:
            keeper.get("me", refused=keeper.get("me"))
        assert "freshkey login me" in str(caught.value)


@pytest.mark.parametrize(
    "entered",
    [
        "two\nlines",
        f"{KEY} ",
        f"{KEY}\0",
        "clé",
        "x" * (MAX_LINE + 1),
        "sk-ant-oat01-canary-77aa12",
        "ABSKcanary77aa12",
        KEY + KEY,
        "sk-ant-sid01-canary-77aa12",
        "sk-ant-admin01-canary-77aa12",
        "AKIACANARYCANARY77AA",
    ],
    ids=[
        *("two lines", "a space", "nul", "not ASCII", "too long", "a token", "a Bedrock key", "two keys"),
        *("a session cookie", "an admin key", "an AWS access key ID"),
    ],
)
def test_malformed_key_is_rejected_without_being_quoted(make_profile: Callable[..., Profile], entered: str) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    with raises_code(ProviderRefused, "claude-invalid-api-key") as caught:
        provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(secret=entered))
    assert_no_secret(f"{caught.value!r} {caught.value}", [entered], "the error")


@pytest.mark.parametrize(
    ("entered", "shape"),
    [
        (f'"{KEY}"', "quotation marks"),
        (f"ANTHROPIC_API_KEY={KEY}", "assignment"),
        (f"Bearer {KEY}", "HTTP header"),
        (f'{{"api_key":"{KEY}"}}', "JSON"),
        (f"{KEY}\u200b", "invisible"),
        (f"{KEY}%", "a mark"),
        ("null", "missing value"),
        ("sk-ant-sid01-canary-77aa12", "session cookie"),
        ("sk-ant-admin01-canary-77aa12", "Admin API"),
    ],
)
def test_what_looks_like_something_else_is_refused_and_named(make_keeper: MakeKeeper, entered: str, shape: str) -> None:
    with make_keeper() as keeper:
        with raises_code(ProviderRefused, "claude-invalid-api-key") as caught:
            keeper.login("me", source="stored-api-key", interaction=ScriptedUser(secret=entered))
        assert shape in str(caught.value)
        assert keeper.status("me").generation == 0
    assert_no_secret(f"{caught.value!r} {caught.value}", [KEY, KEY[:12], KEY[12:]], "the error")


def test_a_wrapped_key_is_refused_before_the_provider_sees_it(make_keeper: MakeKeeper) -> None:
    entered = f"{KEY[:12]}\n{KEY[12:]}"
    with make_keeper() as keeper, raises_code(LoginRequired, "invalid-answer") as caught:
        keeper.login("me", source="stored-api-key", interaction=ScriptedUser(secret=entered))
    assert_no_secret(f"{caught.value!r} {caught.value}", [KEY, KEY[:12], KEY[12:]], "the error")


@pytest.mark.parametrize("entered", ["sk-gateway-canary-77aa12", "sk-ant-usr01-canary-77aa12", "team:canary-77aa12!"])
def test_keys_of_any_form_are_stored(make_keeper: MakeKeeper, entered: str) -> None:
    with make_keeper() as keeper:
        keeper.login("me", source="stored-api-key", interaction=ScriptedUser(secret=entered))
        assert keeper.get("me").headers() == {"x-api-key": entered}


def test_empty_input_stores_nothing(make_profile: Callable[..., Profile]) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    with raises_code(LoginRequired, "no-key-entered") as caught:
        provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(secret=""))
    assert "freshkey login me --api-key" in str(caught.value)
    with raises_code(LoginRequired, "not-signed-in"):
        provider.acquire(profile=make_profile(), source=source, interaction=NonInteractive("me"))


def test_stored_key_is_an_api_key_with_its_source(make_profile: Callable[..., Profile]) -> None:
    source = description(None).source("stored-api-key")
    assert source is not None
    assert (source.owned, source.interactive, source.pasted) == (True, True, True)
    credential = provider.acquire(profile=make_profile(), source=source, interaction=ScriptedUser(secret=KEY))
    assert isinstance(credential, ClaudeApiKey)
    assert (credential.source, credential.lifetime) == ("stored-api-key", None)
    assert KEY not in repr(credential)
