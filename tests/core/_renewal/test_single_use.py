"""How often a refresh token is sent, and what its intent records."""

from __future__ import annotations

import os
import time

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.retry import LOST_ANSWER_WINDOW
from freshkey._renewal.single_use import SingleUseRefresh
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
)
from freshkey.model.credential import Credential
from freshkey.model.storage import Intent, Snapshot
from raises_code import raises_code
from rotating import LOST, Listener, Telling, World, break_host, call_host


@pytest.fixture
def context(world: World) -> ProfileContext:
    """The context of a profile that signed in an hour ago."""
    (managed,) = world.signed_in().all_managed()
    world.clock.advance(3600)
    return managed.context


def snapshot(context: ProfileContext) -> Snapshot:
    return context.store.load()


def spending(
    context: ProfileContext, *, damaged: bool = False, stop: bool = False, forced: bool = False
) -> SingleUseRefresh:
    there = snapshot(context)
    assert there.record is not None
    assert there.record.payload is not None
    credential: Credential = context.codec.decode(there.record.payload)
    return SingleUseRefresh(context, credential, evolve(there, damaged=damaged), stop=lambda: stop, forced=forced)


def intent_of(context: ProfileContext) -> Intent:
    intent = snapshot(context).intent
    assert intent is not None
    return intent


def test_intent_exists_during_the_request_and_holds_no_secret(world: World, context: ProfileContext) -> None:
    seen: list[Intent] = []
    world.provider.script.append(lambda: seen.append(intent_of(context)))
    newer = spending(context).renew()
    assert newer.token is not None
    (intent,) = seen
    assert (intent.generation, intent.attempts, intent.noted) == (2, 1, world.clock.now())
    assert intent.pid == os.getpid()
    assert "rt-1" not in repr(intent)
    assert len(intent.token_hash) == 64
    assert snapshot(context).intent == intent, "the intent stays until the result is saved"


def test_the_hash_tells_tokens_and_profiles_apart(world: World, context: ProfileContext) -> None:
    one = spending(context)
    other_profile = evolve(one, context=evolve(context, profile=evolve(context.profile, name="you")))
    world.clock.advance(1)
    newer = evolve(one, credential=world.provider.rotate_elsewhere())
    assert len({one._token_hash(), other_profile._token_hash(), newer._token_hash()}) == 3
    assert one._token_hash() == spending(context)._token_hash()
    without_a_token = evolve(one, credential=evolve(world.provider.rotate_elsewhere(), refresh_token=None))
    assert without_a_token._token_hash() not in {one._token_hash(), newer._token_hash()}


def test_token_is_not_sent_if_the_intent_cannot_be_written(world: World, context: ProfileContext) -> None:
    world.store.failing.add("intend")
    with pytest.raises(StoreUnavailable):
        spending(context).renew()
    assert world.provider.sent == []


@pytest.mark.parametrize("error", [LoginRequired("refused", code="x-ended"), ProviderRefused("no", code="x-client")])
def test_refusal_leaves_the_store_unchanged(world: World, context: ProfileContext, error: FreshkeyError) -> None:
    before = world.store.contents
    world.provider.script.append(error)
    with raises_code(type(error), error.code):
        spending(context).renew()
    assert world.store.contents == before


def test_lost_response_is_retried_at_most_twice(world: World, context: ProfileContext) -> None:
    world.provider.script.extend([OutcomeUnknown("broke")] * 3)
    with pytest.raises(OutcomeUnknown):
        spending(context).renew()
    assert len(world.provider.sent) == 3
    assert intent_of(context).attempts == 1


def test_lost_response_is_not_retried_after_thirty_seconds(world: World, context: ProfileContext) -> None:
    def slow_and_lost() -> None:
        world.clock.advance(31)
        raise OutcomeUnknown("broke")

    world.provider.script.append(slow_and_lost)
    with pytest.raises(OutcomeUnknown):
        spending(context).renew()
    assert len(world.provider.sent) == 1


def test_nothing_is_retried_while_the_process_exits(world: World, context: ProfileContext) -> None:
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(context, stop=True).renew()
    assert len(world.provider.sent) == 1


def test_open_intent_of_the_same_token_allows_one_more_request(world: World, context: ProfileContext) -> None:
    spending(context)._intend()
    started = intent_of(context).noted
    world.clock.advance(500)
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(context).renew()
    assert len(world.provider.sent) == 1
    assert (intent_of(context).attempts, intent_of(context).noted) == (2, started)
    before = world.store.contents
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        spending(context).renew()
    assert "2026-01-01 01:00:00 UTC" in caught.value.message
    assert caught.value.hint == "Run: freshkey login me"
    assert len(world.provider.sent) == 1
    assert world.store.contents == before


def test_open_intent_allows_two_more_requests_within_thirty_seconds(world: World, context: ProfileContext) -> None:
    """ROT-6: servers with a grace period repeat their response within that time, and several processes may die."""
    spending(context)._intend()
    for attempts in (2, 3):
        world.clock.advance(10)
        world.provider.script.append(OutcomeUnknown("broke"))
        with pytest.raises(OutcomeUnknown):
            spending(context).renew()
        assert intent_of(context).attempts == attempts
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert len(world.provider.sent) == 2


@pytest.mark.parametrize(("age", "sendings"), [(0, 2), (30, 2), (31, 1)])
def test_number_of_retries_depends_on_the_age_of_the_intent(
    world: World, context: ProfileContext, age: int, sendings: int
) -> None:
    spending(context)._intend()
    world.clock.advance(age)
    for _ in range(sendings):
        world.provider.script.append(OutcomeUnknown("broke"))
        with pytest.raises(OutcomeUnknown):
            spending(context).renew()
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert len(world.provider.sent) == sendings


def test_intent_from_the_future_does_not_count_as_recent(world: World, context: ProfileContext) -> None:
    """The wall clock was set back and the machine rebooted, so the age of the intent is unknown."""
    spending(context)._intend()
    world.clock.reboot()
    world.clock.step_wall(-10)
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(context).renew()
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()


@pytest.mark.parametrize(("forced", "recovering"), [(False, False), (True, False), (False, True)])
def test_paused_host_is_called_only_if_forced_or_after_a_lost_response(
    world: World, context: ProfileContext, forced: bool, recovering: bool
) -> None:
    if recovering:
        spending(context)._intend()
    break_host(context)
    world.provider.script.append(call_host)
    if forced or recovering:
        spending(context, forced=forced).renew()
    else:
        with raises_code(TransientError, "host-paused"):
            spending(context).renew()


def test_provider_gets_the_profile_and_the_reporter(telling: Telling, world: World) -> None:
    listener = Listener()
    (managed,) = world.signed_in(reporter=listener).all_managed()
    spending(managed.context).renew()
    assert listener.heard == ["renewing for me"]
    assert telling.sent == ["rt-1"]


def test_failpoints_are_reached_in_order(context: ProfileContext, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(_failpoints, "at", passed.append)
    spending(context).renew()
    assert passed == ["intent_written", "after_refresh"]


def test_time_of_a_loss_is_shown_in_utc_in_any_time_zone(
    context: ProfileContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    spending(context, damaged=True)._intend()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with raises_code(LoginRequired, "renewal-response-lost") as caught:
            spending(context).renew()
        assert "2026-01-01 00:59:29 UTC" in caught.value.message
    finally:
        monkeypatch.undo()
        time.tzset()


def test_intent_of_unknown_age_is_backdated_on_both_clocks(world: World, context: ProfileContext) -> None:
    spending(context, damaged=True)._intend()
    noted, now = intent_of(context).noted, world.clock.now()
    assert noted.boot_id == now.boot_id
    assert min(now.wall - noted.wall, now.elapsed - noted.elapsed) > LOST_ANSWER_WINDOW


def test_open_intent_of_another_token_is_ignored(world: World, context: ProfileContext) -> None:
    one = spending(context)
    evolve(one, credential=world.provider.rotate_elsewhere())._intend()
    world.provider.living.add("rt-1")
    spending(context).renew()
    assert intent_of(context).attempts == 1


def test_refused_retry_is_a_loss_and_keeps_the_intent(world: World, context: ProfileContext) -> None:
    spending(context)._intend()
    world.provider.rotate_elsewhere()
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert intent_of(context).attempts == 2


def test_a_retry_that_was_not_sent_may_be_made_later(world: World, context: ProfileContext) -> None:
    spending(context)._intend()
    before = intent_of(context)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        spending(context).renew()
    assert intent_of(context) == before


def test_refusal_after_a_lost_response_is_a_loss(world: World, context: ProfileContext) -> None:
    world.provider.script.append(LOST)
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert len(world.provider.sent) == 2
    assert intent_of(context).attempts == 1


@pytest.mark.parametrize("transient_first", [False, True])
def test_the_token_of_a_damaged_store_is_sent_once(
    world: World, context: ProfileContext, transient_first: bool
) -> None:
    if transient_first:
        world.provider.script.extend([TransientError("no route")] * 4)
        with pytest.raises(TransientError):
            spending(context, damaged=True).renew()
        assert intent_of(context).attempts == 1, "not sent now, but the request before the damage still counts"
        world.provider.sent.clear()
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(context, damaged=not transient_first).renew()
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert world.provider.sent == ["rt-1"]


def test_intent_that_cannot_be_withdrawn_makes_the_next_attempt_cautious(world: World, context: ProfileContext) -> None:
    world.store.failing.add("withdraw")
    world.provider.script.append(ProviderRefused("wrong client"))
    with pytest.raises(ProviderRefused):
        spending(context).renew()
    assert intent_of(context).attempts == 1
