"""The walk through a provider's sources: who wins, who is asked at all, and what people read of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from example_provider import HELPER, OBTAINED, SIGN_IN, description, profile, token
from freshkey._sources.explain import Explanation, explain
from freshkey._sources.precedence import Consent, Step, chosen_and_skipped, first_owned, sign_in_source, walk
from freshkey.errors import ConfigurationError, PluginBroken, StoreUnavailable
from freshkey.model.credential import Credential
from freshkey.model.source import Detected, Source


VARIABLE = Source(id="env", title="Variable", owned=False)
KEPT_HELPER = Source(id="kept-helper", title="Kept helper", owned=True)
ALL = (VARIABLE, SIGN_IN, HELPER, KEPT_HELPER)
FOUND = Detected(kind="API key", origin="environment variable EXAMPLE_KEY", last_four="abcd")


class World:
    """What is there, and what was looked at."""

    def __init__(self, *there: str, stored: Credential | None = None) -> None:
        self.there = there
        self.kept = stored
        self.looked: list[str] = []

    def detect(self, source: Source) -> Detected | None:
        self.looked.append(source.id)
        return FOUND if source.id in self.there else None

    def stored(self) -> Credential | None:
        self.looked.append("store")
        return self.kept

    def walk(
        self,
        sources: tuple[Source, ...] = ALL,
        only: str | None = None,
        *,
        skip: tuple[str, ...] = (),
        bare: bool = False,
        consent: Consent | None = None,
    ) -> list[Step]:
        chosen = evolve(profile(source=only), skip=skip, bare=bare)
        return list(walk(chosen, description(sources=sources), self.detect, self.stored, consent))


def winner(steps: list[Step]) -> str | None:
    return next((step.source.id for step in steps if step.wins), None)


def test_the_first_that_is_there_wins_and_later_ones_are_not_asked() -> None:
    world = World("env", "helper", stored=token(source="sign-in"))
    steps = world.walk()
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", True, "the first that is there"),
        ("sign-in", False, "'env' comes first"),
        ("helper", False, "'env' comes first"),
        ("kept-helper", False, "'env' comes first"),
    ]
    assert world.looked == ["env"]
    assert [step.detected for step in steps] == [FOUND, None, None, None]


def test_the_stored_sign_in_wins_where_nothing_comes_before_it() -> None:
    world = World("helper", stored=token(source="sign-in"))
    steps = world.walk()
    assert winner(steps) == "sign-in"
    assert world.looked == ["env", "store"]
    ends = datetime.fromtimestamp(OBTAINED.wall, UTC) + timedelta(hours=1)
    assert steps[1].detected == Detected(kind="Sign-in", origin="the store", expires_at=ends)


def test_without_a_sign_in_the_next_one_wins() -> None:
    world = World("helper")
    steps = world.walk()
    assert winner(steps) == "helper"
    assert [step.why for step in steps[:2]] == ["nothing there", "nothing there"]


def test_what_is_stored_counts_for_the_source_it_came_from_alone() -> None:
    assert winner(World(stored=token(source="elsewhere")).walk()) is None
    assert winner(World(stored=token(source="kept-helper")).walk()) == "kept-helper"


def test_an_owned_source_that_needs_nobody_can_be_there_without_being_stored() -> None:
    assert winner(World("kept-helper").walk()) == "kept-helper"
    assert winner(World("sign-in").walk()) is None


def test_a_profile_that_names_a_source_takes_no_other() -> None:
    world = World("env", "helper")
    steps = world.walk(only="helper")
    assert [(step.source.id, step.why) for step in steps] == [
        ("env", "the profile names source 'helper'"),
        ("sign-in", "the profile names source 'helper'"),
        ("helper", "the profile names it"),
        ("kept-helper", "the profile names source 'helper'"),
    ]
    assert winner(steps) == "helper"
    assert world.looked == ["helper"]


def test_a_source_that_the_profile_skips_is_not_even_looked_at() -> None:
    world = World("env", "helper")
    steps = world.walk(skip=("env", "sign-in"))
    assert [step.why for step in steps[:2]] == ["the profile skips it"] * 2
    assert winner(steps) == "helper"
    assert world.looked == ["helper"]


def test_a_profile_cannot_skip_what_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="has no source 'envv'") as error:
        World("env").walk(skip=("envv",))
    assert "Choose one of: env, sign-in" in str(error.value)


def test_bare_mode_looks_only_at_what_is_handed_in() -> None:
    handed_in = evolve(HELPER, handed_in=True)
    world = World("env", "helper", stored=token(source="sign-in"))
    steps = world.walk((VARIABLE, SIGN_IN, handed_in), bare=True)
    assert [step.why for step in steps[:2]] == ["bare mode uses only what is handed in"] * 2
    assert winner(steps) == "helper"
    assert world.looked == ["helper"]


# --- consent ------------------------------------------------------------------------------------------------------

FOUND_BY_CHANCE = evolve(VARIABLE, needs_consent=True)
WITH_CONSENT = (FOUND_BY_CHANCE, SIGN_IN, HELPER)


def test_without_consent_the_sign_in_is_used_instead_of_what_was_found() -> None:
    world = World("env", stored=token(source="sign-in"))
    steps = world.walk(WITH_CONSENT, consent=lambda source, detected: f"no {source.id} {detected.last_four}")
    assert (steps[0].wins, steps[0].why, steps[0].detected) == (False, "no env abcd", FOUND)
    assert winner(steps) == "sign-in"


def test_with_consent_what_was_found_is_used() -> None:
    world = World("env", stored=token(source="sign-in"))
    assert winner(world.walk(WITH_CONSENT, consent=lambda source, detected: None)) == "env"


@pytest.mark.parametrize(
    ("stored", "sources", "only"),
    [
        (None, WITH_CONSENT, None),
        (token(source="sign-in"), ALL, None),
        (token(source="sign-in"), WITH_CONSENT, "env"),
    ],
    ids=["nobody is signed in", "a source that needs none", "a source that the profile names"],
)
def test_nobody_is_asked_where_no_consent_is_needed(
    stored: Credential | None, sources: tuple[Source, ...], only: str | None
) -> None:
    def interaction(source: Source, detected: Detected) -> str | None:
        raise AssertionError(source.id)

    assert winner(World("env", stored=stored).walk(sources, only, consent=interaction)) == "env"


def test_a_store_that_cannot_be_read_leaves_nothing_to_prefer() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked")

    steps = Locked("env").walk(WITH_CONSENT, consent=lambda source, detected: "no")
    assert winner(steps) == "env"


def test_signing_in_goes_before_handing_in_a_secret_that_exists() -> None:
    pasted = Source(id="pasted", title="A key", owned=True, interactive=True, pasted=True)
    both = description(sources=(pasted, SIGN_IN))
    assert first_owned(profile(), both) is SIGN_IN
    assert first_owned(evolve(profile(), skip=("sign-in",)), both) is pasted
    assert first_owned(profile(source="pasted"), both) is pasted
    assert first_owned(profile(), description(sources=(HELPER, pasted))) is pasted


def test_bare_mode_signs_nobody_in() -> None:
    with pytest.raises(ConfigurationError, match="bare mode signs nobody in"):
        sign_in_source(evolve(profile(), bare=True), description(sources=ALL))


def test_a_named_source_with_nothing_in_it_is_not_replaced() -> None:
    assert winner(World("env").walk(only="helper")) is None


def test_a_source_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=r"^me: .*'example' has no source 'hepler'.*env, sign-in, helper"):
        World().walk(only="hepler")


@given(st.permutations(ALL), st.sets(st.sampled_from([source.id for source in ALL])), st.booleans())
def test_one_wins_at_most_and_nothing_before_it_is_there(
    sources: list[Source], there: set[str], signed_in: bool
) -> None:
    world = World(*there, stored=token(source="sign-in") if signed_in else None)
    steps = world.walk(tuple(sources))
    present = [
        source.id
        for source in sources
        if (source.id in there and not source.interactive) or (signed_in and source.id == "sign-in")
    ]
    assert [step.source.id for step in steps if step.wins] == present[:1]
    assert [step.source for step in steps] == sources
    assert len(world.looked) == len(set(world.looked) - {"store"}) + world.looked.count("store")


def test_the_core_stops_the_walk_where_it_has_what_it_wants() -> None:
    world = World("env")
    steps = walk(profile(), description(sources=ALL), world.detect, world.stored)
    assert next(steps).wins
    assert world.looked == ["env"]


# --- choosing --------------------------------------------------------------------------------------------------------


def test_no_source_is_chosen_unless_the_profile_names_one() -> None:
    assert chosen_and_skipped(profile(), description())[0] is None
    assert chosen_and_skipped(profile(source="helper"), description())[0] is HELPER


@pytest.mark.parametrize(
    ("sources", "only", "expected"),
    [
        (ALL, None, SIGN_IN),
        ((VARIABLE, KEPT_HELPER, SIGN_IN), None, KEPT_HELPER),
        (ALL, "kept-helper", KEPT_HELPER),
        (ALL, "helper", None),
        ((VARIABLE, HELPER), None, None),
    ],
)
def test_a_sign_in_uses_the_first_owned_source(
    sources: tuple[Source, ...], only: str | None, expected: Source | None
) -> None:
    described = description(sources=sources)
    assert first_owned(profile(source=only), described) is expected
    if expected is not None:
        assert sign_in_source(profile(source=only), described) is expected


@pytest.mark.parametrize(
    ("sources", "only", "text"),
    [
        (ALL, "helper", r"^me: source 'helper' is another tool's\. .*sign-in: Sign-in"),
        ((VARIABLE,), None, r"^me: there is nothing to sign in to\. env: Variable$"),
    ],
)
def test_where_there_is_nothing_to_sign_in_to_the_reader_learns_what_there_is(
    sources: tuple[Source, ...], only: str | None, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        sign_in_source(profile(source=only), description(sources=sources))


def test_signing_in_to_a_source_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no source 'hepler'"):
        sign_in_source(profile(source="hepler"), description())


# --- explaining ------------------------------------------------------------------------------------------------------


def explained(world: World) -> Explanation:
    return explain(
        profile(),
        description(sources=ALL),
        selected_by="default in config.toml",
        detect=world.detect,
        stored=world.stored,
    )


def test_an_explanation_is_the_walk_itself() -> None:
    world = World("helper")
    explanation = explained(world)
    assert (explanation.profile, explanation.provider) == ("me", "example")
    assert explanation.selected_by == "default in config.toml"
    assert list(explanation.steps) == World("helper").walk()


def test_a_store_that_cannot_be_read_is_part_of_the_explanation() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked", hint="Unlock it")

    steps = explained(Locked("helper")).steps
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", False, "nothing there"),
        ("sign-in", False, "the keychain is locked. Unlock it"),
        ("helper", True, "the first that is there"),
        ("kept-helper", False, "'helper' comes first"),
    ]


def test_the_core_itself_stops_at_a_store_that_cannot_be_read() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked")

    with pytest.raises(StoreUnavailable, match="locked"):
        Locked("helper").walk()
    assert winner(Locked("env").walk()) == "env"


def test_a_broken_look_is_not_taken_for_nothing_there() -> None:
    class Broken(World):
        def detect(self, source: Source) -> Detected | None:
            raise PluginBroken("its look raised", plugin="example")

    with pytest.raises(PluginBroken):
        explained(Broken())


def test_a_source_that_cannot_be_used_is_explained_and_nothing_behind_it_is_promised() -> None:
    class Broken(World):
        def detect(self, source: Source) -> Detected | None:
            if source.id == "helper":
                raise ConfigurationError("EXAMPLE_KEY holds no usable secret", hint="Unset it")
            return super().detect(source)

    steps = explained(Broken("kept-helper")).steps
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", False, "nothing there"),
        ("sign-in", False, "nothing there"),
        ("helper", False, "cannot be used: EXAMPLE_KEY holds no usable secret. Unset it"),
        ("kept-helper", False, "not reached: 'helper' has to be mended first"),
    ]


def test_a_source_that_does_not_exist_is_no_step_of_the_walk() -> None:
    with pytest.raises(ConfigurationError, match="has no source 'hepler'"):
        explain(
            profile(source="hepler"),
            description(sources=ALL),
            selected_by="name given",
            detect=World().detect,
            stored=World().stored,
        )
