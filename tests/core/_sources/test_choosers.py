"""Settings that only choose a source, and what comes before them or is hidden by them."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from freshkey._sources.choosers import chosen_by, overruled
from freshkey._sources.explain import explain
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source


@frozen(kw_only=True)
class Settings:
    helper: str | None = None
    file: str | None = None


FOUND = Detected(kind="key", origin="environment variable LEFT_OVER")
VARIABLE = Source(id="variable", title="A variable", owned=False, handed_in=True, detect=lambda _: FOUND)
HELPER = Source(id="helper", title="A helper", owned=False, handed_in=True, chosen_by=("helper", "HELPER"))
FILE = Source(id="file", title="A file", owned=False, chosen_by=("file",))
DESCRIPTION = Description(title="Example", settings=Settings, formats={}, sources=(VARIABLE, HELPER, FILE))


def profile(**settings: str) -> Profile:
    return Profile(name="me", provider="example", settings=Settings(**settings), state_dir=Path("/nowhere"))


def test_setting_whose_source_comes_later_is_overruled() -> None:
    assert overruled(profile(file="/f"), DESCRIPTION, VARIABLE) == {"file": "file"}
    assert overruled(profile(file="/f", helper="x"), DESCRIPTION, VARIABLE) == {"helper": "helper", "file": "file"}
    assert overruled(profile(), DESCRIPTION, VARIABLE) == {}
    assert overruled(profile(file="/f"), DESCRIPTION, None) == {}
    assert overruled(profile(helper="x"), DESCRIPTION, FILE) == {}, "nothing was found there"


def test_settings_that_contend_with_each_other_are_the_users_business() -> None:
    assert overruled(profile(file="/f", helper="x"), DESCRIPTION, HELPER) == {}
    assert overruled(profile(file="/f"), DESCRIPTION, HELPER) == {"file": "file"}, "a variable chose it"


def test_what_the_profile_rules_out_is_not_overruled() -> None:
    both = profile(file="/f", helper="x")
    assert overruled(evolve(both, source="variable"), DESCRIPTION, VARIABLE) == {}
    assert overruled(evolve(both, skip=("file",)), DESCRIPTION, VARIABLE) == {"helper": "helper"}
    assert overruled(evolve(both, bare=True), DESCRIPTION, VARIABLE) == {"helper": "helper"}


def test_what_chooses_a_source_is_a_setting_or_a_variable() -> None:
    assert chosen_by(profile(helper="x"), HELPER, {}) == ("helper",)
    assert chosen_by(profile(), HELPER, {"HELPER": "x"}) == ("HELPER",)
    assert chosen_by(profile(), HELPER, {"HELPER": ""}) == ()
    assert chosen_by(evolve(profile(), settings=None), VARIABLE, {}) == ()


def test_explanation_names_the_setting_at_the_source_that_it_chooses() -> None:
    shown = explain(
        profile(file="/f"),
        DESCRIPTION,
        selected_by="argument",
        detect=lambda source: source.detect(profile()),
        stored=lambda: None,
    )
    assert [step.why for step in shown.steps] == [
        "first source with a credential",
        "'variable' comes first",
        "'variable' comes first, although file is set",
    ]
