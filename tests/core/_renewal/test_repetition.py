"""When a refresh token that has been sent may be sent again, decided from its intent alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve

from freshkey._renewal.repetition import (
    Situation,
    answered_in_between,
    probably_refused,
    refused_in_doubt,
    retries,
    retry_budget,
    seconds_to_wait,
    window,
)
from freshkey.clock import Moment
from freshkey.errors import IntermediaryAnswer
from freshkey.model.storage import Intent


PAGE = IntermediaryAnswer("a page")
BLANK = IntermediaryAnswer("an empty response", may_be_refusal=True)


def at(seconds: float, boot: str = "boot") -> Moment:
    return Moment(wall=1.5e9 + seconds, elapsed=seconds, boot_id=boot)


def intent(attempts: int = 1, *, first: float = 0.0, last: float = 0.0, **fields: Any) -> Intent:
    """Return an intent whose sendings that count were made at `first` and, most recently, at `last`."""
    lost = Intent(generation=2, token_hash="00ff", noted=at(first), pid=1, attempts=attempts, outcome="lost")
    return evolve(lost, last_sent=at(last), **fields)


def wait(of: Intent, now: float, *, expires: float = 3000.0, **situation: Any) -> float:
    return seconds_to_wait(of, Situation(now=at(now), alive_for=expires - now, **situation))


# --- answers of something in between ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expires", "expected"),
    [
        (101, 3000, 599),
        (699, 3000, 1),
        (700, 3000, 0),
        (101, 300, 199),
        (300, 300, 0),
        (101, 50, 0),
    ],
)
def test_in_between_is_sent_again_in_ten_minutes_or_when_the_access_token_expires(
    now: float, expires: float, expected: float
) -> None:
    answered = intent(0, outcome="in-between", answered_at=at(100))
    assert wait(answered, now, expires=expires) == expected
    assert wait(answered, now, expires=expires, by_user=True) == 0
    assert wait(answered, now, expires=expires, repeats_for=0.0) == expected


def test_rejected_access_token_is_not_spared() -> None:
    answered = intent(0, outcome="in-between", answered_at=at(100))
    assert seconds_to_wait(answered, Situation(now=at(101), alive_for=-math.inf)) == 0


def test_a_page_does_not_delay_the_repetition_of_a_lost_response() -> None:
    assert wait(intent(1, outcome="in-between", answered_at=at(5)), 6) == 0
    assert wait(intent(1, outcome="in-between", answered_at=at(5)), 40) == 565


@pytest.mark.parametrize(("times", "doubts"), [([0], 1), ([0, 599], 1), ([0, 600], 2), ([0, 300, 600, 900, 1200], 3)])
def test_answers_count_as_refusals_only_ten_minutes_apart(times: list[float], doubts: int) -> None:
    answered = intent(0)
    for time in times:
        answered = answered_in_between(answered, BLANK, at(time))
        answered = answered_in_between(answered, PAGE, at(time))
    assert answered.doubts == doubts
    assert probably_refused(answered, Situation(now=at(1200), alive_for=-1)) is (doubts == 3)
    assert not probably_refused(answered, Situation(now=at(1200), alive_for=1))


@pytest.mark.parametrize(("times", "doubts"), [([0], 1), ([0, 599], 1), ([0, 600], 2), ([0, 300, 600, 900, 1200], 3)])
def test_doubtful_refusals_count_only_ten_minutes_apart(times: list[float], doubts: int) -> None:
    refused = intent(0)
    for time in times:
        refused = refused_in_doubt(refused, Situation(now=at(time), alive_for=0))
    assert (refused.outcome, refused.answered_at, refused.doubts) == ("in-between", at(times[-1]), doubts)


@pytest.mark.parametrize(("before", "doubts"), [(0, 2), (1, 2), (2, 3), (3, 4)])
def test_doubtful_refusal_leaves_one_more_try_while_the_access_token_lives(before: int, doubts: int) -> None:
    refused = refused_in_doubt(intent(0, doubts=before), Situation(now=at(5), alive_for=1))
    assert (refused.doubts, refused.doubted_at) == (doubts, at(5))


def test_probably_refused_token_is_tried_hourly_and_by_the_user() -> None:
    doubtful = intent(0, outcome="in-between", answered_at=at(5000), doubts=3, doubted_at=at(5000))
    assert wait(doubtful, 5001) == 3599
    assert wait(doubtful, 8600) == 0
    assert wait(doubtful, 5001, by_user=True) == 0


# --- lost responses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeats_for", "expected"), [(None, 30), (0.0, 0), (10.0, 8), (30.0, 24), (150.0, 120), (600.0, 570)]
)
def test_declared_window_leaves_time_for_the_request(repeats_for: float | None, expected: float) -> None:
    assert window(repeats_for) == expected


@pytest.mark.parametrize("outcome", ["lost", "unanswered"])
@pytest.mark.parametrize("repeats_for", [None, 60.0])
def test_in_the_window_three_sendings_are_allowed_and_cut_off_ones_are_made_up_for(
    outcome: str, repeats_for: float | None
) -> None:
    for attempts in range(1, 9):
        allowed = wait(intent(attempts, outcome=outcome), 29, repeats_for=repeats_for) <= 0
        assert allowed is (attempts < 3 or outcome == "unanswered")


def test_after_the_window_there_is_one_more_sending_if_nothing_is_declared() -> None:
    assert wait(intent(1), 31) == 0
    assert wait(intent(1, outcome="unanswered"), 31) == 0
    assert wait(intent(2), 31) == 2969
    assert wait(intent(2), 31, by_user=True) == 0


@pytest.mark.parametrize("repeats_for", [0.0, 30.0])
def test_declared_server_is_not_asked_again_before_the_access_token_expires(repeats_for: float) -> None:
    for by_user in (False, True):
        assert wait(intent(1), 31, repeats_for=repeats_for, by_user=by_user) == 2969
    assert wait(intent(1), 3000, repeats_for=repeats_for) <= 0
    assert wait(intent(2, last=3010), 3011, repeats_for=repeats_for, by_user=True) == 0


def test_strict_server_is_not_asked_again_in_the_same_instant() -> None:
    assert wait(intent(1), 0, repeats_for=0.0) == 3000


def test_distances_grow_after_the_access_token_has_expired() -> None:
    sent = [0.0]
    while len(sent) < 7:
        now = sent[-1] + 1
        now += max(0.0, wait(intent(len(sent), last=sent[-1]), now, expires=300.0, repeats_for=0.0))
        sent.append(now)
    assert sent[1:] == [300, 900, 1500, 2700, 5100, 8700]


def test_distances_grow_without_a_known_expiry() -> None:
    over = Situation(now=at(1000), alive_for=-math.inf, repeats_for=0.0, floor=30.0)
    assert seconds_to_wait(intent(1, last=0), over) < 0
    assert seconds_to_wait(intent(1, first=990, last=990), over) == 20
    assert seconds_to_wait(intent(2, last=900), over) == 800
    assert seconds_to_wait(intent(2, last=10), over) < 0


def test_no_sending_follows_another_within_the_floor() -> None:
    assert wait(intent(2, last=2999), 3000, floor=30.0) == 29


@pytest.mark.parametrize("now", [-10.0, 31.0])
def test_intent_of_an_unknown_age_is_not_recent(now: float) -> None:
    """The wall clock was set back and the machine rebooted."""
    rebooted = Situation(now=at(now, boot="another"), alive_for=-1.0, floor=30.0)
    assert seconds_to_wait(intent(1, outcome="unanswered"), rebooted) == 0
    assert seconds_to_wait(evolve(intent(2), last_sent=None), rebooted) <= 0 or now > 0


# --- within one attempt -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeats_for", "sendings", "age", "expected"),
    [
        (None, 0, 0, 2),
        (None, 1, 5, 0),
        (0.0, 0, 0, 0),
        (0.0, 1, 5, 0),
        (60.0, 0, 0, 2),
        (60.0, 1, 5, 1),
        (60.0, 2, 5, 0),
        (60.0, 7, 5, 0),
        (60.0, 1, 49, 0),
    ],
)
def test_retries_within_an_attempt(repeats_for: float | None, sendings: int, age: float, expected: int) -> None:
    situation = Situation(now=at(age), alive_for=100.0, repeats_for=repeats_for)
    assert retries(intent(sendings), situation) == expected
    if not sendings:
        assert retries(None, situation) == expected


@pytest.mark.parametrize(("repeats_for", "age", "budget"), [(None, 0, 30), (600.0, 5, 30), (20.0, 5, 11)])
def test_retries_end_with_the_window(repeats_for: float | None, age: float, budget: float) -> None:
    situation = Situation(now=at(age), alive_for=100.0, repeats_for=repeats_for)
    assert retry_budget(intent(1) if age else None, situation) == budget
