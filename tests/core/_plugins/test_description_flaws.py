"""Sources and hosts that cannot work as described are refused when the provider is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from example_provider import description
from freshkey._config.configuration import Configuration
from freshkey._plugins.description_flaws import flaw_of_hosts, flaw_of_source
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
    def __init__(self, source: Source, hosts: Any = ()) -> None:
        self.source = source
        self.hosts = hosts

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
        return description(sources=(self.source,), hosts=self.hosts)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        raise AssertionError

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        raise AssertionError


def keeper(source: Source, state_dir: Path, hosts: Any = ()) -> Keeper:
    configuration = Configuration.of({"me": {"provider": "example"}}, state_dir=state_dir)
    return Keeper(configuration=configuration, providers={"example": Provider(source, hosts)})


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


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (("api.example", "127.0.0.1:8765"), "has '127.0.0.1:8765', which has a port: write '127.0.0.1'"),
        ("api.example", "is a str instead of a tuple of names"),
        (None, "is a NoneType instead of a tuple of names"),
        ((b"api.example",), "has a bytes instead of the name of a host"),
    ],
)
def test_hosts_that_allow_nothing_are_refused(hosts: Any, words: str, tmp_path: Path) -> None:
    with raises_code(PluginBroken, "plugin-host-invalid") as caught:
        keeper(GOOD, tmp_path, hosts).describe("me")
    assert f"its Description.hosts {words}" in caught.value.message


@pytest.mark.parametrize("hosts", [(), ("",), ["api.example"], frozenset({"API.example", "::1", "127.0.0.1"})])
def test_names_of_hosts_are_not(hosts: Any, tmp_path: Path) -> None:
    assert flaw_of_hosts(hosts) is None
    keeper(GOOD, tmp_path, hosts).describe("me")
