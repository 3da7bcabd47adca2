"""What can go wrong, sorted by what the caller does next.

::

    FreshkeyError
    ├── TransientError        not sent, or refused for now: try again (after ``retry_after`` seconds, if given)
    ├── OutcomeUnknown        sent, but no usable answer: a single-use token may be spent; only a rotation may try again
    │   └── ProtocolError     an answer came and does not follow its protocol
    ├── LoginRequired         a person must act: ``freshkey login PROFILE``
    ├── ProviderRefused       the provider will never accept this configuration: change it, do not retry
    ├── ConfigurationError    freshkey's own configuration is wrong: change it
    │   └── TrustNeeded       a project's file names a command that nobody trusted as it is now: ``freshkey trust``
    ├── PluginBroken          a plugin broke the contract of its hooks: report it to the plugin's author
    ├── StoreError            the place where credentials are kept
    │   ├── StoreUnavailable  locked, missing, read-only or not answering: unlock or choose another
    │   ├── StoreBusy         another process holds the profile's lock: wait, or see who it is
    │   ├── RecordUnreadable  corrupt, or written by a newer freshkey: nothing was overwritten
    │   └── GenerationConflict  the store already holds something at least as new: nothing was overwritten
    ├── CredentialExpired     a credential was used after its end: ask the keeper for it again
    └── KeeperClosed          the keeper was closed

No message ever contains a secret, and every message says what to do next where that is known.
"""

from __future__ import annotations

import errno
import functools
import os
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, Self, TypeVar


P = ParamSpec("P")
T = TypeVar("T")


class FreshkeyError(Exception):
    """Base of every error that freshkey raises on purpose.

    Args:
        message: What happened, one sentence without a full stop.
        profile: Name of the profile concerned, where it is known; the core fills it in for plugins.
        hint: What the reader can do next, one sentence.
    """

    def __init__(self, message: str, *, profile: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.profile = profile
        self.hint = hint

    def __str__(self) -> str:
        """Profile, what happened, and what to do next."""
        subject = f"{self.profile}: " if self.profile else ""
        return f"{subject}{self.message}" + (f". {self.hint}" if self.hint else "")

    def for_another_caller(self) -> Self:
        """Return a copy without a traceback.

        One failure is shared by all who waited for it; each of them raises a copy of its own, because raising one
        object in several threads would tangle their tracebacks.
        """
        # Made without calling the class: an error class of a plugin may take any arguments.
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin


class TransientError(FreshkeyError):
    """The request was not sent, or was refused for now: try again later.

    Args:
        message, profile, hint: As for `FreshkeyError`.
        retry_after: Seconds to wait at the least, as the server asked (RFC 9110, section 10.2.3).
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, profile: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, profile=profile, hint=hint)
        self.retry_after = retry_after


class OutcomeUnknown(FreshkeyError):
    """The request was sent and no usable answer came: the server may or may not have acted on it."""


class ProtocolError(OutcomeUnknown):
    """The server answered, but the answer does not follow its protocol."""


class LoginRequired(FreshkeyError):
    """A person must sign in."""


class ProviderRefused(FreshkeyError):
    """The provider refused for good: the configuration or the account has to change first."""


class ConfigurationError(FreshkeyError):
    """A configuration file, an environment variable or an argument is wrong."""


class TrustNeeded(ConfigurationError):
    """A command that a project's file names was not run: nobody trusted it, or it changed since."""


class PluginBroken(FreshkeyError):
    """A plugin raised something outside its contract, returned the wrong type, or cannot be loaded.

    Args:
        message, profile, hint: As for `FreshkeyError`.
        plugin: Name of the plugin.
    """

    def __init__(self, message: str, *, plugin: str = "?", profile: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, profile=profile, hint=hint)
        self.plugin = plugin


class StoreError(FreshkeyError):
    """The store of a profile cannot do what it must."""


class StoreUnavailable(StoreError):
    """The store is locked, missing, read-only, full or does not answer."""


class StoreBusy(StoreError):
    """Another process held the profile's lock for longer than the caller was willing to wait."""


class RecordUnreadable(StoreError):
    """What the store holds is corrupt, or was written by a newer freshkey."""


class GenerationConflict(StoreError):
    """The store already holds a generation that is not older than the one to be saved."""


class CredentialExpired(FreshkeyError):
    """A credential was asked to authorize something after its own end."""


class KeeperClosed(FreshkeyError):
    """The keeper was closed and hands out nothing more."""


@contextmanager
def about(profile: str | None) -> Iterator[None]:
    """Name the profile in every error that does not name one yet: stores and plugins do not always know it."""
    try:
        yield
    except FreshkeyError as error:
        error.profile = error.profile or profile
        raise


def frameless(read: Callable[P, T]) -> Callable[P, T]:
    """Let the errors of a function that takes secrets apart begin at its caller.

    Crash reports print local variables, and between the wrapped secret that came in and the wrapped one that goes out
    those of a reader are bare. Arguments that are not wrapped do not show either, as far as it is for this function.
    """

    @functools.wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except FreshkeyError as error:
            bare = error.for_another_caller()
        del args, kwargs
        raise bare

    return reading


def describe_raise(error: BaseException) -> str:
    """Say what was raised and where, without its text, which may quote a secret."""
    raised = list(traceback.walk_tb(error.__traceback__))
    if not raised:
        return type(error).__name__
    frame, line = raised[-1]
    return f"{type(error).__name__} in {Path(frame.f_code.co_filename).name}, line {line}"


def our_own(error: BaseException) -> FreshkeyError:
    """Return the error for an exception that freshkey itself should not have let happen, or could not prevent."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
        return TransientError(
            f"this process is out of means ({os.strerror(error.errno)})", hint="Close files, or raise its limits"
        )
    return PluginBroken(
        f"freshkey itself failed: {describe_raise(error)}", plugin="freshkey", hint="Please report this"
    )


def sign_in_command(profile: str) -> str:
    """Return what a person types to sign in again, for the hint of an error."""
    return f"freshkey login {profile}"


def closest(word: str, known: Collection[str]) -> str | None:
    """Return the word among `known` that was probably meant, or None."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a sentence that offers the word that was probably meant, or else all there are."""
    best = closest(word, known)
    return f"Did you mean {best!r}?" if best else f"Known names: {', '.join(sorted(known)) or 'none'}"
