"""A provider, a store and observers whose hooks do what a test says."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from attrs import define, evolve, frozen

from freshkey.clock import Moment
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description, Inspection, Validity
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret


CANARY = "canary-9b1d4e77aa02c3f8"
OBTAINED = Moment(1_000_000.0, 10.0, "boot")

SIGN_IN = Source(id="sign-in", title="Sign-in", owned=True, interactive=True)
HELPER = Source(id="helper", title="Helper", owned=False)


@frozen(kw_only=True)
class Settings:
    """Settings of a profile."""

    region: str = "here"


def token(**changes: Any) -> OAuthToken:
    """Return a token that is valid for an hour; `changes` are fields."""
    values: dict[str, Any] = {"obtained": OBTAINED, "lifetime": 3600.0, "access_token": Secret("at-1")}
    return OAuthToken(**values | changes)


def description(**changes: Any) -> Description:
    """Return a description of the provider; `changes` are fields."""
    values: dict[str, Any] = {
        "title": "Example",
        "settings": Settings,
        "formats": {"token": OAuthToken},
        "sources": (SIGN_IN, HELPER),
    }
    return Description(**values | changes)


def profile(**changes: Any) -> Profile:
    """Return a profile of the provider; `changes` are fields."""
    values: dict[str, Any] = {"name": "me", "provider": "example", "settings": Settings(), "state_dir": Path("/none")}
    return Profile(**values | changes)


def _newer(credential: Credential) -> Credential:
    return evolve(credential)


@define(eq=False)
class Provider:
    """Returns from each hook what the test's function returns."""

    on_describe: Callable[[], object] = description
    on_inspect: Callable[[], object] = lambda: Inspection(validity=Validity.VALID)
    on_acquire: Callable[[], object] = token
    on_refresh: Callable[[Credential], object] = _newer

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> object:
        return self.on_describe() if credential is None else self.on_inspect()

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> object:
        return self.on_acquire()

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> object:
        return self.on_refresh(credential)


@define(eq=False)
class StoringProvider(Provider):
    """A provider that also implements the store hook."""

    on_store: Callable[[], object] = lambda: None

    @hookimpl
    def store(self) -> object:
        return self.on_store()


class FakeStore:
    """Has the methods of a store, which do nothing."""

    kind = "fake"

    def __init__(self, name: str = "fake") -> None:
        self.name = name

    lock = probe = load = intend = save = withdraw = lambda *args: None


@define(eq=False)
class StorePlugin:
    """Returns from the store hook what the test's function returns."""

    on_store: Callable[[], object] = FakeStore

    @hookimpl
    def store(self) -> object:
        return self.on_store()


Wrapping = Generator[None, object, object]


class Observer:
    """Wraps the refresh hook with the test's generator function."""

    def __init__(self, around: Callable[[], Wrapping]) -> None:
        self.around = around

    @hookimpl(wrapper=True)
    def refresh(self) -> Wrapping:
        return (yield from self.around())
