"""The hooks of the provider under test, each with a deadline and with the whole traceback of what it raises."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

import pytest
from attrs import define, evolve, field

from freshkey import Credential, Description, Detected, Inspection, Profile, Source, hookimpl
from freshkey._plugins.hook_caller import HookCaller
from freshkey.errors import PluginBroken
from freshkey.plugin import Interaction, LoggingReporter, Reason, Reporter
from freshkey_testing.not_applicable import not_run
from freshkey_testing.profiles import hooks_of
from freshkey_testing.user import ScriptedUser


T = TypeVar("T")

DEADLINE: Final = 20.0
"""Real seconds that a hook may take, sign-ins at a test's server included."""


@define(eq=False)
class _Watcher:
    """Sees what the provider's own functions return and raise, before the core does."""

    answer: object = None
    error: BaseException | None = None

    @hookimpl(wrapper=True)
    def describe(self) -> Generator[None, object, object]:
        try:
            self.answer = yield
        except BaseException as error:
            self.error = error
            raise
        return self.answer

    acquire = refresh = describe

    def watched(self, function: Callable[..., T]) -> Callable[..., T]:
        """Return a function of the description that is seen like a hook."""

        @functools.wraps(function)
        def call(*arguments: object) -> T:
            try:
                return function(*arguments)
            except BaseException as error:
                self.error = error
                raise

        return call


@define(eq=False)
class Hooks:
    """Calls hooks as the core does, with the checks of the core.

    Attributes:
        deadline: Real seconds that each may take.
        stuck: A sentence for each that hangs: it is not called again, so that a run ends soon.
        around: Entered around each call, with what is called.
    """

    _caller: HookCaller
    _watcher: _Watcher
    deadline: float = DEADLINE
    stuck: dict[str, str] = field(factory=dict)
    around: Callable[[str], AbstractContextManager[object]] = field(init=False, default=nullcontext)

    @classmethod
    def of(cls, name: str, provider: object, deadline: float = DEADLINE, stuck: dict[str, str] | None = None) -> Hooks:
        """Return the hooks of a provider.

        Raises:
            PluginBroken: They do not fit the contract.
        """
        watcher = _Watcher()
        return cls(
            hooks_of(name, provider, {"contract kit": watcher}), watcher, deadline, {} if stuck is None else stuck
        )

    @property
    def raw(self) -> Any:  # noqa: ANN401  whatever the provider returned
        """What the provider's function itself returned last, before the core added to it."""
        return self._watcher.answer

    def describe(self, profile: Profile | None) -> Description:
        """Return the description."""
        return self._run("describe", lambda: self._caller.describe(profile))

    def inspect(self, profile: Profile, credential: Credential) -> Inspection:
        """Return what the provider says about a credential."""
        return self._run("describe with a credential", lambda: self._caller.inspect(profile, credential))

    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        """Get a credential from a source."""
        what = f"acquire from source {source.id!r}"
        if isinstance(interaction, ScriptedUser):
            interaction.begin_again()
        acquired = self._run(what, lambda: self._caller.acquire(profile, source, interaction))
        return evolve(acquired, clock=profile.clock)

    def refresh(
        self,
        profile: Profile,
        credential: Credential,
        reporter: Reporter | None = None,
        reason: Reason = Reason.DUE,
    ) -> Credential:
        """Renew a credential."""
        told = reporter or LoggingReporter()
        newer = self._run("refresh", lambda: self._caller.refresh(profile, credential, told, reason))
        return evolve(newer, clock=profile.clock)

    def detect(self, profile: Profile, source: Source) -> Detected | None:
        """Return what was found in a source."""
        seen = evolve(source, detect=self._watcher.watched(source.detect))
        return self._run(f"detect of source {source.id!r}", lambda: self._caller.detect(profile, seen))

    def setup(self, profile: Profile, source: Source) -> str | None:
        """Return what is to be done before a sign-in."""
        seen = evolve(source, setup=self._watcher.watched(source.setup))
        return self._run(f"setup of source {source.id!r}", lambda: self._caller.setup(profile, seen))

    def ignores(self, profile: Profile, source: Source) -> tuple[str, ...]:
        """Return the settings that a source does not use."""
        seen = evolve(source, ignores=self._watcher.watched(source.ignores))
        return self._run(f"ignores of source {source.id!r}", lambda: self._caller.ignores(profile, seen))

    def revoke(self, description: Description, profile: Profile, credential: Credential) -> bool:
        """Revoke a credential; return False if the provider cannot do that."""
        revoke = description.revoke
        seen = description if revoke is None else evolve(description, revoke=self._watcher.watched(revoke))
        return self._run("revoke", lambda: self._caller.revoke(seen, profile, credential))

    def _run(self, what: str, act: Callable[[], T]) -> T:
        if what in self.stuck:
            not_run(f"see the first failure: {self.stuck[what]}")
        self._watcher.error = self._watcher.answer = None
        made: list[T] = []
        raised: list[BaseException] = []

        def work() -> None:
            try:
                made.append(act())
            except BaseException as error:  # noqa: BLE001  raised below, on the test's own thread
                raised.append(error)

        thread = threading.Thread(target=work, name=f"contract kit: {what}", daemon=True)
        with self.around(what):
            thread.start()
            thread.join(self.deadline)
        if thread.is_alive():
            self.stuck[what] = (
                f"{what} is still running after {self.deadline:g} s: give each wait a timeout,"
                " since the core holds the profile's lock until the hook returns"
            )
            pytest.fail(self.stuck[what], pytrace=False)
        if raised:
            raise self._explained(raised[0])
        return made[0]

    def _explained(self, error: BaseException) -> BaseException:
        """Return the error with what the plugin raised as its cause: its author needs the whole traceback."""
        cause = self._watcher.error
        if isinstance(error, PluginBroken) and error.__cause__ is None and cause is not error:
            error.__cause__ = cause
        return error
