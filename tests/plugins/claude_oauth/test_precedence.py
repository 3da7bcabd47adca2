"""Every source alone, and every pair of sources, set up for real: the documented one wins, and `explain` agrees."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anthropic_home import AnthropicHome, in_seconds
from freshkey import Configuration, Keeper
from freshkey._secret_input import file_descriptor
from freshkey._sources.explain import Explanation
from freshkey._sources.precedence import Step
from freshkey.errors import FreshkeyError
from freshkey.model.credential import Credential
from freshkey_claude_oauth.description import description
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from python_program import written_program


ORDER = [
    "auth-token",
    "api-key",
    "api-key-fd",
    "api-key-helper",
    "oauth-token",
    "oauth-token-fd",
    "anthropic-profile",
    "federation",
    "stored-api-key",
    "oauth",
    "anthropic-active-profile",
]
"""As in the README."""

KEPT = {"stored-api-key", "oauth"}
"""freshkey stores one credential per profile: a later one replaces the earlier one."""

PAIRS = [pair for pair in itertools.combinations(ORDER, 2) if set(pair) != KEPT]


class World:
    """One profile, and everything around it that a source can read."""

    def __init__(self, directory: Path, server: AuthorizationServer, home: AnthropicHome) -> None:
        self.directory = directory
        self.server = server
        self.home = home
        self.table: dict[str, object] = {"provider": "claude_oauth", "store": "memory", **server.settings()}
        self.secrets: dict[str, str] = {}
        self.descriptors: list[int] = []

    def keeper(self, *, bare: bool = False, interaction: ScriptedUser | None = None, **core: object) -> Keeper:
        """Return a keeper without any state, like that of a new process."""
        configuration = Configuration.of({"me": {**self.table, **core}}, state_dir=self.directory, default="me")
        return Keeper(configuration=configuration, bare=bare, interaction=interaction)

    def sign_in(self, source: str, user: ScriptedUser) -> None:
        with self.keeper() as keeper, user:
            token = keeper.login(source=source, interaction=user).token
        assert token is not None
        self.secrets[source] = token.reveal()

    def descriptor(self, secret: str) -> int:
        reading, writing = os.pipe()
        os.write(writing, secret.encode())
        os.close(writing)
        os.set_inheritable(reading, True)
        self.descriptors.append(reading)
        return reading


Arrange = Callable[[World, pytest.MonkeyPatch], None]
ARRANGE: dict[str, Arrange] = {}


def arranges(source_id: str) -> Callable[[Arrange], Arrange]:
    def note(arrange: Arrange) -> Arrange:
        ARRANGE[source_id] = arrange
        return arrange

    return note


def by_variable(source_id: str, name: str) -> None:
    @arranges(source_id)
    def arrange(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, f"secret-of-{source_id}")
        world.secrets[source_id] = f"secret-of-{source_id}"


def by_descriptor(source_id: str, name: str) -> None:
    @arranges(source_id)
    def arrange(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, str(world.descriptor(f"secret-of-{source_id}")))
        world.secrets[source_id] = f"secret-of-{source_id}"


by_variable("auth-token", "ANTHROPIC_AUTH_TOKEN")
by_variable("api-key", "ANTHROPIC_API_KEY")
by_variable("oauth-token", "CLAUDE_CODE_OAUTH_TOKEN")
by_descriptor("api-key-fd", "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR")
by_descriptor("oauth-token-fd", "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR")


@arranges("api-key-helper")
def helper(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table["api_key_helper"] = written_program(world.directory / "print-key", "print('secret-of-api-key-helper')")
    world.secrets["api-key-helper"] = "secret-of-api-key-helper"


@arranges("anthropic-profile")
def named_profile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    world.home.write_config("work")
    world.home.write_credentials("work", access_token="secret-of-anthropic-profile", expires_at=in_seconds(600))
    world.secrets["anthropic-profile"] = "secret-of-anthropic-profile"


@arranges("federation")
def federation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_1")
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "eyJhbGciOiJSUzI1NiJ9.identity.c2ln")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", world.server.urls.issuer)
    world.server.trust("eyJhbGciOiJSUzI1NiJ9.identity.c2ln")


@arranges("stored-api-key")
def stored_api_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sign_in("stored-api-key", ScriptedUser(secret="secret-of-stored-api-key", confirm=True))


@arranges("oauth")
def sign_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sign_in("oauth", ScriptedUser(browser=follow, confirm=True))


@arranges("anthropic-active-profile")
def active_profile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.home.write_config("default")
    world.home.write_credentials(
        "default", access_token="secret-of-anthropic-active-profile", expires_at=in_seconds(600)
    )
    world.secrets["anthropic-active-profile"] = "secret-of-anthropic-active-profile"


@pytest.fixture
def world(
    tmp_path: Path, server: AuthorizationServer, home: AnthropicHome, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setattr(file_descriptor, "_handed_over", {})
    world = World(tmp_path, server, home)
    yield world
    for descriptor in set(world.descriptors) - set(file_descriptor._handed_over):
        os.close(descriptor)


def got(keeper: Keeper, world: World) -> str:
    """Return the source of the keeper's credential, after checking that it has that source's secret."""
    credential = keeper.get()
    assert credential.token is not None
    expected = world.secrets.get(credential.source)
    assert expected is None or credential.token.reveal() == expected
    assert expected is not None or federated(credential, world)
    return credential.source


def federated(credential: Credential, world: World) -> bool:
    assert credential.token is not None
    return credential.source == "federation" and credential.token.reveal() in world.server.secrets()


def step(explanation: Explanation, source_id: str) -> Step:
    return next(step for step in explanation.steps if step.source.id == source_id)


def winners(explanation: Explanation) -> list[str]:
    return [step.source.id for step in explanation.steps if step.wins]


# --- the table ------------------------------------------------------------------------------------------------------


def test_all_sources_are_covered_in_the_documented_order() -> None:
    assert [source.id for source in description(None).sources] == ORDER
    assert set(ARRANGE) == set(ORDER)
    assert {source.id for source in description(None).sources if source.owned} == KEPT
    assert len(PAIRS) == len(ORDER) * (len(ORDER) - 1) / 2 - 1


@pytest.mark.parametrize("source_id", ORDER)
def test_single_source_wins(world: World, monkeypatch: pytest.MonkeyPatch, source_id: str) -> None:
    ARRANGE[source_id](world, monkeypatch)
    with world.keeper() as keeper:
        explanation = keeper.explain()
        assert got(keeper, world) == source_id
        assert winners(explanation) == [source_id] == winners(keeper.explain())
    place = ORDER.index(source_id)
    assert [step.detected for step in explanation.steps[:place]] == [None] * place
    assert step(explanation, source_id).detected is not None
    assert all(repr(source_id) in step.why for step in explanation.steps[place + 1 :])
    assert not any(secret in repr(explanation) for secret in world.secrets.values())


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_earlier_of_two_sources_wins(world: World, monkeypatch: pytest.MonkeyPatch, earlier: str, later: str) -> None:
    for source_id in (later, earlier):
        ARRANGE[source_id](world, monkeypatch)
    with world.keeper() as keeper:
        explanation = keeper.explain()
        assert got(keeper, world) == earlier
    assert winners(explanation) == [earlier]
    assert repr(earlier) in step(explanation, later).why
    with world.keeper(source=later) as keeper:
        assert got(keeper, world) == later
        explanation = keeper.explain()
    assert winners(explanation) == [later]
    assert "set as" in step(explanation, later).why
    assert repr(later) in step(explanation, earlier).why
    with world.keeper(skip=[earlier]) as keeper:
        explanation = keeper.explain()
        assert got(keeper, world) == later
    assert "skip" in step(explanation, earlier).why


@pytest.mark.parametrize(("first", "second"), [("stored-api-key", "oauth"), ("oauth", "stored-api-key")])
def test_later_stored_credential_replaces_the_earlier_one(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    for source_id in (first, second):
        ARRANGE[source_id](world, monkeypatch)
    with world.keeper() as keeper:
        assert got(keeper, world) == second
        explanation = keeper.explain()
    assert winners(explanation) == [second]
    assert step(explanation, first).detected is None


# --- bare mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source_id", ORDER)
def test_bare_mode_uses_only_explicitly_provided_credentials(
    world: World, monkeypatch: pytest.MonkeyPatch, source_id: str
) -> None:
    ARRANGE[source_id](world, monkeypatch)
    source = description(None).source(source_id)
    assert source is not None
    with world.keeper(bare=True) as keeper:
        if source.handed_in:
            assert got(keeper, world) == source_id
            return
        assert "bare mode" in step(keeper.explain(), source_id).why
        with pytest.raises(FreshkeyError):
            keeper.get()


# --- consent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", sorted(KEPT))
def test_declining_the_key_uses_the_stored_credential(world: World, monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    for source_id in (kept, "api-key"):
        ARRANGE[source_id](world, monkeypatch)
    for _ in range(2):
        user = ScriptedUser(confirm=False)
        with world.keeper(interaction=user) as keeper:
            assert got(keeper, world) == kept
            explanation = keeper.explain()
        assert winners(explanation) == [kept]
        assert step(explanation, "api-key").detected is not None
    assert user.questions == []


def test_accepting_the_key_is_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for source_id in ("oauth", "api-key"):
        ARRANGE[source_id](world, monkeypatch)
    asked = []
    for _ in range(2):
        user = ScriptedUser(confirm=True)
        with world.keeper(interaction=user) as keeper:
            assert got(keeper, world) == "api-key"
        asked += user.questions
    assert len(asked) == 1
    assert "ANTHROPIC_API_KEY" in asked[0]
    assert world.secrets["api-key"] not in asked[0]


def test_only_an_api_key_in_the_environment_needs_consent() -> None:
    assert [source.id for source in description(None).sources if source.needs_consent] == ["api-key"]
