"""How often a refresh token is sent, and what its intent records."""

from __future__ import annotations

import os
import sys
import time

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.retry import LOST_ANSWER_WINDOW, Policy
from freshkey._renewal.single_use import SingleUseRefresh
from freshkey.errors import (
    IntermediaryAnswer,
    KeeperClosed,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
)
from freshkey.model.credential import Credential
from freshkey.model.storage import Intent, Snapshot
from promises import proves
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


def test_refused_configuration_leaves_the_store_unchanged(world: World, context: ProfileContext) -> None:
    before = world.store.contents
    world.provider.script.append(ProviderRefused("no", code="x-client"))
    with raises_code(ProviderRefused, "x-client"):
        spending(context).renew()
    assert world.store.contents == before


def test_final_refusal_is_recorded_in_the_store(world: World, context: ProfileContext) -> None:
    record = snapshot(context).record
    world.provider.script.append(LoginRequired("refused", code="x-ended"))
    for _ in range(2):
        with raises_code(LoginRequired, "x-ended"):
            spending(context, forced=True).renew()
    assert world.provider.sent == ["rt-1"]
    assert snapshot(context).record == record


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


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone of a process cannot be set")
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


def test_repetitions_end_with_the_time_in_which_the_server_repeats_its_response(
    world: World, context: ProfileContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies: list[Policy] = []

    def note(self: ProfileContext, call: object, policy: Policy, **rest: object) -> None:
        policies.append(policy)

    monkeypatch.setattr(ProfileContext, "with_retry", note)
    spending(context).renew()
    declared = evolve(context, description=evolve(context.description, repeats_for=120.0))
    world.clock.advance(90)
    spending(declared).renew()
    assert policies[0] == Policy(budget=30.0, unknown_answers=2, spread=True)
    assert policies[1] == Policy(budget=120 - 24 - 90, unknown_answers=1, spread=True)


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


# --- what becomes of a sending ----------------------------------------------------------------------------------------


def declared(context: ProfileContext, seconds: float) -> ProfileContext:
    return evolve(context, description=evolve(context.description, repeats_for=seconds))


def test_each_sending_to_a_server_that_declares_its_rule_is_counted(world: World, context: ProfileContext) -> None:
    context = declared(context, 600.0)
    seen: list[int] = []

    def lost() -> None:
        seen.append(intent_of(context).attempts)
        raise OutcomeUnknown("broke")

    world.provider.script.extend([lost] * 3)
    with pytest.raises(OutcomeUnknown):
        spending(context).renew()
    assert seen == [1, 2, 3]
    assert (intent_of(context).attempts, intent_of(context).outcome) == (3, "lost")


def test_error_that_no_one_expects_of_a_provider_counts_as_a_loss(world: World, context: ProfileContext) -> None:
    world.provider.script.append(KeeperClosed("not a provider's"))
    with raises_code(KeeperClosed, "keeper-closed"):
        spending(context).renew()
    assert (intent_of(context).outcome, intent_of(context).attempts) == ("lost", 1)


def test_refusal_after_a_loss_is_told_as_a_loss_to_every_later_process(world: World, context: ProfileContext) -> None:
    world.provider.script.extend([OutcomeUnknown("broke"), LoginRequired("refused", code="x-ended")])
    with raises_code(LoginRequired, "renewal-response-lost"):
        spending(context).renew()
    assert intent_of(context).refused == "renewal-response-lost"
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        spending(context).renew()
    assert "was lost, so the sign-in has ended" in caught.value.message
    assert world.provider.sent == ["rt-1", "rt-1"]


def test_hint_of_a_refusal_without_a_loss_names_copies_of_the_store(world: World, context: ProfileContext) -> None:
    world.provider.script.append(LoginRequired("refused", code="x-ended"))
    with raises_code(LoginRequired, "x-ended") as caught:
        spending(context).renew()
    assert "for example from a copy of this store" in str(caught.value.hint)


def test_intent_names_the_process_that_sends_now(world: World, context: ProfileContext) -> None:
    world.provider.script.append(OutcomeUnknown("broke"))
    with pytest.raises(OutcomeUnknown):
        spending(context, stop=True).renew()
    context.store.intend(evolve(intent_of(context), pid=1))
    seen: list[int] = []
    world.provider.script.append(lambda: seen.append(intent_of(context).pid))
    spending(context).renew()
    assert seen == [os.getpid()]


def test_answer_in_between_leaves_no_trace_of_a_sending(world: World, context: ProfileContext) -> None:
    world.provider.script.append(IntermediaryAnswer("a page"))
    with raises_code(IntermediaryAnswer, "answered-in-between"):
        spending(context).renew()
    intent = intent_of(context)
    assert (intent.attempts, intent.last_sent, intent.outcome) == (0, None, "in-between")


@pytest.mark.parametrize("forced", [False, True])
def test_third_doubtful_answer_probably_ends_the_sign_in_whoever_asks(
    world: World, context: ProfileContext, *, forced: bool
) -> None:
    for _ in range(2):
        world.provider.script.append(IntermediaryAnswer("empty", may_be_refusal=True))
        with raises_code(IntermediaryAnswer, "answered-in-between"):
            spending(context, forced=forced).renew()
        world.clock.advance(601)
    world.provider.script.append(IntermediaryAnswer("empty", may_be_refusal=True))
    with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
        spending(context, forced=forced).renew()
    assert isinstance(caught.value, LoginRequired)
    assert caught.value.retry_after


# --- what was found before the token was sent -------------------------------------------------------------------------

MOVED = LoginRequired("another endpoint", unsent=True, hint="Restore the settings", code="sign-in-settings-changed")


@proves("ROT-5", "ROT-6")
def test_what_is_found_before_the_token_is_sent_leaves_the_store_unchanged(
    world: World, context: ProfileContext
) -> None:
    before = world.store.contents
    world.provider.script.append(MOVED)
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        spending(context).renew()
    assert caught.value.hint == "Restore the settings"
    assert world.store.contents == before


def test_what_is_found_before_the_token_is_sent_gets_a_hint(world: World, context: ProfileContext) -> None:
    world.provider.script.append(LoginRequired("the clock may be wrong", unsent=True))
    with pytest.raises(LoginRequired) as caught:
        spending(context).renew()
    assert caught.value.hint == "Run: freshkey login me"


def test_a_response_lost_before_that_stays_lost(world: World, context: ProfileContext) -> None:
    world.provider.script.extend([OutcomeUnknown("broke"), MOVED])
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        spending(context).renew()
    assert (intent_of(context).attempts, intent_of(context).outcome) == (1, "lost")
    assert intent_of(context).refused is None


# --- what something in between may have refused -----------------------------------------------------------------------


def filtered() -> LoginRequired:
    return LoginRequired("access denied", doubtful=True, code="x-denied")


@proves("FAULT-40", "ROT-5", "ROT-6")
def test_doubtful_refusal_is_final_only_while_there_is_something_to_lose(world: World) -> None:
    (managed,) = world.signed_in().all_managed()
    context = managed.context
    world.clock.advance(600)
    world.provider.script.append(filtered())
    with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
        spending(context).renew()
    assert isinstance(caught.value, LoginRequired)
    assert caught.value.retry_after == 3000
    assert caught.value.hint == "Run: freshkey login me"
    assert intent_of(context).doubted_at == intent_of(context).answered_at == world.clock.now()
    for _ in range(4):
        world.clock.advance(700)
        with raises_code(TransientError, "renewal-postponed"):
            spending(context).renew()
    assert len(world.provider.sent) == 1, "sending it again might end the access token, too"
    world.clock.advance(200)
    world.provider.script.append(filtered())
    with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
        spending(context).renew()
    assert isinstance(caught.value, LoginRequired)
    assert caught.value.retry_after == 3600
    world.clock.advance(3599)
    with raises_code(LoginRequired, "sign-in-probably-ended"):
        spending(context).renew()
    assert len(world.provider.sent) == 2
    world.clock.advance(1)
    assert spending(context).renew().token is not None


@proves("ROT-6")
def test_doubtful_refusals_over_twenty_minutes_hold_back_the_token(world: World, context: ProfileContext) -> None:
    for _ in range(2):
        for _ in range(2):
            world.provider.script.append(filtered())
            refusing = spending(context)
            with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
                refusing.renew()
            assert isinstance(caught.value, LoginRequired)
            assert (caught.value.retry_after, caught.value.hint) == (None, "Run: freshkey login me")
            assert refusing.seconds_to_wait() <= 0, "there is nothing to lose"
        world.clock.advance(600)
    world.provider.script.append(filtered())
    for _ in range(2):
        with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
            spending(context).renew()
        assert isinstance(caught.value, LoginRequired)
        assert caught.value.retry_after == 3600
    assert len(world.provider.sent) == 5
    world.clock.advance(3600)
    assert spending(context).renew().token is not None


def test_user_may_send_a_token_again_that_was_refused_in_doubt(world: World, context: ProfileContext) -> None:
    world.provider.script.append(filtered())
    with raises_code(LoginRequired, "sign-in-probably-ended"):
        spending(context).renew()
    assert spending(context, forced=True).renew().token is not None


def test_server_that_refuses_after_a_doubtful_refusal_ends_the_sign_in(world: World, context: ProfileContext) -> None:
    world.provider.script.extend([filtered(), LoginRequired("refused", code="x-ended")])
    with raises_code(LoginRequired, "sign-in-probably-ended"):
        spending(context).renew()
    world.clock.advance(3600)
    for _ in range(2):
        with raises_code(LoginRequired, "x-ended"):
            spending(context, forced=True).renew()
    assert len(world.provider.sent) == 2
