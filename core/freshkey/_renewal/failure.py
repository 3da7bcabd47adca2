"""A failure that pauses attempts: how it is raised again meanwhile, in this process and in others.

Processes share the class, the code and the time of a failure, never its texts, which may quote a server or a plugin.
See docs/decisions.md, "Processes share codes and times, not texts".
"""

from __future__ import annotations

import math
from typing import Final

from attrs import frozen

from freshkey import expiry
from freshkey._http.circuit_breaker import OF_COMMANDS
from freshkey._interprocess.hints import Hints
from freshkey._text.durations import duration
from freshkey.clock import Moment
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProtocolError,
    ProviderRefused,
    StoreError,
    TransientError,
    TrustNeeded,
    sign_in_command,
)
from freshkey.model.credential import Credential
from freshkey.model.source import Detected, Source
from freshkey.model.storage import Intent


_SENTENCES: Final[dict[type[FreshkeyError], str]] = {
    TransientError: "an earlier attempt to renew failed for now",
    OutcomeUnknown: "an earlier attempt to renew got no usable response",
    ProtocolError: "an earlier attempt to renew got an invalid response",
    IntermediaryAnswer: "an earlier attempt to renew got a response that is probably not the server's",
    LoginRequired: "an earlier attempt to renew found that the user must act",
    ProviderRefused: "the provider rejected an earlier attempt to renew",
    ConfigurationError: "an earlier attempt to renew could not use the configuration",
    TrustNeeded: "an earlier attempt to renew did not run a command that is not trusted",
    PluginBroken: "the provider's plugin failed in an earlier attempt to renew",
    FreshkeyError: "an earlier attempt to renew failed",
}
"""The classes that other processes raise again, with their words for it. Which process it was, no one can tell: another
program, or the command that the user ran before.
"""

_KINDS: Final = {kind.__name__: kind for kind in _SENTENCES}

COMMAND_PAUSE: Final = 2.0
"""Seconds until a process runs a helper command again that failed; doubles with each failure in a row.

It is short because what the command reads may be mended without a trace, but a password manager must not prompt each
time a busy program asks. It also applies to `FreshkeyError.found_here`.
"""

STORE_PAUSE: Final = 1.0
"""Seconds until a store that could not be read is tried again; short, because no request was sent to the provider."""

MAX_STORE_PAUSE: Final = 60.0
"""The longest such pause in seconds: it grows while renewals in the background find the keychain locked."""

_DOUBTFUL: Final = "sign-in-probably-ended"

KEYCHAIN_LOCKED: Final = "keychain-locked"

FROM_A_COPY: Final = "for example from a copy of this store"


@frozen
class Failure:
    """A failed attempt, and until when it holds back the next one.

    Attributes:
        error: What is raised again.
        found_at: When it was found, in elapsed seconds.
        retry_at: When the pause ends, in elapsed seconds; infinite if checking again costs nothing.
        subject: What the attempt was about, if looking at it again costs nothing: a different subject ends the pause.
        count: Failed attempts in a row in this process.
        background: No one waited, and for a caller who waits it is tried again: the keychain may then prompt, and what
            failed on this machine may have been mended.
        generation: The highest generation that any process had saved then: a newer one ends the pause. Infinite if not.
        in_store: The intent in the store keeps the distance to the next request, so the store is read each time.
    """

    error: FreshkeyError
    found_at: float
    retry_at: float
    subject: str | None = None
    count: int = 1
    background: bool = False
    generation: float = math.inf
    in_store: bool = False

    @property
    def pause(self) -> float:
        """Seconds for which it holds back the next attempt."""
        return self.retry_at - self.found_at

    def holds_back(self, now: float, *, background: bool) -> bool:
        """Return whether the pause holds back an attempt at `now`, in elapsed seconds.

        `background` means that no caller waits for the attempt.
        """
        # After `LoginRequired`, checking for a new sign-in takes one read of the store, not a request.
        if math.isinf(self.retry_at) or self.retry_at <= now or self.in_store:
            return False
        return background or not self.background

    def again(self, now: float) -> FreshkeyError:
        """Return the error to raise at `now`, in elapsed seconds, while the pause lasts."""
        wait = self.retry_at - now
        error = self.error.for_another_caller()
        error.message = f"{error.message} ({_when(now - self.found_at, wait)})"
        if isinstance(error, TransientError) or (isinstance(error, LoginRequired) and error.doubtful):
            error.retry_after = wait
        return error


def without_request(error: FreshkeyError, before: Failure | None, now: float, *, background: bool) -> Failure:
    """Return the failure of an attempt for which no request was sent.

    Args:
        error: What it failed with.
        before: The failure before it, if any.
        now: Elapsed seconds.
        background: No caller waited for it.
    """
    pause = math.inf if isinstance(error, LoginRequired) else STORE_PAUSE
    if background and error.code == KEYCHAIN_LOCKED and before is not None and before.background:
        pause = min(MAX_STORE_PAUSE, 2 * before.pause)
    # What could not even be looked at is looked at again: a configuration file may have been fixed.
    return Failure(error, now, now + pause, "" if isinstance(error, ConfigurationError) else None)


def kind_of(error: FreshkeyError) -> str:
    """Return the name of the class that other processes raise for `error`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind in _SENTENCES)


def is_request(hints: Hints) -> bool:
    """Return whether the shared failure is one of a request, which must not be repeated too soon."""
    return issubclass(_kind(hints), TransientError | OutcomeUnknown) and not is_of_command(hints.error_code)


def is_of_command(code: str | None) -> bool:
    """Return whether an error with this code is the failure of a helper command."""
    return code in OF_COMMANDS


def is_mended_here(error: FreshkeyError) -> bool:
    """Return whether the user may end the failure at any moment on this machine, without a trace."""
    return isinstance(error, StoreError) or error.found_here or is_of_command(error.code)


def is_for_user(hints: Hints) -> bool:
    """Return whether the shared failure of another tool's source is one that only the user can end.

    They sign in there, or mend what a helper command reads. A doubtful refusal is not one of these: time may end it.
    """
    return is_of_command(hints.error_code) or (needs_user(hints) and hints.error_code != _DOUBTFUL)


def is_of_surroundings(hints: Hints) -> bool:
    """Return whether the shared failure may come from what surrounds the process that found it, such as a web filter.

    It holds back only those who waited for that attempt, until it is the third failure in a row.
    """
    kind, third = _kind(hints), 3
    return hints.failures < third and (kind is IntermediaryAnswer or hints.error_code == _DOUBTFUL)


def longest_pause(error: FreshkeyError, count: int) -> float:
    """Return the maximum seconds until a caller's process looks again after `count` failures in a row."""
    if error.found_here or is_of_command(error.code):
        return COMMAND_PAUSE * 2.0 ** min(count - 1, 10)
    return math.inf


def needs_user(hints: Hints) -> bool:
    """Return whether the shared failure is a `LoginRequired`."""
    return issubclass(_kind(hints), LoginRequired)


def shared_error(hints: Hints, hint: str) -> FreshkeyError:
    """Return the error for a failure that another process shared."""
    kind = _kind(hints)
    return kind(_sentence(kind, hints.error_code), code=hints.error_code, hint=hint)


def hint_to_retry(profile: str, detected: Detected | None) -> str:
    """Return what to do about a failure that another process shared; `detected` is what it found in another tool."""
    command = f"freshkey refresh {profile}"
    if detected is None:
        return f"Wait, or run: {command}"
    return f"Check the {detected.kind} from {detected.origin}, then run: {command}"


def describe_shared(hints: Hints, now: Moment, *, owned: bool) -> str | None:
    """Return what the last attempt of any process failed with, and when; None if it did not fail.

    `owned` is whether it was made with a source whose credential freshkey stores.
    """
    if hints.kind is None:
        return None
    sentence = _sentence(_kind(hints), hints.error_code)
    if hints.attempted is None or hints.attempted.boot_id != now.boot_id:
        return sentence
    # What another tool keeps is looked at again by the next command: only a request has to wait.
    looks_again = is_of_surroundings(hints) or not (owned or is_request(hints))
    wait = 0.0 if looks_again else hints.seconds_to_wait(now)
    return f"{sentence} ({_when(now.elapsed - hints.attempted.elapsed, wait)})"


def describe_refusal(code: str | None, intent: Intent | None = None) -> str:
    """Return why a stored sign-in is not used, from the code of its final refusal and what the store knows."""
    if code == "renewal-response-lost" and intent is not None:
        return f"the response to the renewal started at {intent.noted.utc:%Y-%m-%d %H:%M:%S} UTC was lost"
    message = "the sign-in can no longer be renewed"
    return f"{message}: {_words(code)}" if code and code != LoginRequired.code else message


def describe_end(source: Source | None) -> str:
    """Return what has happened to a stored credential that came without a refresh token, once it has expired."""
    return f"{in_words(source)} has expired and cannot be renewed"


def in_words(source: Source | None) -> str:
    """Return what is stored for an owned source, such as a sign-in."""
    return f"the {source.title}" if source is not None and source.pasted else "the sign-in"


def refused_hint(profile: str, credential: Credential, now: Moment, elsewhere: str = FROM_A_COPY) -> str:
    """Return the hint for a single-use refresh token that was refused although no response to it was lost."""
    why = f"The sign-in was revoked at the provider, or its refresh token was used elsewhere, {elsewhere}"
    ends_at = credential.sign_in_ends_at
    if ends_at is not None and expiry.seconds_left(credential.obtained, credential.renewable_for, now) <= 0:
        why = f"The sign-in ended at {ends_at:%Y-%m-%d %H:%M:%S} UTC, as the provider had announced"
    return f"{why}. Run: {sign_in_command(profile)}"


def _kind(hints: Hints) -> type[FreshkeyError]:
    # A newer version may write a class that this one does not know; waiting is always allowed.
    return _KINDS.get(hints.kind or "", TransientError)


def _sentence(kind: type[FreshkeyError], code: str | None) -> str:
    return _SENTENCES[kind] + (f": {_words(code)}" if code and code != kind.code else "")


def _words(code: str) -> str:
    return code.replace("-", " ")


def _when(ago: float, wait: float) -> str:
    found = f"found {duration(ago)} ago"
    return f"{found}; next try in {duration(wait, up=True)}" if 0 < wait < math.inf else found
