"""One renewal: the order of its steps, what other processes did meanwhile, and what is left after a failure."""

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
from matrix import row
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


# --- the order of the steps (ROT-2, ROT-3, ROT-4, design section 6) -----------------------------------------------


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


def test_the_points_at_which_faults_are_tried_are_passed_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert token_of(keeper.get("me")) == "at-2", "asking twice renewed it behind"


def test_what_another_process_renewed_is_adopted_under_the_lock(world: World) -> None:
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


def test_what_was_refused_is_not_the_answer_at_a_cold_start(world: World) -> None:
    refused = world.signed_in().get("me")
    world.clock.advance(61)
    assert token_of(world.keeper().get("me", refused=refused)) == "at-2"


def test_what_another_process_renewed_and_is_due_again_is_adopted_all_the_same(world: World) -> None:
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


def test_two_processes_live_through_ten_expiries(world: World) -> None:
    one, other = world.signed_in(), world.keeper()
    for generation in range(2, 12):
        world.clock.advance(3600)
        answers = in_threads(2, lambda queue=[one, other]: queue.pop().get("me"))  # type: ignore[misc]
        assert [token_of(answer) for answer in answers] == [f"at-{generation}"] * 2
    assert world.provider.sent == [f"rt-{number}" for number in range(1, 11)]
    assert not world.provider.revoked


def test_tokens_that_are_no_single_use_need_no_intent(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    expire(world)
    keeper.get("me")
    world.settle(keeper)
    assert world.journal == ["lock", "load", "refresh", "save", "release"]


@row(28, "ROT-8")
def test_an_answer_without_a_refresh_token_that_carries_the_old_one_on_is_kept(world: World) -> None:
    """ROT-8: the provider carries the old token on; it is not spent then."""
    keeper = world.signed_in()
    world.provider.answers = lambda token: evolve(token, refresh_token=None)
    expire(world)
    assert token_of(keeper.get("me")) == "at-2"
    expire(world)
    with pytest.raises(LoginRequired, match="cannot be renewed"):
        keeper.get("me")
    assert world.provider.sent == ["rt-1"]


# --- the store fails (ROT-3, ROT-4) -------------------------------------------------------------------------------


def test_a_store_that_cannot_be_written_leaves_the_token_unspent(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    before = world.store.contents
    world.store.failing.add("intend")
    with pytest.raises(StoreUnavailable, match="fails at intend"):
        keeper.get("me")
    assert world.provider.sent == []
    assert world.store.contents == before
    world.settle(keeper)
    world.store.failing.clear()
    assert token_of(world.keeper().get("me")) == "at-2", "another process need not wait: nobody was asked"
    with pytest.raises(StoreUnavailable):
        keeper.get("me")
    world.clock.advance(31)
    assert token_of(keeper.get("me")) == "at-2"


def test_a_store_that_cannot_be_read_is_no_reason_to_sign_in(world: World) -> None:
    world.signed_in()
    world.store.failing.add("load")
    keeper = world.keeper()
    with pytest.raises(StoreUnavailable, match="me: the store fails at load"):
        keeper.get("me")
    world.store.failing.clear()
    world.settle(keeper)
    world.clock.advance(1)
    assert token_of(keeper.get("me")) == "at-1"


def test_a_corrupt_record_is_told_and_nothing_is_sent(world: World) -> None:
    keeper = world.signed_in()
    world.provider.formats = {}
    fresh = world.keeper()
    with pytest.raises(RecordUnreadable):
        fresh.get("me")
    assert world.provider.sent == []
    assert token_of(keeper.get("me")) == "at-1"


def test_nobody_gets_the_new_token_before_it_is_kept(world: World) -> None:
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


def test_after_ten_seconds_the_token_is_used_and_still_saved_later(world: World) -> None:
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
    assert events[-1] == Unsaved(profile="me", error="the store fails at save")
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


# --- lost answers (ROT-6, ROT-7) ----------------------------------------------------------------------------------


@row(34, "ROT-6")
def test_a_lost_answer_is_asked_for_twice_more_and_then_once_and_then_never(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    started = world.clock.now().utc
    world.provider.script.extend([OutcomeUnknown("the connection broke")] * 10)
    with pytest.raises(OutcomeUnknown):
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
    lost = f"the answer to the renewal begun at {started:%Y-%m-%d %H:%M:%S} UTC was lost, and with it the sign-in"
    for _ in range(3):
        world.clock.advance(61)
        for each in (keeper, world.keeper()):
            with pytest.raises(LoginRequired, match=lost):
                each.get("me")
    assert world.provider.sent == ["rt-1"] * 4
    kept = snapshot(world)
    assert kept.generation == 1
    assert kept.intent is not None
    assert kept.intent.attempts == 2
    (world.state_dir / "hints").rename(world.state_dir / "hints-gone")
    with pytest.raises(LoginRequired, match=lost):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"] * 4, "the journal knows it without hints"
    keeper.login("me", interaction=User())
    assert token_of(keeper.get("me")) == "at-2"


@row(26, "ROT-6")
def test_a_strict_server_refuses_the_retry_and_the_loss_is_told_once(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    expire(world)
    world.provider.script.append(LOST)
    for _ in range(3):
        with pytest.raises(LoginRequired, match="was lost, and with it the sign-in"):
            keeper.get("me")
        world.settle(keeper)
    assert world.provider.sent == ["rt-1"] * 2
    assert [type(event) for event in events] == [SignInNeeded]


def test_a_process_that_died_in_the_middle_leaves_one_retry(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    _die_after(world, keeper, spent=True)
    world.provider.grace = True
    assert token_of(world.keeper().get("me")) == "at-2", "a lenient server gives the successor again"
    assert world.provider.sent == ["rt-1"]


def test_a_process_that_died_in_the_middle_at_a_strict_server(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    begun = world.clock.now().utc
    _die_after(world, keeper, spent=True)
    world.clock.advance(100)
    for _ in range(2):
        with pytest.raises(LoginRequired, match=f"begun at {begun:%Y-%m-%d %H:%M:%S} UTC was lost"):
            world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_a_process_that_died_before_sending_costs_nothing(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    _die_after(world, keeper, spent=False)
    assert token_of(world.keeper().get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


def _die_after(world: World, keeper: Keeper, *, spent: bool) -> None:
    """Leave the store as a process leaves it that dies after its intent."""
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
    assert token_of(keeper.get("me")) == "at-2", "the fifth failure and then an answer"


def test_a_transient_failure_after_a_lost_answer_keeps_the_intent(world: World) -> None:
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
    assert snapshot(world).intent == intent, "nothing was sent, so the one retry is still there"
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


@row(31, "NET-1")
def test_a_refused_configuration_is_not_tried_again_by_itself(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(ProviderRefused("the client is unknown"))
    with pytest.raises(ProviderRefused, match="the client is unknown"):
        keeper.get("me")
    with pytest.raises(ProviderRefused, match="the client is unknown"):
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
    with pytest.raises(LoginRequired, match="another process signed out"):
        keeper.get("me")
    with pytest.raises(LoginRequired, match="there is no credential"):
        keeper.get("me")
    world.settle(keeper)
    until(lambda: len(events) == 3)
    assert events[0] == SignedOut(profile="me", revoked=None, detail="another process signed out")
    assert world.provider.sent == []


# --- locks --------------------------------------------------------------------------------------------------------


def test_a_lock_that_somebody_keeps_is_waited_for_only_so_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._renewal.single_flight.LOCK_TIMEOUT", 0.01)
    keeper = world.signed_in()
    with world.store._slots.lock(1):
        world.clock.advance(3400)
        assert token_of(keeper.get("me")) == "at-1", "who has a valid credential does not wait"
        world.settle(keeper)
        world.clock.advance(200)
        with pytest.raises(StoreBusy):
            keeper.get("me")
        world.settle(keeper)
    world.clock.advance(2)
    assert token_of(keeper.get("me")) == "at-2"


def test_a_borrowed_credential_that_is_renewed_belongs_to_no_generation(world: World) -> None:
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


def test_borrowed_credentials_are_taken_one_process_at_a_time(world: World) -> None:
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


def test_a_borrowed_credential_needs_no_place_for_locks(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.provider.variable = "borrowed-1"
    world.state_dir.write_text("no directory")
    with caplog.at_level(logging.WARNING, "freshkey"):
        assert token_of(world.keeper().get("me")) == "borrowed-1"
    assert "going on without a lock" in caplog.text
    world.state_dir.unlink()


def test_none_that_waits_for_a_clock_of_a_test_outlives_that_test(world: World) -> None:
    keeper = world.signed_in()
    world.provider.script.extend([TransientError("no route", retry_after=20.0)] * 4)
    world.clock.advance(3500.0)
    keeper._scheduler.run_once()
    world.clock.wait_until_waiting()
    end_renewals()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("freshkey renewal")]
    assert len(world.provider.sent) == 2
