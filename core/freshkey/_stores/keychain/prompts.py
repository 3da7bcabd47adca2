"""Decides whether the keychain may prompt for its password, and tracks whether it is doing so.

Typing a password takes longer than a keychain call. So a call waits longer than usual if both are true: a user is
present, as during a sign-in, and the keychain shows its prompt.

A prompt is opened only for somebody who waits for the call.
See docs/decisions.md, "Only somebody who waits makes the keychain prompt".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from freshkey._forksafe import in_child
from freshkey.clock import SYSTEM


if TYPE_CHECKING:
    from freshkey._stores.keychain.dismissals import Dismissals

UNLOCK_TIMEOUT: Final = 60.0
"""Default for the seconds that a user has to unlock the keychain."""

PROMPT_TIMEOUT: Final = 600.0
"""Seconds after which an unanswered prompt is closed: the longest `timeout` allowed."""

LOOK_INTERVAL: Final = 1.0
"""Seconds between looks at whether something else has unlocked the keychain while its prompt is open."""


@define(eq=False)
class Asker:
    """On whose behalf the keychain is called.

    Attributes:
        background: No one waits for the call, so it must not open a prompt. Becomes false when a caller joins.
        since: When the user asked for it, in elapsed seconds; None if a program asks.
        present: The user signs in, and will answer a prompt.
    """

    background: bool = False
    since: float | None = None
    present: bool = False

    def join(self, *, by_user: bool) -> None:
        """Make the calls on behalf of another caller too, who waits."""
        self.background = False
        if by_user:
            self.since = SYSTEM.elapsed()


class PromptRefused(Exception):
    """The keychain is locked, and a prompt may not be opened now."""

    def __init__(self, seconds: float = 0.0) -> None:
        """Args: seconds: After how many seconds a caller may open one; 0 if a dismissed prompt is not the reason."""
        super().__init__()
        self.seconds = seconds


@frozen
class Policy:
    """Whether a call may open a prompt: who asked for it, and when the user last dismissed one."""

    asker: Asker = field(factory=Asker)
    dismissals: Dismissals | None = None

    def check(self) -> None:
        """Return if a prompt may be opened.

        Raises:
            PromptRefused: No one waits, or the user has just dismissed one.
        """
        if self.asker.background:
            raise PromptRefused
        left, age = self.dismissals.pause() if self.dismissals is not None else (0.0, 0.0)
        # A user who asks again after dismissing a prompt wants it; a program that asks again does not count.
        if left > 0 and (self.asker.since is None or age <= SYSTEM.elapsed() - self.asker.since):
            raise PromptRefused(left)

    def allows(self) -> bool:
        """Return whether a prompt may be opened."""
        try:
            self.check()
        except PromptRefused:
            return False
        return True

    def note(self, *, dismissed: bool) -> None:
        """Remember whether the user dismissed the prompt, or whether the keychain turned out to be unlocked."""
        if self.dismissals is not None:
            if dismissed:
                self.dismissals.note()
            else:
                self.dismissals.clear()


_asker: ContextVar[Asker | None] = ContextVar("freshkey_keychain_asker", default=None)
_policy: ContextVar[Policy | None] = ContextVar("freshkey_keychain_policy", default=None)
_shown = threading.Event()


@contextmanager
def asking(asker: Asker) -> Iterator[None]:
    """Make the keychain calls in this context on behalf of `asker`."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


@contextmanager
def user_present(*, there: bool = True) -> Iterator[None]:
    """Mark the calls in this context as made for a user who is present, or not if `there` is False."""
    with asking(Asker(since=SYSTEM.elapsed(), present=True) if there else Asker()):
        yield


@contextmanager
def background(*, really: bool = True) -> Iterator[None]:
    """Mark the calls in this context as made for no one, so that they never open a prompt; `really` may say no."""
    with asking(Asker(background=True)) if really else nullcontext():
        yield


def a_user() -> Asker:
    """Return a user who asks now, but may not be there to answer."""
    return Asker(since=SYSTEM.elapsed())


def asker() -> Asker:
    """Return on whose behalf calls in this context are made: by default, of a caller who waits."""
    return _asker.get() or Asker()


@contextmanager
def under(policy: Policy) -> Iterator[None]:
    """Apply `policy` to the prompts of the keychain calls in this context."""
    token = _policy.set(policy)
    try:
        yield
    finally:
        _policy.reset(token)


def policy() -> Policy:
    """Return the policy for prompts of this call."""
    return _policy.get() or Policy()


@contextmanager
def shown() -> Iterator[None]:
    """Mark the keychain's prompt as open, or possibly open."""
    _shown.set()
    try:
        yield
    finally:
        _shown.clear()


def expected() -> bool:
    """Return whether it is worth waiting: a prompt is open, and a user is present in this context."""
    return asker().present and _shown.is_set()


# The prompt, if any, belongs to the parent.
in_child(_shown.clear)
