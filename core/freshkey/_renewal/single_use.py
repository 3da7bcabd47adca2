"""Sends a single-use refresh token only as often as is safe: intent first, then the request, then the retry rule."""

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


log = logging.getLogger(__name__)

SENDINGS_BEFORE_GIVING_UP: Final = 2
"""A token whose response was lost long ago is sent once more, and then never again."""


@define
class SingleUseRefresh:
    """One use of the refresh token in a stored credential.

    Attributes:
        context: Everything about the profile.
        credential: What to renew.
        snapshot: The contents of the store when `credential` was read; its lock is held.
        stop: Returns true once nothing should be retried.
        forced: The user asked, so the request is sent even if calls to the provider's host are paused.
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
            LoginRequired: The provider rejected the token, or its response was lost for good.
            TransientError: Try again later; the token was not spent, unless an earlier response was lost.
            OutcomeUnknown: The response was lost; the next rotation may send the token once more.
            ProviderRefused: The provider rejected the configuration.
            StoreError: The store cannot be written, so the token was not sent.
        """
        intent = self._intend()
        # After a lost response the same token is sent again within this attempt (ROT-6), unless this attempt is itself
        # such a retry, for an intent that was left behind: then only once.
        policy = Policy(unknown_answers=0) if self._recovering else Policy()
        forced = self.forced or self._recovering
        try:
            return self.context.with_retry(self._send, policy, stop=self.stop, forced=forced)
        except LoginRequired as error:
            if self._recovering or self._unanswered:
                # Keep the intent: it is the only record of the loss.
                raise self._lost(intent) from None
            self._take_back(intent)
            # No response was lost, so the cause is outside this store.
            error.hint = (
                "The sign-in was revoked at the provider, or its refresh token was used elsewhere, "
                f"for example from a copy of this store. Run: {sign_in_command(self.context.profile.name)}"
            )
            raise
        except (TransientError, ProviderRefused):
            # The provider did not spend the token, unless an earlier response for it was lost.
            if not self._unanswered:
                self._take_back(intent)
            raise

    def _intend(self) -> Intent:
        """Record that the token is about to be spent, and return the record.

        It is written before the request because nothing can be written after a crash: it proves that the store is
        writable (ROT-3), and shows the next process that this token may already be spent (ROT-7).
        """
        intent = Intent(
            generation=self.snapshot.generation + 1,
            token_hash=self._token_hash(),
            noted=self.context.clock.now(),
            pid=os.getpid(),
        )
        earlier = self.snapshot.intent
        # In constant time, like every comparison of what is derived from a secret.
        if earlier is not None and hmac.compare_digest(earlier.token_hash, intent.token_hash):
            if earlier.attempts >= self._sendings_allowed(earlier):
                raise self._lost(earlier)
            self._earlier, self._recovering = earlier, True
            intent = evolve(intent, noted=earlier.noted, attempts=earlier.attempts + 1)
        elif self.snapshot.damaged:
            # The newer record is lost, so this token was spent at an unknown time: this is its only retry. The intent
            # is backdated past the window, so that it never counts as recent enough for a second retry (ROT-6).
            now, longer = intent.noted, LOST_ANSWER_WINDOW + 1.0
            intent = evolve(intent, noted=evolve(now, wall=now.wall - longer, elapsed=now.elapsed - longer))
            self._earlier, self._recovering = intent, True
            intent = evolve(intent, attempts=SENDINGS_BEFORE_GIVING_UP)
        self.context.store.intend(intent)
        _failpoints.hit("intent_written")
        return intent

    def _sendings_allowed(self, earlier: Intent) -> int:
        """Return how many times a token may be sent in total, by any process.

        Within 30 s it may be sent twice more, because servers with a grace period repeat their response for about that
        long (ROT-6); later, once more. A server without a grace period ends the sign-in at the first repeat either way.
        """
        age = expiry.seconds_since(earlier.noted, self.context.clock.now())
        return 1 + LOST_ANSWER_RETRIES if 0 <= age <= LOST_ANSWER_WINDOW else SENDINGS_BEFORE_GIVING_UP

    def _send(self) -> Credential:
        try:
            newer = self.context.hooks.refresh(self.context.profile, self.credential, self.context.reporter)
        except (OutcomeUnknown, PluginBroken):
            # A plugin that crashed may have sent the token before: assume that it did.
            self._unanswered = True
            raise
        _failpoints.hit("after_refresh")
        return newer

    def _take_back(self, intent: Intent) -> None:
        """Restore the intent from before the attempt; if that fails, the next attempt is only more cautious."""
        try:
            if self._earlier is not None:
                self.context.store.intend(self._earlier)
            else:
                self.context.store.withdraw(intent)
        except StoreError as error:
            log.debug("%s: cannot remove the intent: %s [%s]", self.context.profile.name, error.message, error.code)

    def _lost(self, intent: Intent) -> LoginRequired:
        when = datetime.fromtimestamp(intent.noted.wall, UTC)
        return LoginRequired(
            f"the response to the renewal started at {when:%Y-%m-%d %H:%M:%S} UTC was lost, so the sign-in has ended",
            hint=f"Run: {sign_in_command(self.context.profile.name)}",
            code="renewal-response-lost",
        )

    def _token_hash(self) -> str:
        """Return a keyed hash that identifies the refresh token and reveals nothing else about it."""
        secret = self.credential.renewal_secret
        key = f"freshkey intent {self.context.profile.provider} {self.context.profile.name}"
        message = secret.reveal() if secret is not None else ""
        return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
