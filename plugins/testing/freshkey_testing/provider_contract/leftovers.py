"""Checks that hooks leave nothing behind in the process that they run in."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final

import pytest
from attrs import define, field

from freshkey import Credential, Description, Profile
from freshkey.plugin import NonInteractive
from freshkey_testing.guard import Effects, effects
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, require, tried
from freshkey_testing.user import ScriptedUser


_GRACE: Final = 5.0
"""Real seconds in which what a hook started may still end; a machine may be busy."""

_PAUSE: Final = 0.01


class Leftovers(ProviderKit):
    """Checks of a whole life, whose hooks run inside an application with threads and children of its own."""

    def test_hooks_change_no_environment_variable(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        request: pytest.FixtureRequest,
    ) -> None:
        """No hook sets or removes a variable of the process, not even for a while: other threads and children see it.

        A program that needs one gets it with ``subprocess.run(…, env={**os.environ, "NAME": value})``.
        """
        left = _live(hooks, profile, description, users, request)
        changed = [f"{what} changed the environment variable {name}" for what, name in left.changed]
        require(
            not changed,
            f"{'; '.join(changed)}: other threads and child processes of the application see it;"
            " give it only to the program that needs it (env=… of subprocess), or to the library as an argument",
        )

    def test_hooks_leave_nothing_running(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        request: pytest.FixtureRequest,
    ) -> None:
        """Threads, also daemons, and child processes that a hook starts have ended when it returns.

        Hooks run for as long as an application does: what each renewal leaves adds up, and goes on with a credential
        that freshkey has replaced or revoked.
        """
        left = _live(hooks, profile, description, users, request)
        require(
            not left.running,
            f"{'; '.join(f'{what} left {thing} running' for what, thing in left.running)}:"
            " end it before the hook returns; freshkey itself renews in the background",
        )


@define(eq=False)
class _Left:
    """What hooks left, as pairs of the hook and its trace."""

    grace: float
    changed: list[tuple[str, str]] = field(init=False, factory=list)
    running: list[tuple[str, str]] = field(init=False, factory=list)

    @contextmanager
    def watch(self, what: str) -> Iterator[None]:
        before = _workers()
        with effects() as noted:
            yield
        self.changed.extend((what, name) for name in sorted(noted.variables) if (what, name) not in self.changed)
        until = time.monotonic() + self.grace
        while (left := _running(noted, before)) and time.monotonic() < until:
            time.sleep(_PAUSE)
        self.running.extend((what, each) for each in left)
        self.grace = 0.0 if left else self.grace  # one that stays is waited for once


def _live(
    hooks: Hooks,
    profile: Profile,
    description: Description,
    users: Mapping[str, ScriptedUser],
    request: pytest.FixtureRequest,
) -> _Left:
    """Call each hook as often as a life does, and return what they left behind; other checks look at the results."""
    signed_in: Credential | None = request.getfixturevalue("signed_in")
    left = _Left(min(_GRACE, hooks.deadline))
    hooks.around = left.watch
    hooks.describe(profile)
    got: list[Credential] = [] if signed_in is None else [signed_in]
    for source in description.sources:
        found, _ = tried(lambda source=source: hooks.detect(profile, source))  # type: ignore[misc]
        if source.id in users or (not source.interactive and (source.owned or found)):
            user = users.get(source.id, NonInteractive(profile.name))
            made, _ = tried(lambda source=source, user=user: hooks.acquire(profile, source, user))  # type: ignore[misc]
            got.extend([made] if made is not None and source.owned else [])
    for credential in got:
        if credential.renewable:
            caught(lambda held=credential: hooks.refresh(profile, held))  # type: ignore[misc]
    if signed_in is not None:
        caught(lambda: hooks.inspect(profile, signed_in))
        revocable: Credential = request.getfixturevalue("revocable")
        caught(lambda: hooks.revoke(description, profile, revocable))
    return left


def _running(noted: Effects, before: set[BaseProcess]) -> list[str]:
    """Return what still runs of what was started; freshkey's own threads serve all profiles, and stay."""
    threads = [each for each in noted.threads if each.is_alive() and not _of_freshkey(each)]
    programs = [each for each in noted.programs if each.poll() is None]
    return [
        *(f"the thread {each.name!r}" for each in threads),
        *(f"the program {_name(each)!r}" for each in programs),
        *(f"the process {each.name!r}" for each in _workers() - before),
    ]


def _of_freshkey(thread: threading.Thread) -> bool:
    module = str(getattr(getattr(thread, "_target", None), "__module__", ""))
    return module.partition(".")[0] == "freshkey"


def _name(program: subprocess.Popen[bytes]) -> str:
    """Return the name of a program, without its arguments, which may be secret."""
    first = program.args if isinstance(program.args, str | bytes) else next(iter(program.args), "")  # type: ignore[arg-type]
    words = str(first).split()
    return words[0] if words else "a program"


def _workers() -> set[BaseProcess]:
    """Return the child processes of `multiprocessing`, if something uses it."""
    module = sys.modules.get("multiprocessing")
    return set(module.active_children()) if module is not None else set()
