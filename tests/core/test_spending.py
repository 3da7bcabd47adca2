"""How often a refresh token is sent, and what the journal says of it."""

from __future__ import annotations

import os

import pytest
from attrs import evolve

from freshkey.desk import Desk
from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, StoreUnavailable, TransientError
from freshkey.model import Credential, Intent, Snapshot
from freshkey.spending import Spending
from rotating import LOST, World


@pytest.fixture
def desk(world: World) -> Desk:
    """The desk of a profile that was signed in an hour ago."""
    (holding,) = world.signed_in().holdings()
    world.clock.advance(3600)
    return holding.desk


def snapshot(desk: Desk) -> Snapshot:
    return desk.store.load()


def spending(desk: Desk, *, damaged: bool = False, stop: bool = False) -> Spending:
    there = snapshot(desk)
    assert there.record is not None
    assert there.record.payload is not None
    credential: Credential = desk.codec.decode(there.record.payload)
    return Spending(desk, credential, evolve(there, damaged=damaged), stop=lambda: stop)


def intent_of(desk: Desk) -> Intent:
    intent = snapshot(desk).intent
    assert intent is not None
    return intent


def test_the_intent_is_there_while_the_token_is_sent_and_says_no_secret(world: World, desk: Desk) -> None:
    seen: list[Intent] = []
    world.provider.script.append(lambda: seen.append(intent_of(desk)))
    newer = spending(desk).renew()
    assert newer.token is not None
    (intent,) = seen
    assert (intent.generation, intent.attempts, intent.noted) == (2, 1, world.clock.now())
    assert intent.pid == os.getpid()
    assert "rt-1" not in repr(intent)
    assert len(intent.token_hash) == 64
    assert snapshot(desk).intent == intent, "saving the result is what resolves it"


def test_the_hash_tells_tokens_and_profiles_apart(world: World, desk: Desk) -> None:
    one = spending(desk)
    other_profile = evolve(one, desk=evolve(desk, profile=evolve(desk.profile, name="you")))
    world.clock.advance(1)
    newer = evolve(one, credential=world.provider.rotate_elsewhere())
    assert len({one._token_hash(), other_profile._token_hash(), newer._token_hash()}) == 3
    assert one._token_hash() == spending(desk)._token_hash()


def test_a_store_that_does_not_take_the_intent_keeps_the_token_unsent(world: World, desk: Desk) -> None:
    world.store.failing.add("intend")
    with pytest.raises(StoreUnavailable):
        spending(desk).renew()
    assert world.provider.sent == []


@pytest.mark.parametrize("error", [LoginRequired("refused"), ProviderRefused("wrong client")])
def test_a_clear_refusal_leaves_the_store_as_it_was(world: World, desk: Desk, error: Exception) -> None:
    before = world.store.contents
    world.provider.script.append(error)
    with pytest.raises(type(error), match=str(error)):
        spending(desk).renew()
    assert world.store.contents == before


def test_a_lost_answer_is_asked_for_again_at_most_twice(world: World, desk: Desk) -> None:
    world.provider.script.extend([OutcomeUnknown("broke")] * 3)
    with pytest.raises(OutcomeUnknown):
        spending(desk).renew()
    assert len(world.provider.sent) == 3
    assert intent_of(desk).attempts == 1


def test_a_lost_answer_is_not_asked_for_after_thirty_seconds(world: World, desk: Desk) -> None:
    def slow_and_lost() -> None:
        world.clock.advance(31)
        raise OutcomeUnknown("broke")

    world.provider.script.append(slow_and_lost)
    with pytest.raises(OutcomeUnknown):
        spending(desk).renew()
    assert len(world.provider.sent) == 1


def test_nothing_is_asked_again_while_the_process_exits(world: World, desk: Desk) -> None:
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(desk, stop=True).renew()
    assert len(world.provider.sent) == 1


def test_an_open_intent_of_the_same_token_allows_one_more_sending(world: World, desk: Desk) -> None:
    spending(desk)._intend()
    begun = intent_of(desk).noted
    world.clock.advance(500)
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(desk).renew()
    assert len(world.provider.sent) == 1
    assert (intent_of(desk).attempts, intent_of(desk).noted) == (2, begun)
    before = world.store.contents
    with pytest.raises(LoginRequired, match=r"begun at 2026-01-01 01:00:00 UTC was lost.*Run: freshkey login me"):
        spending(desk).renew()
    assert len(world.provider.sent) == 1
    assert world.store.contents == before


def test_within_thirty_seconds_an_open_intent_allows_two_more_sendings(world: World, desk: Desk) -> None:
    """ROT-6: that is when servers with a grace period repeat their answer, and processes may die in a row."""
    spending(desk)._intend()
    for attempts in (2, 3):
        world.clock.advance(10)
        world.provider.script.append(OutcomeUnknown("broke"))
        with pytest.raises(OutcomeUnknown):
            spending(desk).renew()
        assert intent_of(desk).attempts == attempts
    with pytest.raises(LoginRequired, match="was lost"):
        spending(desk).renew()
    assert len(world.provider.sent) == 2


def test_an_open_intent_of_another_token_means_nothing_for_this_one(world: World, desk: Desk) -> None:
    one = spending(desk)
    evolve(one, credential=world.provider.rotate_elsewhere())._intend()
    world.provider.living.add("rt-1")
    spending(desk).renew()
    assert intent_of(desk).attempts == 1


def test_a_refused_retry_is_a_loss_and_stays_on_record(world: World, desk: Desk) -> None:
    spending(desk)._intend()
    world.provider.rotate_elsewhere()
    with pytest.raises(LoginRequired, match="was lost"):
        spending(desk).renew()
    assert intent_of(desk).attempts == 2


def test_a_retry_that_was_not_sent_may_be_made_later(world: World, desk: Desk) -> None:
    spending(desk)._intend()
    before = intent_of(desk)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        spending(desk).renew()
    assert intent_of(desk) == before


def test_a_lost_answer_and_then_a_refusal_is_a_loss(world: World, desk: Desk) -> None:
    world.provider.script.append(LOST)
    with pytest.raises(LoginRequired, match="was lost"):
        spending(desk).renew()
    assert len(world.provider.sent) == 2
    assert intent_of(desk).attempts == 1


@pytest.mark.parametrize("transient_first", [False, True])
def test_the_token_of_a_damaged_store_is_sent_once(world: World, desk: Desk, transient_first: bool) -> None:
    if transient_first:
        world.provider.script.extend([TransientError("no route")] * 4)
        with pytest.raises(TransientError):
            spending(desk, damaged=True).renew()
        assert intent_of(desk).attempts == 1, "not sent, but what was sent before the damage still counts"
        world.provider.sent.clear()
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(desk, damaged=not transient_first).renew()
    with pytest.raises(LoginRequired, match="was lost"):
        spending(desk).renew()
    assert world.provider.sent == ["rt-1"]


def test_an_intent_that_cannot_be_withdrawn_only_makes_the_next_start_careful(world: World, desk: Desk) -> None:
    world.store.failing.add("withdraw")
    world.provider.script.append(ProviderRefused("wrong client"))
    with pytest.raises(ProviderRefused):
        spending(desk).renew()
    assert intent_of(desk).attempts == 1
