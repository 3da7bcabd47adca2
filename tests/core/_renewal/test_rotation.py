"""One renewal: the order of its steps, concurrent changes by other processes, and the state after a failure."""

from __future__ import annotations

import logging
import threading

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey._interprocess import notifier
from freshkey._renewal import rotation
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import Failure
from freshkey._renewal.reading import Reading
from freshkey._renewal.rotation import Rotation
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    RecordUnreadable,
    StoreBusy,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Renewed, SignedOut, SignInNeeded, Unsaved
from freshkey.keeper import Keeper
from promises import proves
from raises_code import raises_code
from rotating import (
    LOST,
    World,
    collect,
    expire,
    in_threads,
    snapshot,
    token_of,
)
from waiting import end_renewals, until


# --- the order of the steps (ROT-2, ROT-3, ROT-4) ----------------------------------------------------------------


def test_the_steps_in_order(world: World) -> None:
    keeper = world.signed_in()
    keeper.subscribe(lambda event: world.journal.append(type(event).__name__))
    expire(world)
    (managed,) = keeper.all_managed()
    publish = managed._publish

    def published(held: object) -> None:
        if world.provider.sent:
            world.journal.append("publish")
        publish(held)  # type: ignore[arg-type]

    managed._publish = published
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notifier.ChangeNotifier, "notify", lambda self: world.journal.append("notify"))
        keeper.get("me")
        world.settle(keeper)
    until(lambda: "Renewed" in world.journal)
    assert world.journal == ["lock", "load", "intend", "refresh", "save", "publish", "notify", "release", "Renewed"]
    kept = snapshot(world)
    assert (kept.generation, kept.intent) == (2, None)
    assert kept.record is not None
    assert kept.record.written_at == world.clock.now().wall


def test_failpoints_are_reached_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = world.signed_in()
    expire(world)
    passed: list[str] = []
    monkeypatch.setattr(_failpoints, "at", passed.append)
    keeper.get("me")
    world.settle(keeper)
    assert [
        point
        for point in passed
        if point in {"before_lock", "lock_held", "intent_written", "after_refresh", "read_back"}
    ] == ["before_lock", "lock_held", "intent_written", "after_refresh", "read_back"]
    assert set(passed) <= set(_failpoints.POINTS)


def test_a_cold_start_with_a_fresh_credential_takes_no_lock(world: World) -> None:
    world.signed_in()
    world.journal.clear()
    world.keeper().get("me")
    assert world.journal == ["load"]


def test_a_due_credential_in_the_store_is_served_at_a_cold_start(world: World) -> None:
    world.signed_in()
    world.clock.advance(3400)
    keeper = world.keeper()
    world.provider.gate.clear()
    assert token_of(keeper.get("me")) == "at-1"
    assert token_of(keeper.get("me")) == "at-1"
    world.provider.gate.set()
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2", "it was renewed in the background"


def test_a_due_credential_is_renewed_even_by_a_program_that_needs_it_once(world: World) -> None:
    world.signed_in()
    world.clock.advance(3400)
    with world.keeper() as keeper:
        assert token_of(keeper.get("me")) == "at-1"
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world).generation == 2


def test_renewal_by_another_process_is_adopted_under_the_lock(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    expire(world)
    other.get("me")
    world.settle(other)
    world.journal.clear()
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    assert world.journal == ["lock", "load", "release"]
    until(lambda: events)
    (renewed,) = events
    assert isinstance(renewed, Renewed)
    assert (renewed.generation, renewed.elsewhere) == (2, True)


def test_refused_credential_is_not_returned_at_a_cold_start(world: World) -> None:
    refused = world.signed_in().get("me")
    world.clock.advance(61)
    assert token_of(world.keeper().get("me", refused=refused)) == "at-2"


def test_due_credential_of_another_process_is_adopted_too(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.refresh("me")
    expire(world)
    other.refresh("me")
    world.clock.advance(3400)
    assert token_of(keeper.get("me")) == "at-3"
    world.settle(keeper)
    assert world.provider.sent == ["rt-1", "rt-2", "rt-3"], "adopted first, and then renewed"


def test_two_processes_that_expire_at_once_renew_once(world: World) -> None:
    keepers = [world.signed_in(), *(world.keeper() for _ in range(7))]
    expire(world)
    queue = list(keepers)
    answers = in_threads(8, lambda: queue.pop().get("me"))
    assert {token_of(answer) for answer in answers} == {"at-2"}
    assert world.provider.sent == ["rt-1"]


def test_two_processes_renew_each_of_ten_expiries_once(world: World) -> None:
    one, other = world.signed_in(), world.keeper()
    for generation in range(2, 12):
        world.clock.advance(3600)
        answers = in_threads(2, lambda queue=[one, other]: queue.pop().get("me"))  # type: ignore[misc]
        assert [token_of(answer) for answer in answers] == [f"at-{generation}"] * 2
    assert world.provider.sent == [f"rt-{number}" for number in range(1, 11)]
    assert not world.provider.revoked


def test_reusable_refresh_tokens_need_no_intent(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    expire(world)
    keeper.get("me")
    world.settle(keeper)
    assert world.journal == ["lock", "load", "refresh", "save", "release"]


@proves("FAULT-28", "ROT-8")
def test_result_without_a_refresh_token_is_saved_but_cannot_be_renewed(world: World) -> None:
    keeper = world.signed_in()
    world.provider.answers = lambda token: evolve(token, refresh_token=None)
    expire(world)
    assert token_of(keeper.get("me")) == "at-2"
    expire(world)
    with raises_code(LoginRequired, "sign-in-ended"):
        keeper.get("me")
    assert world.provider.sent == ["rt-1"]


# --- the store fails (ROT-3, ROT-4) -------------------------------------------------------------------------------


def test_unwritable_store_leaves_the_token_unspent(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    before = world.store.contents
    world.store.failing.add("intend")
    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        keeper.get("me")
    assert "intend" in caught.value.message
    assert world.provider.sent == []
    assert world.store.contents == before
    world.settle(keeper)
    world.store.failing.clear()
    assert token_of(world.keeper().get("me")) == "at-2", "another process need not wait, because no request was sent"
    assert token_of(keeper.get("me")) == "at-2", "what another process saved ends the pause"
    assert world.provider.sent == ["rt-1"]


def test_unreadable_store_is_not_a_reason_to_sign_in(world: World) -> None:
    world.signed_in()
    world.store.failing.add("load")
    keeper = world.keeper()
    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        keeper.get("me")
    assert caught.value.profile == "me"
    assert "load" in caught.value.message
    world.store.failing.clear()
    world.settle(keeper)
    world.clock.advance(1)
    assert token_of(keeper.get("me")) == "at-1"


def test_unreadable_record_is_reported_and_nothing_is_sent(world: World) -> None:
    keeper = world.signed_in()
    world.provider.formats = {}
    fresh = world.keeper()
    with pytest.raises(RecordUnreadable):
        fresh.get("me")
    assert world.provider.sent == []
    assert token_of(keeper.get("me")) == "at-1"


def test_new_token_is_not_returned_before_it_is_saved(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    expire(world)
    world.store.failing.add("save")
    asking = world.asking(keeper)
    world.clock.wait_until_waiting(1)
    for _ in range(9):
        world.clock.advance(1)
        world.clock.wait_until_waiting(1)
    assert asking.waits
    assert events == []
    world.store.failing.clear()
    world.clock.advance(5)
    assert asking.answer() == "at-2"
    world.settle(keeper)
    assert [type(event) for event in events] == [Renewed]


def test_after_ten_seconds_an_unsaved_token_is_used_and_saved_later(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    events = collect(keeper)
    expire(world)
    world.store.failing.add("save")
    asking = world.asking(keeper)
    world.clock.wait_until_waiting(1)
    while world.clock.elapsed() < 1000 + 3600 + 16:
        world.clock.advance(1)
        until(lambda: world.clock.waiters() or not asking.waits)
    assert asking.answer() == "at-2"
    assert token_of(keeper.get("me")) == "at-2"
    until(lambda: any(isinstance(event, Unsaved) for event in events))
    (managed,) = keeper.all_managed()
    assert managed.held is not None
    assert managed.held.generation == 1, "what the store holds is still the older one"
    assert events[-1] == Unsaved(profile="me", error="the store fails at save", code="store-unavailable")
    assert snapshot(world).generation == 1
    assert "release" not in world.journal, "the lock is kept until it is saved"
    world.store.failing.clear()
    world.clock.wait_until_waiting(1)
    world.clock.advance(5)
    world.settle(keeper)
    assert snapshot(world).generation == 2
    assert world.journal[-1] == "release"
    assert token_of(other.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]
    until(lambda: len(events) == 3)
    assert [type(event) for event in events] == [Renewed, Unsaved, Renewed]
    assert [event.elsewhere for event in events if isinstance(event, Renewed)] == [False, False]


def test_sign_in_that_could_not_be_saved_yet_outlives_a_look_at_the_sign_out_before_it(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    world.store.failing.add("save")
    signing_in = threading.Thread(target=lambda: keeper.login("me", interaction=world.user))
    events = collect(keeper)
    signing_in.start()
    while not any(isinstance(event, Unsaved) for event in events):
        world.clock.wait_until_waiting(1)
        world.clock.advance(1)
    (managed,) = keeper.all_managed()
    managed.on_change()
    until(lambda: not managed._looking)
    assert token_of(keeper._held["me"].credential) == "at-2"
    world.store.failing.clear()
    world.clock.wait_until_waiting(1)
    world.clock.advance(5)
    signing_in.join(20)
    world.settle(keeper)
    assert token_of(keeper.get("me")) == token_of(world.keeper().get("me")) == "at-2"


# --- lost responses (ROT-6, ROT-7) --------------------------------------------------------------------------------


@proves("FAULT-34", "ROT-6")
def test_lost_response_is_retried_twice_then_once_then_at_growing_distances(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    started = world.clock.now().utc
    world.provider.script.extend([OutcomeUnknown("the connection broke")] * 10)
    with raises_code(OutcomeUnknown, "outcome-unknown"):
        keeper.get("me")
    assert world.provider.sent == ["rt-1"] * 3
    world.settle(keeper)
    intent = snapshot(world).intent
    assert intent is not None
    assert (intent.generation, intent.attempts) == (2, 1)
    world.clock.advance(61)
    with pytest.raises(OutcomeUnknown):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"] * 4
    lost = f"{started:%Y-%m-%d %H:%M:%S} UTC"
    for _ in range(3):
        world.clock.advance(61)
        for each in (keeper, world.keeper()):
            with raises_code(LoginRequired, "renewal-response-lost") as caught:
                each.get("me")
            assert lost in caught.value.message
    assert world.provider.sent == ["rt-1"] * 4
    kept = snapshot(world)
    assert kept.generation == 1
    assert kept.intent is not None
    assert kept.intent.attempts == 2
    (world.state_dir / "hints").rename(world.state_dir / "hints-gone")
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        world.keeper().get("me")
    assert lost in caught.value.message
    assert world.provider.sent == ["rt-1"] * 4, "the intent in the store is enough, without hints"
    world.clock.advance(600)
    with pytest.raises(OutcomeUnknown):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"] * 5
    world.provider.script.clear()
    assert token_of(world.keeper().refresh("me")) == "at-2", "the token never reached the server"


@proves("FAULT-34", "ROT-6")
def test_used_up_sendings_do_not_end_a_sign_in(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    events = collect(keeper)
    world.provider.script.extend([OutcomeUnknown("the connection broke")] * 4)
    world.pass_time(190, keeper)
    assert world.provider.sent == ["rt-1"] * 4
    assert token_of(keeper.get("me")) == "at-1"
    world.pass_time(20, keeper)
    assert world.provider.sent == ["rt-1"] * 5, "once more when the access token has expired, though no one asked"
    assert token_of(keeper.get("me")) == "at-2"
    until(lambda: isinstance(events[-1], Renewed))
    assert [event.code for event in events if isinstance(event, SignInNeeded)] == ["renewal-response-lost"]


@proves("FAULT-34", "ROT-6")
def test_server_declared_strict_is_asked_again_only_after_expiry(world: World) -> None:
    world.provider.repeats_for = 0.0
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.script.extend([OutcomeUnknown("the connection broke")] * 2)
    with raises_code(OutcomeUnknown, "outcome-unknown"):
        keeper.refresh("me")
    with raises_code(TransientError, "renewal-postponed"):
        keeper.refresh("me")
    world.pass_time(190, keeper)
    assert world.provider.sent == ["rt-1"], "it would end the access token, too"
    world.pass_time(20, keeper)
    assert world.provider.sent == ["rt-1"] * 2
    world.pass_time(60, keeper)
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        keeper.get("me")
    assert caught.value.retry_after == pytest.approx(530, abs=20)
    world.pass_time(540, keeper)
    assert token_of(keeper.get("me")) == "at-2", "the server never saw the first two"


@proves("FAULT-34", "ROT-6")
def test_every_sending_counts_at_a_server_declared_to_repeat_its_response(world: World) -> None:
    world.provider.repeats_for = 60.0
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([OutcomeUnknown("the connection broke")] * 3)
    with pytest.raises(OutcomeUnknown):
        keeper.refresh("me")
    intent = snapshot(world).intent
    assert intent is not None
    assert (intent.attempts, intent.outcome) == (3, "lost")
    assert world.provider.sent == ["rt-1"] * 3


@proves("FAULT-15", "ROT-6", "ROT-7")
@pytest.mark.parametrize("repeats_for", [None, 30.0, 3600.0])
def test_token_is_sent_again_after_any_number_of_deaths_in_the_grace_period(
    world: World, repeats_for: float | None
) -> None:
    world.provider.repeats_for = repeats_for
    world.provider.grace = True
    keeper = world.signed_in()
    world.clock.advance(3400)
    first = world.clock.now()
    for death in range(6):
        _die_after(world, keeper, spent=death == 0)
        world.clock.advance(3)
    intent = snapshot(world).intent
    assert intent is not None
    assert (intent.noted, intent.attempts) == (first, 6), "a repetition does not move the time of the first sending"
    assert token_of(world.keeper().refresh("me")) == "at-2"


# --- answers of something in between ----------------------------------------------------------------------------------

PAGE = IntermediaryAnswer("a page")
BLANK = IntermediaryAnswer("an empty response", may_be_refusal=True)


@proves("FAULT-40", "ROT-6")
@pytest.mark.parametrize("lifetime", [6.0, 3600.0])
def test_gateway_page_costs_nothing_but_time(world: World, lifetime: float) -> None:
    world.provider.lifetime = lifetime
    keeper = world.signed_in()
    world.provider.script.extend([PAGE] * 100)
    world.pass_time(0.99 * lifetime, keeper)
    assert world.provider.sent == ["rt-1"], "not repeated while the access token lives"
    assert token_of(keeper.get("me")) == "at-1"
    world.pass_time(0.01 * lifetime + 60, keeper)
    assert len(world.provider.sent) > 2, "after that, like any transient failure"
    intent = snapshot(world).intent
    assert intent is not None
    assert (intent.attempts, intent.outcome, intent.doubts) == (0, "in-between", 0)
    sent = len(world.provider.sent)
    for _ in range(20):
        with raises_code(IntermediaryAnswer, "answered-in-between"):
            keeper.refresh("me")
    assert len(world.provider.sent) == sent + 20, "the user is not held up, and nothing is used up"
    world.provider.script.clear()
    assert token_of(keeper.refresh("me")) == "at-2"
    assert token_of(keeper.get("me")) == "at-2"


@proves("FAULT-40", "ROT-6")
def test_pace_through_a_gateway_is_kept_by_other_processes_without_hints(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.script.append(PAGE)
    keeper.get("me")
    world.settle(keeper)
    (world.state_dir / "hints").rename(world.state_dir / "hints-gone")
    other = world.keeper()
    other.get("me")
    world.settle(other)
    world.pass_time(150, other)
    assert world.provider.sent == ["rt-1"]
    assert token_of(other.refresh("me")) == "at-2"


@proves("FAULT-40", "ROT-6")
def test_rejected_access_token_is_renewed_soon_after_a_gateway_page(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3310)
    held = keeper.get("me")
    world.settle(keeper)
    world.clock.advance(60)
    world.provider.script.append(PAGE)
    with pytest.raises(IntermediaryAnswer):
        keeper.refresh("me")
    world.clock.advance(61)
    assert token_of(keeper.get("me", refused=keeper.get("me"))) != token_of(held), "there is nothing left to spare"


@proves("FAULT-40", "ROT-6")
def test_process_killed_while_it_tries_again_after_a_page_counts_as_one_sending(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(PAGE)
    with pytest.raises(IntermediaryAnswer):
        keeper.get("me")
    world.clock.advance(100)
    _die_after(world, keeper, spent=False)
    intent = snapshot(world).intent
    assert intent is not None
    assert (intent.attempts, intent.outcome, intent.noted) == (1, "unanswered", world.clock.now())
    world.clock.advance(100)
    assert token_of(world.keeper().get("me")) == "at-2"


@proves("FAULT-40", "ROT-6")
def test_doubtful_answers_over_twenty_minutes_probably_end_the_sign_in(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    events = collect(keeper)
    world.provider.script.extend([BLANK] * 1000)
    world.pass_time(1190, keeper)
    assert [event for event in events if isinstance(event, SignInNeeded)] == []
    world.pass_time(100, keeper)
    with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
        keeper.get("me")
    assert caught.value.retry_after == pytest.approx(3600, abs=200)
    until(lambda: any(isinstance(event, SignInNeeded) for event in events))
    assert keeper.status("me").last_error_code == "sign-in-probably-ended"
    sent = len(world.provider.sent)
    world.pass_time(3000, keeper)
    for other in (keeper, world.keeper()):
        with raises_code(LoginRequired, "sign-in-probably-ended"):
            other.get("me")
    assert len(world.provider.sent) == sent
    world.pass_time(3600, keeper)
    assert len(world.provider.sent) == sent + 1, "still tried hourly"
    with raises_code(LoginRequired, "sign-in-probably-ended"):
        keeper.refresh("me")
    assert len(world.provider.sent) == sent + 2
    world.provider.script.clear()
    assert token_of(world.keeper().refresh("me")) == "at-2", "and whenever the user asks"
    assert token_of(keeper.get("me")) == "at-2"
    assert len([event for event in events if isinstance(event, SignInNeeded)]) == 1


@proves("FAULT-30", "ROT-5")
def test_server_that_did_see_the_token_through_a_gateway_ends_the_sign_in_once(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(BLANK)
    with pytest.raises(IntermediaryAnswer):
        keeper.get("me")
    answered = f"{world.clock.now().utc:%Y-%m-%d %H:%M:%S} UTC"
    world.clock.advance(5)
    world.provider.rotate_elsewhere()
    for _ in range(3):
        with raises_code(LoginRequired, "sign-in-required") as caught:
            keeper.refresh("me")
        assert f"something in between answered at {answered}. Run: " in str(caught.value.hint)
        with raises_code(LoginRequired, "sign-in-required"):
            world.keeper().refresh("me")
    assert world.provider.sent == ["rt-1"] * 2


@proves("FAULT-26", "ROT-6")
def test_strict_server_refuses_the_retry_and_the_loss_is_reported_once(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    expire(world)
    world.provider.script.append(LOST)
    for _ in range(3):
        with raises_code(LoginRequired, "renewal-response-lost"):
            keeper.get("me")
        world.settle(keeper)
    assert world.provider.sent == ["rt-1"] * 2
    assert [type(event) for event in events] == [SignInNeeded]


def test_process_that_died_after_sending_leaves_one_retry(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    _die_after(world, keeper, spent=True)
    world.provider.grace = True
    assert token_of(world.keeper().get("me")) == "at-2", "a server with a grace period repeats its response"
    assert world.provider.sent == ["rt-1"]


def test_process_that_died_after_sending_to_a_strict_server_loses_the_sign_in(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    started = world.clock.now().utc
    _die_after(world, keeper, spent=True)
    world.clock.advance(100)
    for _ in range(2):
        with raises_code(LoginRequired, "renewal-response-lost") as caught:
            world.keeper().get("me")
        assert f"{started:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message
    assert world.provider.sent == ["rt-1"]


def test_a_process_that_died_before_sending_costs_nothing(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    _die_after(world, keeper, spent=False)
    assert token_of(world.keeper().get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


def _die_after(world: World, keeper: Keeper, *, spent: bool) -> None:
    """Leave the store as a process does that dies after writing its intent."""
    from freshkey._renewal.single_use import SingleUseRefresh

    (managed,) = keeper.all_managed()
    kept = snapshot(world)
    assert kept.record is not None
    assert kept.record.payload is not None
    SingleUseRefresh(managed.context, managed.context.codec.decode(kept.record.payload), kept)._intend()
    if spent:
        world.provider.rotate_elsewhere()


def test_a_transient_failure_withdraws_the_intent_and_is_tried_again(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([TransientError("no route")] * 5)
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    assert world.journal[-2:] == ["withdraw", "release"]
    assert snapshot(world).intent is None
    world.clock.advance(31)
    assert token_of(keeper.get("me")) == "at-2", "the fifth failure, then a response"


def test_transient_failure_after_a_lost_response_keeps_the_intent(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([OutcomeUnknown("the connection broke"), *[TransientError("no route")] * 3])
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    intent = snapshot(world).intent
    assert intent is not None
    assert intent.attempts == 1
    world.provider.script.extend([TransientError("no route")] * 4)
    world.clock.advance(61)
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    assert snapshot(world).intent == intent, "nothing was sent, so one retry is still left"
    world.clock.advance(121)
    assert token_of(keeper.get("me")) == "at-2"


def test_a_plugin_that_breaks_after_sending_keeps_the_intent(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(ValueError("at-canary"))
    with pytest.raises(PluginBroken) as caught:
        keeper.get("me")
    assert "at-canary" not in str(caught.value)
    world.settle(keeper)
    assert snapshot(world).intent is not None
    assert world.provider.sent == ["rt-1"]
    world.clock.advance(61)
    assert token_of(keeper.get("me")) == "at-2"


@proves("FAULT-31", "NET-1")
def test_refused_configuration_is_not_retried(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(ProviderRefused("the client is unknown", code="example-client-unknown"))
    for _ in range(2):
        with raises_code(ProviderRefused, "example-client-unknown"):
            keeper.get("me")
    world.settle(keeper)
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world).intent is None


# --- signing out elsewhere ----------------------------------------------------------------------------------------


def test_a_sign_out_elsewhere_is_noticed_at_the_next_renewal(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.logout("me")
    events = collect(keeper)
    world.clock.advance(3600)
    with raises_code(LoginRequired, "not-signed-in"):
        keeper.get("me")
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me")
    world.settle(keeper)
    until(lambda: len(events) == 3)
    assert events[0] == SignedOut(profile="me", revoked=None, detail="another process signed out")
    assert world.provider.sent == []


# --- locks --------------------------------------------------------------------------------------------------------


def test_waiting_for_a_held_lock_ends_after_the_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._renewal.single_flight.LOCK_TIMEOUT", 0.01)
    keeper = world.signed_in()
    with world.store._slots.lock(1):
        world.clock.advance(3400)
        assert token_of(keeper.get("me")) == "at-1", "a caller with a valid credential does not wait"
        world.settle(keeper)
        world.clock.advance(200)
        with raises_code(StoreBusy, "store-busy"):
            keeper.get("me")
        world.settle(keeper)
    world.clock.advance(2)
    assert token_of(keeper.get("me")) == "at-2"


def test_renewed_borrowed_credential_has_generation_zero(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    keeper.get("me")
    events = collect(keeper)
    expire(world)
    keeper.get("me")
    until(lambda: events)
    (renewed,) = events
    assert isinstance(renewed, Renewed)
    assert (renewed.generation, renewed.elsewhere) == (0, False)


def test_borrowed_credentials_are_acquired_by_one_process_at_a_time(world: World) -> None:
    from freshkey._files.private import file_name
    from freshkey._interprocess.lock import ProfileLock

    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    release = ProfileLock(world.state_dir, file_name("me")).acquire(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freshkey._renewal.single_flight.LOCK_TIMEOUT", 0.01)
        with pytest.raises(StoreBusy):
            world.keeper().get("me")
    asking = world.asking(keeper)
    until(lambda: any(thread.name == "freshkey renewal me" for thread in threading.enumerate()))
    assert world.provider.acquired == []
    release()
    assert asking.answer() == "borrowed-1"


def test_borrowed_credential_works_without_a_writable_state_directory(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.provider.variable = "borrowed-1"
    world.state_dir.write_text("no directory")
    with caplog.at_level(logging.WARNING, "freshkey"):
        assert token_of(world.keeper().get("me")) == "borrowed-1"
    assert "me: continuing without a lock" in caplog.text
    world.state_dir.unlink()


def test_renewals_waiting_for_a_manual_clock_end_with_their_test(world: World) -> None:
    keeper = world.signed_in()
    world.provider.script.extend([TransientError("no route", retry_after=20.0)] * 4)
    world.clock.advance(3500.0)
    keeper._scheduler.run_once()
    world.clock.wait_until_waiting()
    end_renewals()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("freshkey renewal")]
    assert len(world.provider.sent) == 2


# --- looking again during a pause ---------------------------------------------------------------------------------


NO_FILE = ConfigurationError("no such file", code="example-no-file")


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (ConfigurationError("still no such file", code="example-no-file"), True),
        (ConfigurationError("line 3", code="example-malformed"), False),
        (ProviderRefused("no such file", code="example-no-file"), False),
    ],
)
def test_look_that_fails_as_before_is_the_same_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, found: FreshkeyError, same: bool
) -> None:
    managed = world.keeper()._open_profile("me")
    earlier = Failure(NO_FILE, 0.0, 50.0, "subject")
    looking = Rotation(managed.context, managed, earlier=earlier)

    def fail(context: ProfileContext) -> Reading:
        raise found

    monkeypatch.setattr(rotation, "read", fail)
    with raises_code(type(found), found.code):
        looking.run()
    assert looking.failure is (earlier if same else None)


@pytest.mark.parametrize(("by_timer", "pause"), [(True, 30.0), (False, 2.0)])
def test_timer_leaves_a_failed_helper_alone_for_longer_than_a_caller(
    world: World, by_timer: bool, pause: float
) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = TransientError("exit 1", code="command-failed")
    managed = world.keeper()._open_profile("me")
    managed.close()  # without retries
    renewal = Rotation(managed.context, managed, by_timer=by_timer)
    with raises_code(TransientError, "command-failed"):
        renewal.run()
    assert renewal.failure is not None
    assert renewal.failure.pause == pause


@pytest.mark.parametrize("single_use", [True, False])
def test_callers_hear_of_each_retry(world: World, monkeypatch: pytest.MonkeyPatch, single_use: bool) -> None:
    world.provider.single_use = single_use
    managed = world.signed_in()._open_profile("me")
    expire(world)
    heard: list[FreshkeyError] = []
    monkeypatch.setattr(managed, "note_retry", lambda error, pause: heard.append(error))
    failures = [TransientError("one"), TransientError("two")]
    world.provider.script.extend(failures)
    assert token_of(Rotation(managed.context, managed).run()) == "at-2"
    assert heard == failures


def test_failed_helper_is_run_again_for_those_who_ask_later(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = TransientError("exit 1", code="command-failed")
    for runs in (1, 2):
        managed = world.keeper()._open_profile("me")
        managed.close()  # without retries
        with raises_code(TransientError, "command-failed"):
            Rotation(managed.context, managed).run()
        assert len(world.provider.acquired) == runs
        world.clock.advance(0.1)
