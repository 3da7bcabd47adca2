"""What processes agree on between two attempts to renew: pauses, and refusals that are final.

All of it is in the hints beside the lock, so that those who waited for it do not repeat what has just failed.
"""

from __future__ import annotations

from attrs import evolve, frozen

from freshkey import expiry
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.reading import Reading, login_required
from freshkey._renewal.retry import attempt_floor, pause_after_failure
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, StoreError, TransientError
from freshkey.model.credential import Credential
from freshkey.model.source import Source


@frozen
class Attempts:
    """The attempts of one profile, as all processes see them.

    Attributes:
        context: Everything about the profile.
        refusals: Why only a person can go on, by the generation concerned; hints may be unwritable.
    """

    context: ProfileContext
    refusals: dict[int, str]

    def reason_to_wait(
        self, winner: Source | None, refused: Credential | None
    ) -> tuple[TransientError | LoginRequired, float] | None:
        """Return why no attempt may be made yet of `winner`, and for how many seconds; None if one may."""
        hints = self.context.hints.read()
        wait = hints.seconds_to_wait(self.context.clock.now())
        # A pause is about one source: another tool's credential is not to wait for the sign-in's server.
        if wait <= 0 or winner is None or hints.source != winner.id:
            return None
        # What failed in bare mode was handed to another process, and this one got something else.
        if hints.error and not self.context.profile.bare:
            if hints.error != hints.sign_in_needed:
                return TransientError(hints.error, retry_after=wait, hint=hints.hint), wait
            # Of an owned source the generation says whether that still holds.
            return None if winner.owned else (LoginRequired(hints.error, hint=hints.hint), wait)
        # What another process got from another tool a moment ago is not shared with this one, and no reason to wait.
        if refused is not None and (winner.owned or self._age(refused) < attempt_floor(refused.lifetime)):
            message = "the provider refuses a credential that was obtained a moment ago"
            hint = f"Try again in {wait:.0f} s; if it persists: freshkey whoami {self.context.profile.name}"
            return TransientError(message, retry_after=wait, hint=hint), wait
        return None

    def _age(self, credential: Credential) -> float:
        return expiry.seconds_since(credential.obtained, self.context.clock.now())

    def note_failure(self, error: FreshkeyError, reading: Reading) -> float:
        """Tell the processes that wait for the lock what happened; return the seconds to the next attempt, or 0."""
        source, hints = reading.winner, self.context.hints.read()
        if isinstance(error, LoginRequired) and (source is None or source.owned):
            return 0.0  # looking whether somebody has signed in costs nothing, and nothing else is tried
        lifetime = reading.stored.lifetime if reading.stored else None
        failures = hints.failures + 1
        retry_after = getattr(error, "retry_after", None)
        pause = pause_after_failure(lifetime, failures, retry_after, self.context.random())
        if source is None or isinstance(error, StoreError):
            return pause  # nobody was asked for anything
        # What is wrong with a configuration was found out here, and whoever mended it need not wait.
        shared = 0.0 if isinstance(error, ConfigurationError) else pause
        hints = evolve(hints, source=source.id, attempted=self.context.clock.now(), pause=shared, failures=failures)
        needed = error.message if isinstance(error, LoginRequired) else hints.sign_in_needed
        self.context.hints.write(evolve(hints, error=error.message, hint=error.hint, sign_in_needed=needed))
        return pause

    def note_success(self, newer: Credential) -> None:
        """Say that the last attempt succeeded, and when the next one may be made."""
        hints, now, pause = self.context.hints.read(), self.context.clock.now(), attempt_floor(newer.lifetime)
        hints = evolve(hints, source=newer.source, attempted=now, pause=pause, failures=0, error=None, hint=None)
        self.context.hints.write(hints)

    def note_refusal(self, error: LoginRequired, reading: Reading) -> None:
        """Remember that what is stored cannot be renewed any more."""
        if reading.stored is None or not reading.owned:
            return
        why, generation = error.message, reading.snapshot.generation
        self.refusals[generation] = why
        hints = self.context.hints.read()
        hints = evolve(hints, error=why, hint=error.hint, sign_in_needed=why, refused_generation=generation)
        self.context.hints.write(hints)

    def heed_refusal(self, reading: Reading) -> None:
        """Never send again what was refused for good (ROT-5): raise `LoginRequired` instead."""
        generation, hints = reading.snapshot.generation, self.context.hints.read()
        why = self.refusals.get(generation)
        if why is None and hints.refused_generation == generation:
            why = hints.sign_in_needed
        if why is not None and reading.stored is not None:
            raise login_required(self.context, why)
