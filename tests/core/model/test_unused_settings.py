"""Settings that a profile sets and its source ignores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import Factory, frozen

from freshkey.model.profile import Profile
from freshkey.model.unused_settings import changed_settings, unused_settings


@frozen(kw_only=True)
class Settings:
    region: str = "here"
    file: Path | None = None
    helper: str | None = None
    headers: Mapping[str, str] = Factory(dict)


USED_BY = {"file": {"file"}, "helper": {"helper", "both"}, "headers": {"both"}}


def profile(source: str | None, **settings: object) -> Profile:
    made = Settings(**settings)  # type: ignore[arg-type]  # checked by the caller
    return Profile(name="me", provider="example", settings=made, state_dir=Path("/nowhere"), source=source)


def test_settings_that_differ_from_their_defaults_are_changed() -> None:
    assert changed_settings(profile(None)) == set()
    assert changed_settings(profile(None, region="here", headers={}, helper="x")) == {"helper"}
    assert changed_settings(profile(None, region="there", headers={"a": "b"})) == {"region", "headers"}


def test_changed_settings_of_other_sources_are_unused() -> None:
    changed = {"region": "there", "file": Path("/f"), "helper": "x", "headers": {"a": "b"}}
    assert unused_settings(profile("file", **changed), "file", USED_BY) == ("headers", "helper")
    assert unused_settings(profile("both", **changed), "both", USED_BY) == ("file",)
    assert unused_settings(profile("both"), "both", USED_BY) == ()


def test_without_a_chosen_source_settings_may_be_for_several() -> None:
    assert unused_settings(profile(None, helper="x"), "file", USED_BY) == ()
