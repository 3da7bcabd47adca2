"""When a single-use refresh token that has been sent before may be sent again: pure decisions about its intent.

=====================================  ================================================================================
the last sending                       the token is sent again
=====================================  ================================================================================
was answered by something in between   while the access token lives: ten minutes later, or when it expires; then after
                                       the pauses of any transient failure
the same, and the answers may have     twice at most while the access token lives; once it has expired and three such
been the server's                      answers came, each ten minutes or more after the previous one: hourly; the user
                                       is asked to sign in
was refused, perhaps in between        once it has expired: three such refusals, counted in the same way, end the
                                       pauses of a transient failure; the user is asked to sign in
was cut off with its process           at once, while the server may repeat its response
was lost                               while the server may repeat its response, three times in all: at once, and once
                                       more some seconds later
either, but later, and nothing is      once, at once; after that as the next row
known about the server
either, but later, or the server is    when the access token has expired, and after that at growing distances, up to an
known to be strict                     hour; the user is asked to sign in
was rejected for good                  never
=====================================  ================================================================================

See docs/decisions.md, "How often a refresh token is sent again".
"""

from __future__ import annotations

import math
from typing import Final

from attrs import evolve, frozen

from freshkey import expiry
from freshkey._http.client import DEADLINE
from freshkey._renewal.retry import LOST_ANSWER_RETRIES, LOST_ANSWER_WINDOW
from freshkey.clock import Moment
from freshkey.errors import IntermediaryAnswer
from freshkey.model.storage import Intent


MAX_SENDINGS: Final = 1 + LOST_ANSWER_RETRIES
"""Sendings without a response, while the server may repeat it; one that was cut off with its process is always made up
for, because its response may well have arrived."""

IN_BETWEEN_PAUSE: Final = 600.0
"""Seconds between two sendings that something in between answered, while the access token lives: if the server did see
the token, the next sending might end the access token, too."""

MIN_DISTANCE: Final = 600.0
MAX_DISTANCE: Final = 3600.0
"""Shortest and longest distance in seconds between sendings that have little hope."""

DOUBTS_UNTIL_ENDED: Final = 3

_MARGIN: Final = 0.2


@frozen(kw_only=True)
class Situation:
    """What decides, beside the intent.

    Attributes:
        now: The current reading of both clocks.
        alive_for: Seconds until the access token expires, negative after that; minus infinity if it was rejected or has
            no lifetime.
        repeats_for: `Description.repeats_for`.
        floor: Minimum seconds between two attempts.
        by_user: The user asked for this renewal.
    """

    now: Moment
    alive_for: float
    repeats_for: float | None = None
    floor: float = 0.0
    by_user: bool = False


def window(repeats_for: float | None) -> float:
    """Return for how many seconds after the first sending the token may be sent again, hoping for the same response.

    A declared time ends a little early, because a request takes some time to arrive.
    """
    return LOST_ANSWER_WINDOW if repeats_for is None else repeats_for - min(DEADLINE, _MARGIN * repeats_for)


def seconds_to_wait(intent: Intent, situation: Situation) -> float:
    """Return the seconds until the token of an intent may be sent again; zero or less if it may be sent now."""
    if probably_refused(intent, situation):
        return 0.0 if situation.by_user else MAX_DISTANCE - _since(intent.answered_at, situation.now)
    if not intent.attempts or _may_be_repeated(intent, situation):
        return 0.0 if situation.by_user else _after_intermediary(intent, situation)
    return _without_hope(intent, situation)


def awaits_expiry(intent: Intent, situation: Situation) -> bool:
    """Return whether a token whose response was lost waits for the access token, which sending it might end."""
    return intent.attempts > 0 and situation.repeats_for is not None and situation.alive_for > 0


def probably_refused(intent: Intent, situation: Situation) -> bool:
    """Return whether what seemed to be answers of something in between were probably the server's refusal."""
    return situation.alive_for <= 0 and intent.doubts >= DOUBTS_UNTIL_ENDED


def retries(earlier: Intent | None, situation: Situation) -> int:
    """Return how many lost responses the coming attempt may retry by itself."""
    sendings = earlier.attempts if earlier is not None else 0
    if sendings and situation.repeats_for is None:
        return 0
    hopeful = window(situation.repeats_for) > 0 and (not earlier or not sendings or _in_window(earlier, situation))
    return max(0, LOST_ANSWER_RETRIES - sendings) if hopeful else 0


def retry_budget(earlier: Intent | None, situation: Situation) -> float:
    """Return the seconds within which they are made."""
    age = _since(earlier.noted, situation.now) if earlier is not None and earlier.attempts else 0.0
    return min(LOST_ANSWER_WINDOW, window(situation.repeats_for) - age)


def answered_in_between(intent: Intent, error: IntermediaryAnswer, now: Moment) -> Intent:
    """Return the intent after such an answer."""
    intent = evolve(intent, outcome="in-between", answered_at=now)
    if not error.may_be_refusal or _since(intent.doubted_at, now) < IN_BETWEEN_PAUSE:
        return intent
    return evolve(intent, doubts=intent.doubts + 1, doubted_at=now)


def refused_in_doubt(intent: Intent, situation: Situation) -> Intent:
    """Return the intent after a refusal in words that may be those of something in between."""
    doubted = answered_in_between(intent, IntermediaryAnswer("a refusal", may_be_refusal=True), situation.now)
    # Words are the server's more often than silence is: no second sending while it might end the access token.
    least = DOUBTS_UNTIL_ENDED - 1 if situation.alive_for > 0 else 0
    return evolve(doubted, doubts=max(doubted.doubts, least))


def _may_be_repeated(intent: Intent, situation: Situation) -> bool:
    if _in_window(intent, situation):
        return intent.outcome != "lost" or intent.attempts < MAX_SENDINGS
    return situation.repeats_for is None and intent.attempts == 1


def _in_window(intent: Intent, situation: Situation) -> bool:
    length = window(situation.repeats_for)
    return length > 0 and _since(intent.noted, situation.now) <= length


def _after_intermediary(intent: Intent, situation: Situation) -> float:
    if intent.outcome != "in-between" or situation.alive_for <= 0:
        return 0.0
    # A response was lost before, too: the server may repeat it now, but not in ten minutes.
    if intent.attempts and _in_window(intent, situation):
        return 0.0
    return min(IN_BETWEEN_PAUSE - _since(intent.answered_at, situation.now), situation.alive_for)


def _without_hope(intent: Intent, situation: Situation) -> float:
    """Return the wait for a token that was sent as often as could be hoped for; such a sign-in is not given up."""
    if situation.by_user and not awaits_expiry(intent, situation):
        return 0.0
    if situation.alive_for > 0:
        return situation.alive_for
    since_sent = _since(intent.last_sent or intent.noted, situation.now)
    if math.isinf(situation.alive_for):
        before = _since(intent.noted, situation.now)
        hopeful = intent.attempts == 1
    else:
        before = -situation.alive_for
        hopeful = since_sent > before
    if hopeful or math.isinf(since_sent):
        return situation.floor - since_sent
    return min(max(before - since_sent, MIN_DISTANCE), MAX_DISTANCE) - since_sent


def _since(then: Moment | None, now: Moment) -> float:
    """Return the seconds since `then`; infinite if that is unknown, or if the wall clock was set back across boots."""
    if then is None:
        return math.inf
    age = expiry.seconds_since(then, now)
    return age if age >= 0 else math.inf
