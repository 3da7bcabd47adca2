"""Sources that cannot work as described are refused when the provider is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from example_provider import description
from freshkey._config.configuration import Configuration
from freshkey._plugins.source_flaws import flaw_of_source
from freshkey.errors import PluginBroken
from freshkey.hooks import hookimpl
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from raises_code import raises_code


GOOD = Source(id="key", title="An app's key", owned=True, automatic=True, detect=lambda _: None)
BROKEN = {
    "but not owned": evolve(GOOD, owned=False),
    "needs the user": evolve(GOOD, interactive=True),
    "remove one of": evolve(GOOD, pasted=True),
    "has no detect": Source(id="key", title="An app's key", owned=True, automatic=True),
}


class Provider:
    def __init__(self, source: Source) -> None:
        self.source = source

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
        return description(sources=(self.source,))

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        raise AssertionError

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        raise AssertionError


def keeper(source: Source, state_dir: Path) -> Keeper:
    configuration = Configuration.of({"me": {"provider": "example"}}, state_dir=state_dir)
    return Keeper(configuration=configuration, providers={"example": Provider(source)})


@pytest.mark.parametrize(("words", "source"), BROKEN.items(), ids=BROKEN)
def test_automatic_source_that_cannot_work_is_refused(words: str, source: Source, tmp_path: Path) -> None:
    with raises_code(PluginBroken, "plugin-source-invalid") as caught:
        keeper(source, tmp_path).describe("me")
    assert "'key'" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize(
    "source", [GOOD, evolve(GOOD, automatic=False), Source(id="it", title="It", owned=True, interactive=True)]
)
def test_others_are_not(source: Source, tmp_path: Path) -> None:
    assert flaw_of_source(source) is None
    assert keeper(source, tmp_path).describe("me").sources == (source,)
