"""One renewal: the order of its steps, concurrent changes by other processes, and the state after a failure."""

from __future__ import annotations

import logging
import threading

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey._interprocess import notifier
from freshkey.errors import (
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
    User,
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
    assert token_of(keeper.get("me")) == "at-1"
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2", "the second call renewed it in the background"


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
    assert world.provider.sent == ["rt-1", "rt-2"]


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
    with pytest.raises(StoreUnavailable):
        keeper.get("me")
    world.clock.advance(31)
    assert token_of(keeper.get("me")) == "at-2"


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


# --- lost responses (ROT-6, ROT-7) --------------------------------------------------------------------------------


@proves("FAULT-34", "ROT-6")
def test_lost_response_is_retried_twice_then_once_then_never(world: World) -> None:
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
    keeper.login("me", interaction=User())
    assert token_of(keeper.get("me")) == "at-2"


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
