"""State that processes share between attempts to renew: pauses, and final refusals.

All of it is in the hints file next to the lock, so that processes that waited for the lock do not repeat a failure.
"""

from __future__ import annotations

from attrs import evolve, frozen

from freshkey import expiry
from freshkey._interprocess.hints import Hints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.reading import Reading
from freshkey._renewal.retry import attempt_floor, pause_after_failure
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    StoreError,
    TransientError,
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

    def reason_to_wait(
        self, winner: Source | None, refused: Credential | None
    ) -> tuple[TransientError | LoginRequired, float] | None:
        """Return why `winner` may not be tried yet, and for how many seconds; None if it may."""
        hints = self.context.hints.read()
        wait = hints.seconds_to_wait(self.context.clock.now())
        # A pause applies to one source: another tool's credential need not wait for the sign-in's server.
        if wait <= 0 or winner is None or hints.source != winner.id:
            return None
        # In bare mode each process is given its own credential: a failure elsewhere does not apply to this one.
        if hints.error and not self.context.profile.bare:
            if hints.error != hints.sign_in_needed:
                return TransientError(hints.error, retry_after=wait, hint=hints.hint, code=hints.error_code), wait
            # For an owned source `heed_refusal` decides, because it compares generations.
            return None if winner.owned else (LoginRequired(hints.error, hint=hints.hint, code=hints.error_code), wait)
        # Attempt floor (TIM-4): a credential that is refused right after it was obtained is not replaced in a loop.
        # A credential that another process got from another tool is not shared, so it is no reason to wait.
        if refused is not None and (winner.owned or self._age(refused) < attempt_floor(refused.lifetime)):
            message = "the provider rejected a credential that was obtained only seconds ago"
            hint = f"Try again in {wait:.0f} s; if it happens again, run: freshkey whoami {self.context.profile.name}"
            return TransientError(message, retry_after=wait, hint=hint, code="renewal-paused"), wait
        return None

    def _age(self, credential: Credential) -> float:
        return expiry.seconds_since(credential.obtained, self.context.clock.now())

    def note_failure(self, error: FreshkeyError, reading: Reading) -> float:
        """Record the failure for processes that wait for the lock; return the seconds to the next attempt, or 0."""
        source, hints = reading.winner, self.context.hints.read()
        if isinstance(error, LoginRequired) and (source is None or source.owned):
            return 0.0  # checking whether the user has signed in since costs nothing, and nothing else is tried
        lifetime = reading.stored.lifetime if reading.stored else None
        failures = hints.failures + 1
        retry_after = getattr(error, "retry_after", None)
        pause = pause_after_failure(lifetime, failures, retry_after, self.context.random())
        if source is None or isinstance(error, StoreError):
            return pause  # no request was sent, so other processes need not wait
        # A configuration error is found without a request: once it is fixed, other processes need not wait.
        shared = 0.0 if isinstance(error, ConfigurationError) else pause
        hints = evolve(hints, source=source.id, attempted=self.context.clock.now(), pause=shared, failures=failures)
        if isinstance(error, LoginRequired):
            hints = _with_sign_in_needed(hints, error)
        self.context.hints.write(evolve(hints, error=error.message, error_code=error.code, hint=error.hint))
        return pause

    def note_success(self, newer: Credential) -> None:
        """Record that the last attempt succeeded, and when the next one may be made."""
        hints, now, pause = self.context.hints.read(), self.context.clock.now(), attempt_floor(newer.lifetime)
        hints = evolve(hints, source=newer.source, attempted=now, pause=pause, failures=0)
        self.context.hints.write(evolve(hints, error=None, error_code=None, hint=None))

    def note_refusal(self, error: LoginRequired, reading: Reading) -> None:
        """Record that the stored credential can no longer be renewed."""
        if reading.stored is None or not reading.owned:
            return
        generation = reading.snapshot.generation
        # By generation, so that one saved later by any process starts over.
        # See docs/decisions.md, "A final refusal is remembered by generation".
        self.refusals[generation] = refusal = error.for_another_caller()
        # Stored for the life of the keeper: a cause would keep the frames of the plugin alive, and their variables.
        refusal.__cause__ = None
        refusal.hint = refusal.hint or f"Run: {sign_in_command(self.context.profile.name)}"
        hints = _with_sign_in_needed(self.context.hints.read(), error)
        hints = evolve(hints, error=error.message, error_code=error.code, hint=error.hint)
        self.context.hints.write(evolve(hints, refused_generation=generation))

    def heed_refusal(self, reading: Reading) -> None:
        """Never send a refresh token again that was refused for good (ROT-5): raise the same error again instead.

        Raises:
            LoginRequired: The stored credential was refused, here or in another process.
        """
        generation, hints = reading.snapshot.generation, self.context.hints.read()
        refusal = self.refusals.get(generation)
        if refusal is None and hints.refused_generation == generation and hints.sign_in_needed is not None:
            hint = hints.sign_in_hint or f"Run: {sign_in_command(self.context.profile.name)}"
            refusal = LoginRequired(hints.sign_in_needed, hint=hint, code=hints.sign_in_code)
        if refusal is not None and reading.stored is not None:
            raise refusal.for_another_caller()


def _with_sign_in_needed(hints: Hints, error: LoginRequired) -> Hints:
    return evolve(hints, sign_in_needed=error.message, sign_in_code=error.code, sign_in_hint=error.hint)
