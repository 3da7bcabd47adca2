"""The hint for a profile without a credential: which command works now, and what has to be done before it."""

from __future__ import annotations

import pytest
from attrs import evolve

from example_provider import HELPER, SIGN_IN, description, profile
from freshkey._sources.next_step import next_step
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.source import Source


VARIABLE = Source(id="env", title="a variable", owned=False, handed_in=True)
KEY = Source(id="key", title="a key", owned=True, interactive=True, pasted=True)
MACHINE = Source(id="machine", title="a machine's key", owned=True, automatic=True)
OTHER = evolve(SIGN_IN, id="other")
NO_STORE = StoreUnavailable("no keychain", absent=True, hint="Use another store")


def hint(
    *sources: Source, me: Profile | None = None, setup: dict[str, str] | None = None, no_store: bool = False
) -> str:
    def setup_of(source: Source) -> str | None:
        return (setup or {}).get(source.id)

    described = description(sources=sources)
    return next_step(me or profile(), described, setup_of, no_store=NO_STORE if no_store else None)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ((HELPER, SIGN_IN), "Run: freshkey login me"),
        ((SIGN_IN, OTHER, KEY), "Run: freshkey login me"),
        ((KEY, HELPER), "Run: freshkey login me --api-key"),
        ((VARIABLE, HELPER), "Provide one of these: a variable; Helper"),
        ((VARIABLE, MACHINE), "Provide one of these: a variable; a machine's key"),
        ((MACHINE, SIGN_IN), "Run: freshkey login me"),
    ],
)
def test_sign_in_that_works_right_away_is_the_next_step(sources: tuple[Source, ...], expected: str) -> None:
    assert hint(*sources) == expected


def test_what_takes_least_comes_first() -> None:
    missing = {"sign-in": "Set client_id"}
    assert hint(HELPER, SIGN_IN, setup=missing) == "Set client_id, then run: freshkey login me"
    assert hint(KEY, SIGN_IN, setup=missing) == (
        "Run: freshkey login me --api-key. Or set client_id, then run: freshkey login me"
    )
    assert hint(SIGN_IN, OTHER, setup=missing) == "Run: freshkey login me --source other"


def test_automatic_source_says_what_it_takes() -> None:
    assert hint(HELPER, MACHINE, setup={"machine": "Set app_id"}) == "Set app_id"
    both = {"machine": "Set app_id", "second": "Set role"}
    assert hint(MACHINE, evolve(MACHINE, id="second"), setup=both) == "Set app_id. Or set role"


def test_settings_and_mode_of_the_profile_are_respected() -> None:
    sources = (VARIABLE, HELPER, SIGN_IN, KEY)
    assert hint(*sources, me=profile(source="helper")) == "Provide one of these: Helper"
    assert hint(*sources, me=profile(source="key")) == "Run: freshkey login me --api-key"
    assert hint(*sources, me=evolve(profile(), skip=("sign-in",))) == "Run: freshkey login me --api-key"
    assert hint(*sources, me=evolve(profile(), bare=True)) == "Provide one of these: a variable"
    assert hint(HELPER, me=evolve(profile(), skip=("helper",))) == "Change the source or skip setting of the profile"


def test_without_a_store_the_other_sources_come_first() -> None:
    assert hint(VARIABLE, SIGN_IN, no_store=True) == (
        "Provide one of these: a variable. To sign in instead, use another store; then run: freshkey login me"
    )
    assert hint(SIGN_IN, no_store=True) == "Use another store; then run: freshkey login me"


def test_a_store_is_asked_for_only_where_it_is_needed() -> None:
    missing = {"sign-in": "Run: tool login. Or set client_id"}
    assert hint(VARIABLE, SIGN_IN, setup=missing, no_store=True) == (
        "Provide one of these: a variable. To sign in instead, run: tool login. "
        "Or set client_id. Also use another store; then run: freshkey login me"
    )
    assert hint(KEY, SIGN_IN, setup=missing, no_store=True) == (
        "Use another store; then run: freshkey login me --api-key. "
        "Or run: tool login. Or set client_id, then run: freshkey login me"
    )


def test_what_the_settings_choose_is_meant_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_FILE", "/a/file")
    chosen = evolve(VARIABLE, chosen_by=("TOKEN_FILE",))
    assert hint(chosen, SIGN_IN) == "Provide this: a variable (TOKEN_FILE). To sign in instead, run: freshkey login me"
    assert hint(chosen, HELPER) == "Provide one of these: a variable; Helper"
    monkeypatch.delenv("TOKEN_FILE")
    assert hint(chosen, SIGN_IN) == "Run: freshkey login me"
