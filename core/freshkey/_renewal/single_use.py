"""Sends a single-use refresh token only as often as is safe: intent first, then the request, then what became of it."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import math
import os
import threading
from collections.abc import Callable

from attrs import Factory, define, evolve, field

from freshkey import _failpoints, expiry
from freshkey._interprocess.exit_hold import ExitHold
from freshkey._renewal import repetition
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import FROM_A_COPY, refused_hint
from freshkey._renewal.retry import LOST_ANSWER_WINDOW, OnRetry, Policy, attempt_floor
from freshkey._renewal.single_flight import process_is_exiting
from freshkey.clock import Moment
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    StoreError,
    TransientError,
    safe_code,
    sign_in_command,
)
from freshkey.model.credential import Credential
from freshkey.model.reason import Reason
from freshkey.model.storage import Intent, Snapshot


log = logging.getLogger(__name__)


@define(slots=False)
class SingleUseRefresh:
    """One use of the refresh token in a stored credential.

    Attributes:
        context: Everything about the profile.
        credential: What to renew.
        snapshot: The contents of the store when `credential` was read; its lock is held.
        stop: Returns true once nothing should be retried.
        forced: The user asked, so the request is sent even if calls to the provider's host are paused.
        reason: Why it is renewed; if a server rejected its access token, that is over.
        closing: Once set, nothing is retried, except a lost response.
        hold: Keeps the process from exiting, from before the first request on; after a success, until it is saved.
        on_retry: Is told about each failed request that is retried.
    """

    context: ProfileContext
    credential: Credential
    snapshot: Snapshot
    stop: Callable[[], bool] = process_is_exiting
    forced: bool = False
    reason: Reason = Reason.DUE
    closing: threading.Event | None = None
    on_retry: OnRetry | None = None
    hold: ExitHold = field(default=Factory(lambda self: ExitHold(self.context.profile.label), takes_self=True))
    _intent: Intent | None = field(init=False, default=None)
    _sent: bool = field(init=False, default=False)
    _lost: int = field(init=False, default=0)

    def renew(self) -> Credential:
        """Return the newer credential; nothing is saved yet.

        Raises:
            LoginRequired: The provider rejected the token, now or earlier; or the sign-in has probably ended
                (`LoginRequired.retry_after`).
            TransientError: Try again later; the token was not spent, unless an earlier response was lost.
            OutcomeUnknown: The response was lost, or something in between answered; a later rotation may send the token
                again.
            ProviderRefused: The provider rejected the configuration.
            StoreError: The store cannot be written, so the token was not sent.
        """
        earlier = self._earlier
        if earlier is not None:
            self._must_be_allowed(earlier)
        situation = self._situation()
        policy = Policy(unknown_answers=repetition.retries(earlier, situation))
        if policy.unknown_answers:
            policy = evolve(policy, budget=repetition.retry_budget(earlier, situation), spread=True)
        self._intend()
        try:
            forced = self.forced or self._sendings_before > 0
            return self.context.with_retry(
                self._send,
                policy,
                stop=self.stop,
                forced=forced,
                closing=self.closing,
                on_retry=self.on_retry,
                unreported=self.context.hosts_of(self.credential.source),
            )
        except FreshkeyError as error:
            settled = self._settled(error)
            self.hold.close()
            if settled is error:
                raise
        raise settled

    def seconds_to_wait(self) -> float:
        """Return the seconds until the token may be sent again; zero or less if only the usual pauses apply."""
        intent = self._intent or self._earlier
        return 0.0 if intent is None else self._wait(intent, self._situation())

    def _wait(self, intent: Intent, situation: repetition.Situation) -> float:
        wait = repetition.seconds_to_wait(intent, situation)
        if situation.by_user or not _was_doubted(intent):
            return wait
        # The server may have refused the token: sending it again might end the access token, too.
        return max(wait, situation.alive_for)

    # --- before the request -----------------------------------------------------------------------------------

    @functools.cached_property
    def _earlier(self) -> Intent | None:
        """What is known about earlier requests with this token."""
        earlier, token_hash = self.snapshot.intent, self._token_hash()
        # In constant time, like every comparison of what is derived from a secret.
        if earlier is not None and hmac.compare_digest(earlier.token_hash, token_hash):
            return earlier
        if not self.snapshot.damaged:
            return None
        # The newer record is lost, so this token was spent at an unknown time, and there is one retry. The stand-in for
        # its intent is backdated, so that it never counts as recent enough for a second one (ROT-6).
        now, longer = self.context.clock.now(), LOST_ANSWER_WINDOW + 1.0
        noted = evolve(now, wall=now.wall - longer, elapsed=now.elapsed - longer)
        return evolve(self._first(now), noted=noted, outcome="lost")

    def _first(self, now: Moment) -> Intent:
        generation = self.snapshot.generation + 1
        return Intent(generation=generation, token_hash=self._token_hash(), noted=now, pid=os.getpid())

    @property
    def _sendings_before(self) -> int:
        return self._earlier.attempts if self._earlier is not None else 0

    def _must_be_allowed(self, earlier: Intent) -> None:
        if earlier.refused is not None:
            raise self._refused_before(earlier)
        if (wait := self.seconds_to_wait()) > 0:
            raise self._too_early(earlier, wait)

    def _intend(self) -> None:
        """Record that the token is about to be spent.

        It is written before the request because nothing can be written after a crash: it proves that the store is
        writable (ROT-3), and shows the next process that this token may already be spent (ROT-7).
        """
        self.hold.sending()  # first: nothing may be sent whose answer the interpreter does not wait for
        now, earlier = self.context.clock.now(), self._earlier
        intent = evolve(earlier or self._first(now), attempts=self._sendings_before + 1, pid=os.getpid())
        # The time of the first sending is kept: a server repeats its response for so long after that.
        self._write(evolve(intent, noted=intent.noted if self._sendings_before else now))
        _failpoints.hit("intent_written")

    @property
    def _written(self) -> Intent:
        """The intent that is in the store during the request."""
        return self._intent or self._first(self.context.clock.now())

    def _write(self, intent: Intent) -> None:
        intent = evolve(intent, outcome="unanswered", last_sent=self.context.clock.now())
        self.context.store.intend(intent)
        self._intent = intent

    def _situation(self) -> repetition.Situation:
        now, lifetime = self.context.clock.now(), self.credential.lifetime
        alive_for = -math.inf
        if lifetime is not None and self.reason is not Reason.REFUSED:
            alive_for = expiry.seconds_left(self.credential.obtained, lifetime, now)
        return repetition.Situation(
            now=now,
            alive_for=alive_for,
            repeats_for=self.context.description.repeats_for,
            floor=attempt_floor(lifetime),
            by_user=self.forced,
        )

    # --- the request ------------------------------------------------------------------------------------------

    def _send(self) -> Credential:
        if self._sent:
            self.hold.sending()
        self._sent = True
        if self._lost and self.context.description.repeats_for is not None:
            self._write(evolve(self._written, attempts=self._sendings_before + self._lost + 1))
        try:
            newer = self.context.hooks.refresh(
                self.context.profile, self.credential, self.context.reporter, self.reason
            )
        except IntermediaryAnswer:
            raise
        except (OutcomeUnknown, PluginBroken):
            # A plugin that crashed may have sent the token before: assume that it did.
            self._lost += 1
            raise
        _failpoints.hit("after_refresh")
        return newer

    # --- after a failure --------------------------------------------------------------------------------------

    def _settled(self, error: FreshkeyError) -> FreshkeyError:
        """Record how the attempt ended, and return the error to raise."""
        if isinstance(error, LoginRequired) and not error.unsent:
            return self._doubted(error) if error.doubtful else self._refused(error)
        if isinstance(error, IntermediaryAnswer):
            return self._answered_in_between(error)
        if self._lost:
            self._record(evolve(self._after_losses(), outcome="lost"))
        elif isinstance(error, LoginRequired | TransientError | ProviderRefused):
            self._take_back()
        else:
            self._record(evolve(self._written, outcome="lost"))
        if isinstance(error, LoginRequired):
            error.hint = error.hint or f"Run: {sign_in_command(self.context.profile.word)}"
        return error

    def _refused(self, error: LoginRequired) -> LoginRequired:
        # In the store, where it also reaches processes that cannot read the hints (ROT-5).
        if self._sendings_before or self._lost:
            ended = self._ended(self._written)
            self._record(evolve(self._written, refused=ended.code))
            return ended
        self._record(evolve(self._written, refused=safe_code(error)))
        # No response was lost, so the cause is outside this store.
        elsewhere = FROM_A_COPY
        if self._written.answered_at is not None:
            elsewhere = f"or when something in between answered at {_utc(self._written.answered_at)}"
        now = self.context.clock.now()
        error.hint = refused_hint(self.context.profile.word, self.credential, now, elsewhere)
        return error

    def _doubted(self, error: LoginRequired) -> LoginRequired:
        """Record a refusal that may not be the server's: the token is sent again once there is nothing to lose."""
        situation = evolve(self._situation(), by_user=False)
        intent = repetition.refused_in_doubt(self._after_losses(), situation)
        self._record(intent)
        wait = self._wait(intent, situation)
        error.retry_after = wait if wait > 0 else None  # None leaves it to the usual pauses
        error.code, error.hint = "sign-in-probably-ended", f"Run: {sign_in_command(self.context.profile.word)}"
        return error

    def _answered_in_between(self, error: IntermediaryAnswer) -> FreshkeyError:
        intent = repetition.answered_in_between(self._after_losses(), error, self.context.clock.now())
        self._record(intent)
        situation = evolve(self._situation(), by_user=False)
        if repetition.probably_refused(intent, situation):
            return self._too_early(intent, self._wait(intent, situation))
        return error

    def _after_losses(self) -> Intent:
        """Return the intent without the last sending, unless its response was lost."""
        if self._lost:
            # Where nothing is declared, all that an attempt sends counts once.
            lost = 1 if self.context.description.repeats_for is None else self._lost
            return evolve(self._written, attempts=self._sendings_before + lost)
        return self._earlier or evolve(self._written, attempts=0, last_sent=None)

    def _take_back(self) -> None:
        """Restore the intent from before the attempt."""
        if self._earlier is not None:
            self._record(self._earlier)
            return
        try:
            self.context.store.withdraw(self._written)
            self._intent = None
        except StoreError as error:
            self._cannot_record(error)

    def _record(self, intent: Intent) -> None:
        try:
            self.context.store.intend(intent)
            self._intent = intent
        except StoreError as error:
            self._cannot_record(error)

    def _cannot_record(self, error: StoreError) -> None:
        # The intent from before the request stays, and the next attempt is only more cautious.
        log.debug("%s: cannot update the intent: %s [%s]", self.context.profile.label, error.message, error.code)

    # --- errors -----------------------------------------------------------------------------------------------

    def _too_early(self, intent: Intent, wait: float) -> FreshkeyError:
        """Return the error for a token that may not be sent for another `wait` seconds."""
        situation, name = self._situation(), self.context.profile.word
        if repetition.probably_refused(intent, situation):
            probable = LoginRequired(
                "the renewal was refused, though perhaps not by the provider, so the sign-in has probably ended",
                hint=f"Run: {sign_in_command(name)}",
                code="sign-in-probably-ended",
            )
        elif intent.attempts and not repetition.awaits_expiry(intent, situation):
            probable = self._lost_error(intent, "the sign-in has probably ended")
        else:
            return self._postponed(intent)
        probable.retry_after = wait
        return probable

    def _postponed(self, intent: Intent) -> TransientError:
        if intent.attempts:
            what, when = "the response to the renewal was lost", "only when the access token has expired"
        else:
            what, when = "something between this machine and the provider answered the renewal", "when the access token"
            when += " has expired" if _was_doubted(intent) else " has expired, at the latest in ten minutes"
        return TransientError(
            f"{what}; the refresh token is sent again {when}, because that might end the sign-in",
            hint=f"Use the access token until then; to renew it now, run: {sign_in_command(self.context.profile.word)}",
            code="renewal-postponed",
        )

    def _refused_before(self, intent: Intent) -> LoginRequired:
        if intent.refused == "renewal-response-lost":
            return self._ended(intent)
        return LoginRequired(
            "the provider has rejected this sign-in",
            hint=f"Run: {sign_in_command(self.context.profile.word)}",
            code=intent.refused,
        )

    def _ended(self, intent: Intent) -> LoginRequired:
        return self._lost_error(intent, "the sign-in has ended")

    def _lost_error(self, intent: Intent, so: str) -> LoginRequired:
        return LoginRequired(
            f"the response to the renewal started at {_utc(intent.noted)} was lost, so {so}",
            hint=f"Run: {sign_in_command(self.context.profile.word)}",
            code="renewal-response-lost",
        )

    def _token_hash(self) -> str:
        """Return a keyed hash that identifies the refresh token and reveals nothing else about it."""
        secret = self.credential.renewal_secret
        key = f"freshkey intent {self.context.profile.provider} {self.context.profile.key}"
        message = secret.reveal() if secret is not None else ""
        return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def _was_doubted(intent: Intent) -> bool:
    """Return whether the last response may well have been the server's refusal."""
    return intent.outcome == "in-between" and intent.doubts >= repetition.DOUBTS_UNTIL_ENDED - 1


def _utc(moment: Moment) -> str:
    return f"{moment.utc:%Y-%m-%d %H:%M:%S} UTC"
