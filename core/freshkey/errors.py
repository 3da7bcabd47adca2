"""Errors, grouped by what the caller does next.

::

    FreshkeyError
    ├── TransientError        not sent, or rejected for now: try again (after ``retry_after`` seconds, if set)
    ├── OutcomeUnknown        sent, but no usable response: a single-use token may be spent; freshkey decides on retries
    │   └── ProtocolError     the response does not follow its protocol
    │       └── IntermediaryAnswer  it is probably not the server's: a gateway or a captive portal answered
    ├── LoginRequired         the user must act: ``freshkey login PROFILE``
    ├── ProviderRefused       the provider will not accept this configuration: change it, do not retry
    ├── ConfigurationError    freshkey's own configuration is wrong: fix it
    │   └── TrustNeeded       a command in a project's file is not trusted, or has changed: ``freshkey trust``
    ├── NotForHttp            the credential is for something else than HTTP requests: use its fields
    ├── PluginBroken          a plugin violated the contract of its hooks: report it to the plugin's author
    ├── StoreError            the credential store failed
    │   ├── StoreUnavailable  locked, missing, read-only or not responding: unlock it, or choose another store
    │   ├── StoreBusy         another process holds the profile's lock: wait, or end that process
    │   ├── RecordUnreadable  corrupt, or written by a newer version: nothing was overwritten
    │   └── GenerationConflict  the store already holds the same or a newer generation: nothing was overwritten
    ├── CredentialExpired     a credential was used after it expired: get a new one from the keeper
    └── KeeperClosed          the keeper was closed

Messages never contain secrets, and include a hint about what to do next if there is one.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar


_MAX_CODE: Final = 64  # characters

_HERE: Final = Path(__file__).parent
_LIBRARY: Final = Path(os.__file__).parent
"""Of Python itself."""

_MAX_DIGITS: Final = 6

_CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)

P = ParamSpec("P")
T = TypeVar("T")


class FreshkeyError(Exception):
    """Base of every error that freshkey raises on purpose.

    Args:
        message: What happened: one sentence fragment without a final period.
        profile: Name of the profile, if known; the core sets it for plugins.
        hint: What the user can do next: imperative, without a final period.
        code: A code more specific than the default of the class, such as ``keychain-locked``.

    Attributes:
        account: Which of the profile's accounts it is about, if any; the keeper sets it.
        code: A stable name for the error, in kebab case, for programs. Messages may change with any release; codes do
            not. ``docs/errors.md`` lists them all; provider-specific ones begin with the provider's name.
        found_here: Whether the user may mend the cause on this machine; see `found_here`.
    """

    # Codes are literals where an error is raised, so that a test finds and compares them.
    # See docs/decisions.md, "Errors have codes, and tests match codes".
    code = "freshkey-error"
    found_here: bool = False
    account: str | None = None

    def __init__(
        self, message: str, *, code: str | None = None, profile: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.profile = profile
        self.hint = hint

    def __str__(self) -> str:
        """Return the profile, what happened, and what to do next."""
        whose = f"{subject(self.profile, self.account)}: " if self.profile else ""
        return f"{whose}{self.message}" + (f". {self.hint}" if self.hint else "")

    def for_another_caller(self) -> Self:
        """Return a copy without a traceback.

        Callers that waited for the same failure each raise their own copy, because raising one object in several
        threads would mix up their tracebacks.
        """
        # Without calling the class: a plugin's error class may take any arguments.
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin


E = TypeVar("E", bound=FreshkeyError)


def found_here(error: E) -> E:
    """Mark an error whose cause the user may mend on this machine at any moment, without a trace; return it.

    Examples are a wrong clock, another tool, and an endpoint of a container. Other processes look for themselves, and
    the process that failed looks again after two seconds, which double with each failure in a row.
    """
    error.found_here = True
    return error


class TransientError(FreshkeyError):
    """The request was not sent, or was rejected for now: try again later.

    Args:
        message, code, profile, hint: As for `FreshkeyError`.
        retry_after: Minimum seconds to wait, as requested by the server (RFC 9110, section 10.2.3).
        local: The cause is in the surroundings of this process: its network, its proxy, its certificate authorities.
            Other processes may have others, so they are not told to wait.
        starting: What does not respond is known to be there, so it has probably not started yet. Such a call is
            repeated every few seconds for as long as the attempt may take, however often that is.
    """

    code = "temporarily-unavailable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        local: bool = False,
        starting: bool = False,
        code: str | None = None,
        profile: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, profile=profile, hint=hint)
        self.retry_after = retry_after
        self.local = local
        self.starting = starting


class OutcomeUnknown(FreshkeyError):
    """The request was sent, but there was no usable response: the server may or may not have acted on it."""

    code = "outcome-unknown"


class ProtocolError(OutcomeUnknown):
    """The server responded, but the response does not follow its protocol."""

    code = "invalid-response"


class IntermediaryAnswer(ProtocolError):
    """The response is probably not the server's, but that of something in between: a gateway, a captive portal.

    Args:
        message, code, profile, hint: As for `FreshkeyError`.
        may_be_refusal: Some servers reject a dead refresh token with just this response, such as a 400 without a body.
    """

    code = "answered-in-between"

    def __init__(
        self,
        message: str,
        *,
        may_be_refusal: bool = False,
        code: str | None = None,
        profile: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, profile=profile, hint=hint)
        self.may_be_refusal = may_be_refusal


class LoginRequired(FreshkeyError):
    """The user must sign in, or replace what was presented and is not accepted, such as a machine's key.

    Args:
        message, code, profile, hint: As for `FreshkeyError`.
        unsent: Found before the refresh token was sent, so no server rejected it. What was found may change, such as
            an issuer's metadata: the core never remembers it as the end of the sign-in, and tries again after a pause.
        doubtful: The refresh token was refused, but perhaps by something in between, such as a web filter, in words
            that a server might use, too: the core asks the user to sign in, and sends the token again later.

    Attributes:
        retry_after: Set by the core if this is only probable: seconds after which the refresh token is sent once more.
            `Keeper.refresh` sends it at once.
    """

    code = "sign-in-required"
    retry_after: float | None = None
    unsent: bool = False
    doubtful: bool = False

    def __init__(
        self,
        message: str,
        *,
        unsent: bool = False,
        doubtful: bool = False,
        code: str | None = None,
        profile: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, profile=profile, hint=hint)
        self.unsent = unsent
        self.doubtful = doubtful

    @property
    def final(self) -> bool:
        """Whether the server's own word has ended the sign-in, so that the refresh token is never sent again."""
        return not (self.unsent or self.doubtful) and self.retry_after is None


class ProviderRefused(FreshkeyError):
    """The provider rejected the request permanently, and not because of the credential that came with it.

    Change the configuration or the account first: neither another attempt nor another sign-in helps.
    """

    code = "provider-refused"


class NotForHttp(FreshkeyError):
    """The credential does not authorize HTTP requests, but something else, such as database connections."""

    code = "not-for-http"


class ConfigurationError(FreshkeyError):
    """A configuration file, an environment variable or an argument is wrong."""

    code = "invalid-configuration"


class TrustNeeded(ConfigurationError):
    """A command in a project's file was not run, because it is not trusted or has changed since it was trusted."""

    code = "trust-required"


class PluginBroken(FreshkeyError):
    """A plugin raised an unexpected exception, returned the wrong type, or cannot be loaded.

    Args:
        message, code, profile, hint: As for `FreshkeyError`.
        plugin: Name of the plugin.
    """

    code = "plugin-broken"

    def __init__(
        self,
        message: str,
        *,
        plugin: str = "?",
        code: str | None = None,
        profile: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, profile=profile, hint=hint)
        self.plugin = plugin


class StoreError(FreshkeyError):
    """The credential store of a profile failed."""

    code = "store-error"


class StoreUnavailable(StoreError):
    """The store is locked, missing, read-only, full or not responding.

    Args:
        message, code, profile, hint: As for `FreshkeyError`.
        absent: There is no such store here, as opposed to one that is locked or not responding. If nothing is known to
            be stored in it either, freshkey looks for a credential in the other sources.
    """

    code = "store-unavailable"

    def __init__(
        self,
        message: str,
        *,
        absent: bool = False,
        code: str | None = None,
        profile: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, profile=profile, hint=hint)
        self.absent = absent


class StoreBusy(StoreError):
    """Another process held the profile's lock for longer than the timeout."""

    code = "store-busy"


class RecordUnreadable(StoreError):
    """The stored record is corrupt, or was written by a newer version of freshkey."""

    code = "record-unreadable"


class GenerationConflict(StoreError):
    """The store already holds the generation to be saved, or a newer one."""

    code = "generation-conflict"


class CredentialExpired(FreshkeyError):
    """A credential was used after it expired."""

    code = "credential-expired"


class KeeperClosed(FreshkeyError):
    """The keeper was closed and returns no more credentials."""

    code = "keeper-closed"


def is_code(value: object) -> bool:
    """Whether this can be the code of an error: words of lowercase letters, with few digits, joined by hyphens.

    More digits are those of a number or a token: codes are written to files that processes share.
    """
    if not isinstance(value, str) or len(value) > _MAX_CODE or _CODE.fullmatch(value) is None:
        return False
    return sum(map(str.isdigit, value)) <= _MAX_DIGITS


def safe_code(error: FreshkeyError) -> str:
    """Return the code of an error if it can be one, else that of its class in freshkey.

    Plugins set codes, which go to logs and to files that processes share: an exception of a plugin may use the same
    attribute for something else, such as an HTTP status, or write more into it than a name.
    """
    if is_code(error.code):
        return error.code
    return next(str(vars(kind)["code"]) for kind in type(error).__mro__ if kind.__module__ == __name__)


@contextmanager
def about(profile: str | None, account: str | None = None) -> Iterator[None]:
    """Set the profile and account of errors without any, because stores and plugins do not always set them."""
    try:
        yield
    except FreshkeyError as error:
        error.profile = error.profile or profile
        error.account = error.account or account
        raise


def frameless(read: Callable[P, T]) -> Callable[P, T]:
    """Remove the frames of a function that parses secrets from the tracebacks of its errors.

    Crash reports print local variables, and while such a function runs, its local variables hold unwrapped secrets.
    Its arguments are deleted from this frame too.
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


def describe_raise(error: BaseException, *, by_plugin: bool = False) -> str:
    """Return the class and location of an exception, without its message, which may contain a secret.

    Where a plugin gave freshkey or Python's library a wrong value, its own line says more than the line there that
    noticed; with `by_plugin`, that is the location.
    """
    raised = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not raised:
        return type(error).__name__
    theirs = [place for place in raised if not _is_ours_or_python_s(place[0])] if by_plugin else []
    path, line = (theirs or raised)[-1]
    name = f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name
    return f"{type(error).__name__} in {name}, line {line}"


def _is_ours_or_python_s(path: Path) -> bool:
    if _HERE in path.parents or path.name.startswith("<frozen"):
        return True
    return _LIBRARY in path.parents and not {"site-packages", "dist-packages"} & set(path.parts)


def our_own(error: BaseException) -> FreshkeyError:
    """Return the error to raise for an unexpected exception in freshkey itself: a bug, or a lack of resources."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
        return TransientError(
            f"the process is out of file descriptors or memory ({os.strerror(error.errno)})",
            hint="Close some files, or raise the limits of the process (see: ulimit -a)",
            code="out-of-resources",
        )
    return PluginBroken(
        f"unexpected error in freshkey: {describe_raise(error)}",
        plugin="freshkey",
        hint="Report it as a bug in freshkey",
        code="internal-error",
    )


def subject(profile: str, account: str | None) -> str:
    r"""Return what messages call a profile or one of its accounts: ``mail``, ``mail/ada``.

    An account is a text of others: what is not printable in it is written as escapes, such as ``\u200b``.
    """
    if account is None:
        return profile
    shown = (each if each.isprintable() else ascii(each)[1:-1] for each in account)
    return f"{profile}/{''.join(shown)}"


def sign_in_command(profile: str) -> str:
    """Return the command that signs the user in again, for the hint of an error; `profile` is `Profile.word`."""
    return f"freshkey login {profile}"


def closest(word: str, known: Collection[str]) -> str | None:
    """Return the word in `known` that was probably meant, or None."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a hint that suggests the word that was probably meant, or else lists all words."""
    best = closest(word, known)
    return f"Did you mean {best!r}?" if best else f"Known names: {', '.join(sorted(known)) or 'none'}"
