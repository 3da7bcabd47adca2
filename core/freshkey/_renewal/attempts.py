"""State that processes share between attempts to renew: pauses, and final refusals.

All of it is in the hints file next to the lock, so that processes that waited for the lock do not repeat a failure.
"""

from __future__ import annotations

import math
from contextlib import suppress

from attrs import evolve, frozen

from freshkey import expiry
from freshkey._interprocess.hints import Hints
from freshkey._renewal import repetition
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import (
    Failure,
    describe_refusal,
    hint_to_retry,
    is_for_user,
    is_of_surroundings,
    is_request,
    kind_of,
    longest_pause,
    needs_user,
    refused_hint,
    shared_error,
)
from freshkey._renewal.reading import Reading, read
from freshkey._renewal.retry import START_PAUSE, attempt_floor, is_starting, pause_after_failure
from freshkey._renewal.subject import subject_of
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    StoreError,
    TransientError,
    safe_code,
    sign_in_command,
)
from freshkey.model.credential import Credential
from freshkey.model.source import Source


@frozen
class Attempts:
    """The attempts to renew one profile, as all processes see them.

    Attributes:
        context: Everything about the profile.
        refusals: Why the user must act, by generation; also kept in memory, because the hints file may not be writable.
    """

    context: ProfileContext
    refusals: dict[int, LoginRequired]

    def reason_to_wait(self, reading: Reading, refused: Credential | None, since: float = -math.inf) -> Failure | None:
        """Return why the winning source may not be tried yet; None if it may.

        Args:
            reading: What was read.
            refused: The credential that a server rejected, or None.
            since: When the caller asked, in elapsed seconds.
        """
        winner, hints, now = reading.winner, self.context.hints.read(), self.context.clock.now()
        wait = hints.seconds_to_wait(now)
        # A pause applies to one source: another tool's credential need not wait for the sign-in's server.
        if wait <= 0 or hints.attempted is None or winner is None or hints.source != winner.id:
            return None
        subject = subject_of(self.context, reading)
        # An attempt with other settings, or with what has changed meanwhile, is not the one that failed.
        if hints.subject not in (None, subject):
            return None
        error = self._shared_failure(reading, hints, since) if hints.kind else self._too_soon(reading, refused)
        if error is None:
            return None
        retry_at, watched = now.elapsed + wait, None if winner.owned else subject
        return Failure(error, hints.attempted.elapsed, retry_at, watched, generation=hints.generation)

    def _shared_failure(self, reading: Reading, hints: Hints, since: float) -> FreshkeyError | None:
        """Return the failure of another process that holds this one back, too, or None."""
        winner = reading.winner
        # In bare mode each process is given its own credential: a failure elsewhere does not apply to this one.
        if winner is None or self.context.profile.bare:
            return None
        found_at = hints.attempted.elapsed if hints.attempted is not None else -math.inf
        if is_of_surroundings(hints) and found_at < since:
            return None
        if winner.owned:
            # A refused sign-in is left to `heed_refusal`, which compares generations.
            hint = hint_to_retry(self.context.profile.word, None)
            return None if needs_user(hints) and hints.pause <= 0 else shared_error(hints, hint)
        # The user who typed a command may just have fixed the cause, and looking at it again is not a request.
        if self.context.at_terminal and not is_request(hints):
            return None
        # Those who waited meanwhile get the failure. Those who come later may have mended it, or must hear from the
        # provider how to: the command that signs in to another tool is in no hints.
        if is_for_user(hints) and found_at < since:
            return None
        return shared_error(hints, hint_to_retry(self.context.profile.word, reading.detected))

    def _too_soon(self, reading: Reading, refused: Credential | None) -> FreshkeyError | None:
        """Return the error for a credential that was refused right after it was obtained, or None.

        Attempt floor (TIM-4): such a credential is not replaced in a loop.
        """
        owned = reading.winner is not None and reading.winner.owned
        # A credential that another process got from another tool is not shared, so it is no reason to wait.
        if refused is None or not (owned or self._age(refused) < attempt_floor(refused.lifetime)):
            return None
        message = "the provider rejected a credential that was obtained only seconds ago"
        hint = f"If it happens again, run: freshkey whoami {self.context.profile.word}"
        return TransientError(message, hint=hint, code="renewal-paused")

    def _age(self, credential: Credential) -> float:
        return expiry.seconds_since(credential.obtained, self.context.clock.now())

    def note_failure(
        self,
        error: FreshkeyError,
        reading: Reading,
        earlier: int = 0,
        *,
        at_most: float = math.inf,
        awaited: bool = True,
    ) -> Failure | None:
        """Record the failure for processes that wait for the lock; return until when it holds back this process.

        Args:
            error: The failure.
            reading: What the attempt was made with.
            earlier: Failed attempts in a row in this process.
            at_most: Longest pause in seconds, unless the server requested more.
            awaited: A caller waits for the attempt; the timer does not.
        """
        source, hints, now = reading.winner, self.context.hints.read(), self.context.clock.now()
        if isinstance(error, LoginRequired) and error.final and (source is None or source.needs_sign_in):
            return None  # checking whether the user has signed in since costs nothing, and nothing else is tried
        shared = hints.failures if source is not None and hints.source == source.id else 0
        count = max(shared, earlier) + 1
        subject = self._subject_after(count, reading)
        lifetime = reading.stored.lifetime if reading.stored else None
        retry_after = getattr(error, "retry_after", None)
        pause = pause_after_failure(lifetime, count, retry_after, self.context.random())
        if is_starting(error):
            at_most = min(at_most, START_PAUSE)  # it may be there a moment later; this attempt has waited for it
        elif awaited:
            at_most = min(at_most, longest_pause(error, count))
        pause = max(min(pause, at_most), retry_after or 0.0)
        if isinstance(error, LoginRequired) and error.doubtful:
            pause = min(pause * 2.0 ** min(count - 1, 10), repetition.MAX_DISTANCE)
            error.code, error.retry_after = "sign-in-probably-ended", pause
        watched = None if source is None or source.owned else subject
        failure = Failure(error, now.elapsed, now.elapsed + pause, watched, count, generation=hints.generation)
        # Without a request, or because of this process's own surroundings, other processes need not wait.
        if source is None or isinstance(error, StoreError) or getattr(error, "local", False):
            return failure
        # What is found without the server, such as a wrong setting, may be mended: others need not wait, but are told.
        if error.found_here or isinstance(error, ConfigurationError) or getattr(error, "unsent", False):
            pause, count = 0.0, shared
        self._share(error, evolve(hints, failures=count), source, subject=subject, pause=pause)
        return failure

    def note_doubt(self, error: LoginRequired, reading: Reading, seconds: float) -> Failure:
        """Record that the sign-in has probably ended; return the failure that lets it be tried again in `seconds`."""
        hints, now = self.context.hints.read(), self.context.clock.elapsed()
        self._share(error, hints, reading.winner)
        return Failure(error, now, now + seconds, generation=hints.generation, in_store=True)

    def _subject_after(self, count: int, reading: Reading) -> str:
        """Return the subject of a failed attempt.

        An attempt may change what it is about, such as the log of a helper command. That ends the pause only once.
        """
        if count > 1 and not reading.owned:
            with suppress(FreshkeyError):
                reading = read(self.context)
        return subject_of(self.context, reading)

    def note_success(self, newer: Credential, subject: str | None = None) -> None:
        """Record that the last attempt succeeded, and when the next one may be made.

        Args:
            newer: The result.
            subject: What the attempt was about, if another subject may be tried at once.
        """
        hints, now, pause = self.context.hints.read(), self.context.clock.now(), attempt_floor(newer.lifetime)
        hints = evolve(hints, source=newer.source, subject=subject, attempted=now, pause=pause, failures=0)
        self.context.hints.write(evolve(hints, kind=None, error_code=None))

    def note_refusal(self, error: LoginRequired, reading: Reading) -> None:
        """Record that the stored credential can no longer be renewed."""
        if reading.stored is None or not reading.owned or not error.final:
            return
        if not reading.stored.renewable:
            return  # a credential that can only expire was not refused
        generation = reading.snapshot.generation
        # By generation, so that one saved later by any process starts over.
        # See docs/decisions.md, "A final refusal is remembered by generation".
        self.refusals[generation] = refusal = error.for_another_caller()
        # Stored for the life of the keeper: a cause would keep the frames of the plugin alive, and their variables.
        refusal.__cause__ = None
        refusal.hint = refusal.hint or f"Run: {sign_in_command(self.context.profile.word)}"
        hints = evolve(self.context.hints.read(), refused_generation=generation, sign_in_code=safe_code(error))
        self._share(error, hints, reading.winner)

    def _share(
        self,
        error: FreshkeyError,
        hints: Hints,
        source: Source | None,
        *,
        subject: str | None = None,
        pause: float = 0.0,
    ) -> None:
        """Write hints with a failure that was found just now, in a source."""
        hints = evolve(hints, source=source.id if source else "", subject=subject, pause=pause)
        hints = evolve(hints, attempted=self.context.clock.now(), kind=kind_of(error), error_code=safe_code(error))
        self.context.hints.write(hints)

    def heed_refusal(self, reading: Reading) -> None:
        """Never send a refresh token again that was refused for good (ROT-5): raise the same error again instead.

        Raises:
            LoginRequired: The stored credential was refused, here or in another process.
        """
        if reading.stored is None:
            return
        generation, hints = reading.snapshot.generation, self.context.hints.read()
        refusal = self.refusals.get(generation)
        if refusal is None and hints.refused_generation == generation:
            code, intent, name = hints.sign_in_code, reading.snapshot.intent, self.context.profile.word
            lost = code == "renewal-response-lost" or not self.context.description.single_use
            hint = f"Run: {sign_in_command(name)}"
            hint = hint if lost else refused_hint(name, reading.stored, self.context.clock.now())
            refusal = LoginRequired(describe_refusal(code, intent), hint=hint, code=code)
        if refusal is not None:
            raise refusal.for_another_caller()
