"""Sends a refresh token at most as often as is safe: intent first, then the request, then the rule for lost answers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from attrs import define, evolve, field

from freshkey import _failpoints, expiry
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.retry import LOST_ANSWER_RETRIES, LOST_ANSWER_WINDOW, Policy
from freshkey._renewal.single_flight import process_is_exiting
from freshkey.errors import (
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    StoreError,
    TransientError,
    sign_in_command,
)
from freshkey.model.credential import Credential
from freshkey.model.storage import Intent, Snapshot


log = logging.getLogger("freshkey")

SENDINGS_BEFORE_GIVING_UP: Final = 2
"""A token whose answer was lost long ago is sent once more, and then never again."""


@define
class SingleUseRefresh:
    """One use of the refresh token in a stored credential.

    Attributes:
        context: Everything about the profile.
        credential: What to renew.
        snapshot: What the store held when `credential` was read from it; its lock is held.
        stop: True once nothing should be tried again.
        forced: A person asked, so it is tried even if the provider's host is left alone for now.
    """

    context: ProfileContext
    credential: Credential
    snapshot: Snapshot
    stop: Callable[[], bool] = process_is_exiting
    forced: bool = False
    _earlier: Intent | None = field(init=False, default=None)
    _recovering: bool = field(init=False, default=False)
    _unanswered: bool = field(init=False, default=False)

    def renew(self) -> Credential:
        """Return the newer credential; nothing is saved yet.

        Raises:
            LoginRequired: The provider refused the token, or its answer was lost for good.
            TransientError: Not now; the token is certainly not spent unless an earlier answer was lost.
            OutcomeUnknown: The answer was lost; the next rotation may send the token once more.
            ProviderRefused: The configuration is refused.
            StoreError: The store cannot be written, so the token was not sent.
        """
        intent = self._intend()
        policy = Policy(unknown_answers=0) if self._recovering else Policy()
        forced = self.forced or self._recovering
        try:
            return self.context.with_retry(self._send, policy, stop=self.stop, forced=forced)
        except LoginRequired as error:
            if self._recovering or self._unanswered:
                # The intent stays: it is what remembers the loss.
                raise self._lost(intent) from None
            self._take_back(intent)
            # Nothing here explains why the sign-in has ended.
            error.hint = (
                "It was ended at the provider, or its refresh token was used elsewhere, "
                f"such as from a copy of this store. Run: {sign_in_command(self.context.profile.name)}"
            )
            raise
        except (TransientError, ProviderRefused):
            # Certainly not acted upon, unless an answer to the same token is missing.
            if not self._unanswered:
                self._take_back(intent)
            raise

    def _intend(self) -> Intent:
        """Write down that the token is about to be spent: proof that the store can be written (ROT-3, ROT-7)."""
        intent = Intent(
            generation=self.snapshot.generation + 1,
            token_hash=self._token_hash(),
            noted=self.context.clock.now(),
            pid=os.getpid(),
        )
        earlier = self.snapshot.intent
        if earlier is not None and hmac.compare_digest(earlier.token_hash, intent.token_hash):
            if earlier.attempts >= self._sendings_allowed(earlier):
                raise self._lost(earlier)
            self._earlier, self._recovering = earlier, True
            intent = evolve(intent, noted=earlier.noted, attempts=earlier.attempts + 1)
        elif self.snapshot.damaged:
            # The newer record is lost, so this token was spent already, nobody knows when: this is its one retry, and
            # counts as noted so long ago that no server repeats an answer of then.
            now, longer = intent.noted, LOST_ANSWER_WINDOW + 1.0
            intent = evolve(intent, noted=evolve(now, wall=now.wall - longer, elapsed=now.elapsed - longer))
            self._earlier, self._recovering = intent, True
            intent = evolve(intent, attempts=SENDINGS_BEFORE_GIVING_UP)
        self.context.store.intend(intent)
        _failpoints.hit("intent_written")
        return intent

    def _sendings_allowed(self, earlier: Intent) -> int:
        """Return how often a token may be sent in all, whoever sends it.

        Twice again within 30 s, which is when servers with a grace period repeat their answer (ROT-6), and once again
        at any later time. A server without one ends the sign-in at the first repetition either way.
        """
        age = expiry.seconds_since(earlier.noted, self.context.clock.now())
        return 1 + LOST_ANSWER_RETRIES if 0 <= age <= LOST_ANSWER_WINDOW else SENDINGS_BEFORE_GIVING_UP

    def _send(self) -> Credential:
        try:
            newer = self.context.hooks.refresh(self.context.profile, self.credential, self.context.reporter)
        except (OutcomeUnknown, PluginBroken):
            # A plugin that broke after sending tells nothing of the token.
            self._unanswered = True
            raise
        _failpoints.hit("after_refresh")
        return newer

    def _take_back(self, intent: Intent) -> None:
        """Leave the store as it was before the attempt; failing at that only makes the next start more careful."""
        try:
            if self._earlier is not None:
                self.context.store.intend(self._earlier)
            else:
                self.context.store.withdraw(intent)
        except StoreError as error:
            log.debug("%s: the intent stays: %s", self.context.profile.name, error.message)

    def _lost(self, intent: Intent) -> LoginRequired:
        when = datetime.fromtimestamp(intent.noted.wall, UTC)
        return LoginRequired(
            f"the answer to the renewal begun at {when:%Y-%m-%d %H:%M:%S} UTC was lost, and with it the sign-in",
            hint=f"Run: {sign_in_command(self.context.profile.name)}",
        )

    def _token_hash(self) -> str:
        """Return a keyed hash that recognizes the refresh token and says nothing else."""
        secret = self.credential.renewal_secret
        key = f"freshkey intent {self.context.profile.provider} {self.context.profile.name}"
        message = secret.reveal() if secret is not None else ""
        return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
