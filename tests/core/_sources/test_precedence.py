"""The walk through a provider's sources: which one wins, which are looked at, and how that is explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from example_provider import HELPER, OBTAINED, SIGN_IN, description, profile, token
from freshkey._sources.explain import Explanation, explain
from freshkey._sources.precedence import (
    Consent,
    Step,
    candidates,
    chosen_and_skipped,
    first_owned,
    pasted_source,
    sign_in_source,
    walk,
)
from freshkey.errors import ConfigurationError, PluginBroken, StoreUnavailable
from freshkey.model.credential import Credential
from freshkey.model.source import Detected, Source
from raises_code import raises_code


VARIABLE = Source(id="env", title="Variable", owned=False)
KEPT_HELPER = Source(id="kept-helper", title="Kept helper", owned=True, automatic=True)
ALL = (VARIABLE, SIGN_IN, HELPER, KEPT_HELPER)
FOUND = Detected(kind="API key", origin="environment variable EXAMPLE_KEY", last_four="abcd")


class World:
    """The credentials that exist, and what was looked at."""

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


def test_first_source_with_a_credential_wins_and_later_ones_are_not_checked() -> None:
    world = World("env", "helper", stored=token(source="sign-in"))
    steps = world.walk()
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", True, "first source with a credential"),
        ("sign-in", False, "'env' comes first"),
        ("helper", False, "'env' comes first"),
        ("kept-helper", False, "'env' comes first"),
    ]
    assert world.looked == ["env"]
    assert [step.detected for step in steps] == [FOUND, None, None, None]


def test_stored_sign_in_wins_if_no_earlier_source_does() -> None:
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
    assert [step.why for step in steps[:2]] == ["nothing found"] * 2


def test_stored_credential_counts_only_for_its_own_source() -> None:
    assert winner(World(stored=token(source="elsewhere")).walk()) is None
    assert winner(World(stored=token(source="kept-helper")).walk()) == "kept-helper"


def test_non_interactive_owned_source_can_be_detected_without_being_stored() -> None:
    assert winner(World("kept-helper").walk()) == "kept-helper"
    assert winner(World("sign-in").walk()) is None


def test_owned_source_that_is_not_automatic_is_used_only_once_somebody_has_signed_in() -> None:
    quiet = evolve(KEPT_HELPER, automatic=False)
    world = World("kept-helper")
    assert winner(world.walk((quiet,))) is None
    assert world.looked == ["store"]
    assert winner(World(stored=token(source="kept-helper")).walk((quiet,))) == "kept-helper"


def test_bare_mode_uses_no_source_that_needs_the_store() -> None:
    world = World("kept-helper", stored=token(source="kept-helper"))
    assert winner(world.walk((evolve(KEPT_HELPER, handed_in=True),), bare=True)) is None
    assert world.looked == []


def test_what_is_stored_wins_over_other_owned_sources_in_any_order() -> None:
    for sources in (ALL, ALL[::-1]):
        world = World("kept-helper", stored=token(source="sign-in"))
        assert winner(world.walk(tuple(source for source in sources if source.owned))) == "sign-in"
    assert winner(World("env", "kept-helper", stored=token(source="sign-in")).walk()) == "env"


def test_what_a_source_stored_that_the_profile_does_not_use_is_no_obstacle() -> None:
    world = World("kept-helper", stored=token(source="sign-in"))
    assert winner(world.walk(skip=("sign-in",))) == "kept-helper"
    assert winner(world.walk(only="kept-helper")) == "kept-helper"
    assert winner(World("kept-helper", stored=token(source="of-a-later-version")).walk()) == "kept-helper"


def test_named_source_excludes_all_others() -> None:
    world = World("env", "helper")
    steps = world.walk(only="helper")
    assert [(step.source.id, step.why) for step in steps] == [
        ("env", "the profile's source is 'helper'"),
        ("sign-in", "the profile's source is 'helper'"),
        ("helper", "set as the profile's source"),
        ("kept-helper", "the profile's source is 'helper'"),
    ]
    assert winner(steps) == "helper"
    assert world.looked == ["helper"]


def test_skipped_source_is_not_checked() -> None:
    world = World("env", "helper")
    steps = world.walk(skip=("env", "sign-in"))
    assert [step.why for step in steps[:2]] == ["skipped by the profile"] * 2
    assert winner(steps) == "helper"
    assert world.looked == ["helper"]


def test_skipping_an_unknown_source_is_an_error() -> None:
    with raises_code(ConfigurationError, "unknown-source") as caught:
        World("env").walk(skip=("envv",))
    assert "'envv'" in caught.value.message
    assert "env, sign-in" in str(caught.value.hint)


def test_bare_mode_checks_only_explicitly_provided_credentials() -> None:
    handed_in = evolve(HELPER, handed_in=True)
    world = World("env", "helper", stored=token(source="sign-in"))
    steps = world.walk((VARIABLE, SIGN_IN, handed_in), bare=True)
    assert [step.why for step in steps[:2]] == ["bare mode uses only explicitly provided credentials"] * 2
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
    ids=["not signed in", "source without consent", "source that the profile names"],
)
def test_user_is_not_asked_if_no_consent_is_needed(
    stored: Credential | None, sources: tuple[Source, ...], only: str | None
) -> None:
    def interaction(source: Source, detected: Detected) -> str | None:
        raise AssertionError(source.id)

    assert winner(World("env", stored=stored).walk(sources, only, consent=interaction)) == "env"


def test_found_credential_is_used_if_the_store_cannot_be_read() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked")

    steps = Locked("env").walk(WITH_CONSENT, consent=lambda source, detected: "no")
    assert winner(steps) == "env"


def test_signing_in_is_preferred_to_entering_a_key() -> None:
    pasted = Source(id="pasted", title="A key", owned=True, interactive=True, pasted=True)
    both = description(sources=(pasted, SIGN_IN))
    assert first_owned(profile(), both) is SIGN_IN
    assert first_owned(evolve(profile(), skip=("sign-in",)), both) is pasted
    assert first_owned(profile(source="pasted"), both) is pasted
    assert first_owned(profile(), description(sources=(HELPER, pasted))) is pasted


def test_bare_mode_cannot_sign_in() -> None:
    bare = evolve(profile(), bare=True)
    for choose in (sign_in_source, pasted_source):
        with raises_code(ConfigurationError, "bare-mode"):
            choose(bare, description(sources=ALL))


def test_named_source_without_a_credential_is_not_replaced() -> None:
    assert winner(World("env").walk(only="helper")) is None


def test_error_for_an_unknown_source_lists_the_known_ones() -> None:
    with raises_code(ConfigurationError, "unknown-source") as caught:
        World().walk(only="hepler")
    assert caught.value.profile == "me"
    assert "'hepler'" in caught.value.message
    assert "env, sign-in, helper" in str(caught.value.hint)


@given(st.permutations(ALL), st.sets(st.sampled_from([source.id for source in ALL])), st.booleans())
def test_at_most_one_source_wins_and_it_is_the_first_with_a_credential(
    sources: list[Source], there: set[str], signed_in: bool
) -> None:
    world = World(*there, stored=token(source="sign-in") if signed_in else None)
    steps = world.walk(tuple(sources))
    present = [
        source.id
        for source in sources
        if (source.id in there and not source.interactive and not (signed_in and source.owned))
        or (signed_in and source.id == "sign-in")
    ]
    assert [step.source.id for step in steps if step.wins] == present[:1]
    assert [step.source for step in steps] == sources
    assert len(world.looked) == len(set(world.looked) - {"store"}) + world.looked.count("store")


def test_walk_is_lazy() -> None:
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
        ((VARIABLE, KEPT_HELPER, SIGN_IN), None, SIGN_IN),
        ((VARIABLE, KEPT_HELPER), None, KEPT_HELPER),
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
    ("sources", "only", "hint"),
    [(ALL, "helper", "Choose a source that supports signing in: sign-in, kept-helper"), ((VARIABLE,), None, None)],
)
def test_error_without_a_sign_in_lists_the_sources_that_have_one(
    sources: tuple[Source, ...], only: str | None, hint: str | None
) -> None:
    with raises_code(ConfigurationError, "nothing-to-sign-in-to") as caught:
        sign_in_source(profile(source=only), description(sources=sources))
    assert (caught.value.profile, caught.value.hint) == ("me", hint)


def test_key_cannot_be_stored_without_a_source_for_it() -> None:
    pasted = Source(id="key", title="A key", owned=True, interactive=True, pasted=True)
    assert pasted_source(profile(), description(sources=(*ALL, pasted))) is pasted
    with raises_code(ConfigurationError, "no-key-source") as caught:
        pasted_source(profile(), description(sources=ALL))
    assert caught.value.hint is None
    for unused in (profile(source="helper"), evolve(profile(), skip=("key",))):
        with raises_code(ConfigurationError, "no-key-source") as caught:
            pasted_source(unused, description(sources=(*ALL, pasted)))
        assert "'key'" in caught.value.message


def test_user_can_name_another_owned_source_only_if_the_profile_allows_it() -> None:
    described = description(sources=ALL)
    assert sign_in_source(profile(), described, KEPT_HELPER.id) is KEPT_HELPER
    for unused in (profile(source="sign-in"), evolve(profile(), skip=(KEPT_HELPER.id,))):
        with raises_code(ConfigurationError, "source-not-used") as caught:
            sign_in_source(unused, described, KEPT_HELPER.id)
        assert "'kept-helper'" in caught.value.message


def test_source_that_is_chosen_and_skipped_is_an_error() -> None:
    contradictory = evolve(profile(source="sign-in"), skip=("sign-in",))
    for choose in (chosen_and_skipped, first_owned, candidates):
        with raises_code(ConfigurationError, "source-skipped"):
            choose(contradictory, description(sources=ALL))


def test_signing_in_to_a_source_that_does_not_exist_is_an_error() -> None:
    with raises_code(ConfigurationError, "unknown-source"):
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


def test_explanation_is_the_same_walk() -> None:
    world = World("helper")
    explanation = explained(world)
    assert (explanation.profile, explanation.provider) == ("me", "example")
    assert explanation.selected_by == "default in config.toml"
    assert list(explanation.steps) == World("helper").walk()


def test_unreadable_store_is_part_of_the_explanation() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked", hint="Unlock it")

    steps = explained(Locked("helper")).steps
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", False, "nothing found"),
        ("sign-in", False, "cannot be used: the keychain is locked. Unlock it"),
        ("helper", False, "not reached: fix 'sign-in' first"),
        ("kept-helper", False, "not reached: fix 'sign-in' first"),
    ]


def test_missing_store_is_said_where_it_would_have_been_read() -> None:
    world = World("helper")
    explanation = explain(
        profile(),
        description(sources=ALL),
        selected_by="argument",
        detect=world.detect,
        stored=world.stored,
        no_store=lambda: StoreUnavailable("no keychain", absent=True) if "store" in world.looked else None,
    )
    assert [(step.source.id, step.wins, step.why) for step in explanation.steps] == [
        ("env", False, "nothing found"),
        ("sign-in", False, "nothing found: no keychain"),
        ("helper", True, "first source with a credential"),
        ("kept-helper", False, "'helper' comes first"),
    ]


def test_walk_raises_if_the_store_cannot_be_read() -> None:
    class Locked(World):
        def stored(self) -> Credential | None:
            raise StoreUnavailable("the keychain is locked", code="keychain-locked")

    with raises_code(StoreUnavailable, "keychain-locked"):
        Locked("helper").walk()
    assert winner(Locked("env").walk()) == "env"


def test_broken_detect_is_an_error_in_the_explanation() -> None:
    class Broken(World):
        def detect(self, source: Source) -> Detected | None:
            raise PluginBroken("its look raised", plugin="example")

    with pytest.raises(PluginBroken):
        explained(Broken())


def test_explanation_stops_at_a_source_that_cannot_be_used() -> None:
    class Broken(World):
        def detect(self, source: Source) -> Detected | None:
            if source.id == "helper":
                raise ConfigurationError("EXAMPLE_KEY holds no usable secret", hint="Unset it")
            return super().detect(source)

    steps = explained(Broken("kept-helper")).steps
    assert [(step.source.id, step.wins, step.why) for step in steps] == [
        ("env", False, "nothing found"),
        ("sign-in", False, "nothing found"),
        ("helper", False, "cannot be used: EXAMPLE_KEY holds no usable secret. Unset it"),
        ("kept-helper", False, "not reached: fix 'helper' first"),
    ]


def test_unknown_source_is_an_error_in_the_explanation() -> None:
    with raises_code(ConfigurationError, "unknown-source"):
        explain(
            profile(source="hepler"),
            description(sources=ALL),
            selected_by="argument",
            detect=World().detect,
            stored=World().stored,
        )
