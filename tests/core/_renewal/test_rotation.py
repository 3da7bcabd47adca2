"""One renewal: the order of its steps, what other processes did meanwhile, and what is left after a failure."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey._interprocess import hints as hints_file
from freshkey._interprocess import notifier
from freshkey._renewal.rotation import Rotation
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    RecordUnreadable,
    StoreBusy,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Event, RenewalFailed, Renewed, SignedOut, SignInNeeded, SourceChanged, Unsaved
from freshkey.keeper import Keeper
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey.model.storage import Snapshot
from freshkey.secret import Secret
from matrix import row
from rotating import (
    LOST,
    MACHINE,
    VARIABLE,
    Listener,
    Telling,
    User,
    World,
    break_host,
    call_host,
    collect,
    expired,
    in_threads,
    token_of,
    until,
)


def snapshot(world: World) -> Snapshot:
    return world.store._slots.load()


def hints(world: World) -> hints_file.Hints:
    return hints_file.HintsFile(world.state_dir, "me").read()


def expire(world: World) -> None:
    world.clock.advance(3600)
    world.journal.clear()


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
        patch.setattr(notifier.ChangeNotifier, "ring", lambda self: world.journal.append("ring"))
        keeper.get("me")
        world.settle(keeper)
    until(lambda: "Renewed" in world.journal)
    assert world.journal == ["lock", "load", "intend", "refresh", "save", "publish", "ring", "release", "Renewed"]
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


# --- refused for good (ROT-5) -------------------------------------------------------------------------------------


@row(30, "ROT-5")
def test_a_refused_token_is_never_sent_again(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.revoked = True
    kept = snapshot(world)
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [SignInNeeded]
    assert token_of(keeper.get("me")) == "at-1", "the access token is served until its own end"
    assert token_of(world.keeper().get("me")) == "at-1", "in other processes as well"
    world.clock.advance(200)
    for each in (keeper, world.keeper(), keeper):
        with pytest.raises(LoginRequired, match="the server no longer knows the refresh token"):
            each.get("me")
        with pytest.raises(LoginRequired):
            each.refresh("me")
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world) == kept
    world.settle(keeper)
    assert [type(event) for event in events] == [SignInNeeded]


def test_a_refused_token_is_never_sent_again_where_hints_cannot_be_written(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.revoked = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hints_file.HintsFile, "write", lambda self, hints: None)
        for _ in range(3):
            with pytest.raises(LoginRequired, match="no longer knows"):
                keeper.get("me")
            world.settle(keeper)
    assert world.provider.sent == ["rt-1"]


def test_a_new_sign_in_ends_the_refusal_everywhere(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    world.provider.revoked = True
    for each in (keeper, other):
        with pytest.raises(LoginRequired):
            each.get("me")
        world.settle(each)
    assert keeper.status("me").sign_in_needed == "the server no longer knows the refresh token"
    keeper.login("me", interaction=User())
    assert token_of(other.get("me")) == token_of(keeper.get("me"))
    assert keeper.status("me").sign_in_needed is None
    expire(world)
    assert token_of(keeper.get("me")) == "at-3"


@row(29, "ROT-5")
def test_a_token_renewed_beyond_the_lock_is_adopted_after_a_refusal(world: World) -> None:
    """Another host that shares the store is not kept out by this host's lock."""
    keeper = world.signed_in()
    expire(world)

    def elsewhere() -> None:
        world.provider.living.clear()
        newer = world.provider._issue()
        record = snapshot(world).record
        assert record is not None
        codec = next(iter(keeper.all_managed())).context.codec
        for generation in (2, 3):
            world.store._slots.save(evolve(record, generation=generation, payload=codec.encode(newer)))

    world.provider.script.append(elsewhere)
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


@pytest.mark.parametrize("by_user", [False, True])
def test_a_token_renewed_beyond_the_lock_that_is_old_by_now_is_renewed_in_turn(world: World, by_user: bool) -> None:
    keeper = world.signed_in()
    expire(world)
    (managed,) = keeper.all_managed()
    if by_user:
        break_host(managed.context)

    def elsewhere() -> None:
        newer = expired(world.provider._issue())
        record = snapshot(world).record
        assert record is not None
        codec = next(iter(keeper.all_managed())).context.codec
        for generation in (2, 3):
            world.store._slots.save(evolve(record, generation=generation, payload=codec.encode(newer)))
        raise LoginRequired("the server no longer knows the refresh token")

    world.provider.script.extend([elsewhere, call_host])
    assert token_of(keeper.refresh("me") if by_user else keeper.get("me")) == "at-3"
    assert world.provider.sent == ["rt-1", "rt-2"]


def test_a_person_who_declined_is_not_asked_again_by_itself(world: World) -> None:
    user = User(declines=True)
    keeper = world.keeper(interaction=user)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            keeper.get("me")
        world.settle(keeper)
    assert len(user.opened) == 1


def test_a_person_who_fails_to_sign_in_does_not_cause_the_dead_token_to_be_sent_again(world: World) -> None:
    user = User()
    keeper = world.keeper(interaction=user)
    keeper.get("me")
    expire(world)
    world.provider.revoked = True
    world.provider.acquire_error = TransientError("no route to the authorization page")
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    world.clock.advance(61)
    world.provider.acquire_error = None
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


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


# --- damage -------------------------------------------------------------------------------------------------------


def damage(world: World, generation: int) -> None:
    world.store.items.set(f"{generation % 2}.0", "damaged")


def test_a_store_that_holds_nothing_but_damage_says_so_and_takes_a_new_sign_in(world: World) -> None:
    keeper = world.signed_in()
    damage(world, 1)
    with pytest.raises(LoginRequired, match=r"the stored credential is corrupt\. Run: freshkey login me"):
        world.keeper().get("me")
    keeper.login("me", interaction=User())
    assert token_of(world.keeper().get("me")) == "at-2"


def test_a_record_that_was_fallen_back_to_serves_its_access_token(world: World) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    fresh = world.keeper()
    assert token_of(fresh.get("me")) == "at-1"
    assert world.provider.sent == ["rt-1"]


@pytest.mark.parametrize("first", [None, TransientError("no route")])
def test_the_refresh_token_of_such_a_record_is_sent_once(world: World, first: Exception | None) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    expire(world)
    world.provider.sent.clear()
    if first is not None:
        world.provider.script.extend([first] * 4)
        with pytest.raises(TransientError):
            world.keeper().get("me")
        world.clock.advance(61)
        world.provider.sent.clear()
    world.provider.script.append(OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"], "no retry of a retry"
    for _ in range(2):
        world.clock.advance(61)
        with pytest.raises(LoginRequired, match="was lost"):
            world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


@row(27)
def test_an_older_generation_than_was_saved_is_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    world.journal.clear()
    with caplog.at_level(logging.WARNING, "freshkey"):
        world.keeper().get("me")
    assert "me: the store holds an older generation than was saved" in caplog.text
    assert world.journal == ["load", "load"]


def test_a_store_that_is_late_is_read_again_without_ado(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = world.signed_in()
    late = snapshot(world)
    keeper.refresh("me")
    world.settle(keeper)
    readings = [snapshot(world), late]
    world.store.load = readings.pop  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, "freshkey"):
        assert token_of(world.keeper().get("me")) == "at-2"
    assert caplog.text == ""


# --- where it belongs ---------------------------------------------------------------------------------------------


def test_a_sign_in_of_another_client_is_not_used(world: World) -> None:
    world.signed_in()
    world.provider.binding = {"client_id": "another-client"}
    keeper = world.keeper()
    for _ in range(2):
        with pytest.raises(LoginRequired, match="the sign-in belongs to another client id"):
            keeper.get("me")
    assert keeper.status("me").sign_in_needed == "the sign-in belongs to another client id"
    assert keeper.status("me").credential is None
    signed_out = keeper.logout("me")
    assert (signed_out.revoked, world.provider.revocations) == (False, [])
    assert "belongs to another client id" in signed_out.detail
    keeper.login("me", interaction=User())


def test_a_binding_that_only_one_side_knows_is_no_mismatch(world: World) -> None:
    world.signed_in()
    world.provider.binding = {"issuer": "https://as.example.com", "client_id": "a-client"}
    assert token_of(world.keeper().get("me")) == "at-1"


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


# --- pauses -------------------------------------------------------------------------------------------------------


@row(33, "NET-3")
def test_processes_share_the_pause_after_a_failure(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    world.provider.script.extend([TransientError("no route", retry_after=100.0)])
    with pytest.raises(TransientError):
        keeper.get("me")
    asked = len(world.provider.sent)
    events = collect(other)
    for seconds in (0, 50, 49.5):
        world.clock.advance(seconds)
        with pytest.raises(TransientError, match="no route") as caught:
            other.get("me")
        assert caught.value.retry_after is not None
        world.settle(other)
    assert len(world.provider.sent) == asked
    until(lambda: events)
    assert events == [RenewalFailed(profile="me", error="me: no route", retry_in=100.0)]
    with pytest.raises(TransientError, match="no route"):
        world.keeper().get("me")
    world.clock.advance(0.5)
    assert token_of(other.get("me")) == "at-2", "asking meanwhile has not prolonged the pause"


def test_pauses_grow_with_failures_and_end_with_success(world: World) -> None:
    world.random = 1.0
    keeper = world.signed_in()
    events = collect(keeper)
    expire(world)
    for _ in range(3):
        world.provider.script.append(ProviderRefused("not now"))
        with pytest.raises(ProviderRefused):
            keeper.get("me")
        world.settle(keeper)
        world.clock.advance(61)
    until(lambda: len(events) == 3)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [60.0, 60.0, 60.0]
    assert hints(world).failures == 3
    keeper.get("me")
    assert hints(world).failures == 0
    assert hints(world).error is None


def test_what_is_wrong_with_a_configuration_is_looked_at_again_at_once(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ConfigurationError("there is no such file", hint="Make it")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^me: there is no such file\. Make it$"):
            world.keeper().get("me")
    assert hints(world).error == "there is no such file"
    world.provider.acquire_error = None
    assert token_of(world.keeper().get("me")) == "borrowed-1"


@pytest.mark.parametrize("kind", [LoginRequired, ProviderRefused])
def test_other_processes_pass_on_what_to_do(world: World, kind: type[FreshkeyError]) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = kind("it has ended", hint="Run the other tool")
    for _ in range(2):
        with pytest.raises(FreshkeyError, match=r"^me: it has ended\. Run the other tool$"):
            world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]
    world.clock.advance(61)
    world.provider.acquire_error = None
    world.keeper().get("me")
    assert hints(world).hint is None


def test_in_bare_mode_what_failed_elsewhere_is_no_reason_to_wait(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ProviderRefused("not this one")
    failing = world.keeper(bare=True)
    for _ in range(2):
        with pytest.raises(ProviderRefused, match="not this one"):
            failing.get("me")
    assert world.provider.acquired == [VARIABLE], "within one process it is"
    world.provider.acquire_error = None
    assert token_of(world.keeper(bare=True).get("me")) == "borrowed-1"


def test_a_credential_that_comes_expired_is_a_failure(world: World) -> None:
    """TIM-4; its refresh token is kept all the same."""
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.answers = expired
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [RenewalFailed]
    assert token_of(keeper.get("me")) == "at-1", "what was there is still good"
    assert snapshot(world).generation == hints(world).generation == 2
    world.clock.advance(200)
    with pytest.raises(TransientError, match="had already expired"):
        keeper.get("me")
    world.provider.answers = lambda token: token
    world.clock.advance(61)
    assert token_of(keeper.get("me")) == f"at-{len(world.provider.sent) + 1}"


def test_a_borrowed_credential_that_comes_expired_is_a_failure(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.lifetime = 0.0
    with pytest.raises(TransientError, match="had already expired"):
        world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]


def test_the_pause_after_a_failure_fits_the_lifetime(world: World) -> None:
    world.provider.lifetime = 100.0
    keeper = world.signed_in()
    assert hints(world).pause == 10.0
    events = collect(keeper)
    expire(world)
    world.provider.script.append(ProviderRefused("not now"))
    with pytest.raises(ProviderRefused):
        keeper.get("me")
    until(lambda: events)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [10.0]


def test_a_refusal_in_the_middle_of_a_pause_is_what_other_processes_hear(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    current = other.get("me")
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with pytest.raises(TransientError, match="no route"):
        keeper.get("me")
    world.provider.revoked = True
    with pytest.raises(LoginRequired, match="no longer knows"):
        keeper.refresh("me")
    for refused in (None, current):
        with pytest.raises(LoginRequired, match="no longer knows"):
            other.get("me", refused=refused)
        world.settle(other)


@pytest.mark.parametrize("single_use", [False, True])
def test_a_failing_connection_is_tried_again_at_once_unless_the_process_exits(
    world: World, monkeypatch: pytest.MonkeyPatch, single_use: bool
) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([TransientError("no route")] * 2)
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    expire(world)
    monkeypatch.setattr("freshkey._renewal.rotation.process_is_exiting", lambda: not single_use)
    world.provider.script.extend([TransientError("no route")] * 2)
    if single_use:
        assert token_of(keeper.get("me")) == "at-3"
    else:
        with pytest.raises(TransientError, match="no route"):
            keeper.get("me")
    assert world.journal.count("refresh") == (3 if single_use else 1)


@pytest.mark.parametrize("single_use", [False, True])
def test_a_host_that_fails_is_spared_unless_a_person_asks(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    (managed,) = keeper.all_managed()
    break_host(managed.context)
    world.provider.script.extend([call_host, call_host])
    with pytest.raises(TransientError, match=r"as\.example\.com is left alone"):
        keeper.get("me")
    world.settle(keeper)
    assert token_of(keeper.refresh("me")) == "at-2"


def test_a_pause_is_about_the_source_that_failed_last(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    expire(world)
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = None
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with pytest.raises(TransientError, match="no route"):
        keeper.get("me")
    with pytest.raises(TransientError, match="no route"):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_processes_share_that_another_tool_needs_a_person(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("the other tool signed out")
    for _ in range(2):
        with pytest.raises(LoginRequired, match="the other tool signed out"):
            world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]


# --- locks --------------------------------------------------------------------------------------------------------


def test_a_lock_that_somebody_keeps_is_waited_for_only_so_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._renewal.rotation.LOCK_TIMEOUT", 0.01)
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
        patch.setattr("freshkey._renewal.rotation.LOCK_TIMEOUT", 0.01)
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


# --- the walk -----------------------------------------------------------------------------------------------------


def test_a_borrowed_credential_that_appears_is_used_from_the_next_renewal(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    world.provider.variable = "borrowed-1"
    assert token_of(keeper.get("me")) == "at-1"
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = None
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    until(lambda: len(events) == 4)
    assert events[0] == SourceChanged(profile="me", before="sign-in", after=VARIABLE)
    assert events[2] == SourceChanged(profile="me", before=VARIABLE, after="sign-in")
    assert [getattr(event, "source", None) for event in events] == [None, VARIABLE, None, "sign-in"]


def test_a_borrowed_success_does_not_forget_that_a_sign_in_is_needed(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        keeper.get("me")
    world.provider.variable = "borrowed-1"
    world.keeper().get("me")
    world.provider.variable = None
    with pytest.raises(LoginRequired):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_an_owned_source_without_a_person_is_asked_and_kept(world: World) -> None:
    world.provider.machine = True
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "at-1"
    assert world.journal == ["load", "lock", "load", f"acquire {MACHINE}", "save", "release"]
    assert token_of(world.keeper().get("me")) == "at-1"
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"
    assert snapshot(world).generation == 2
    assert world.provider.acquired == [MACHINE, MACHINE]
    assert world.user.opened == []


def test_a_borrowed_credential_that_is_refused_is_left_alone_for_a_moment(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper, other = world.keeper(), world.keeper()
    refused = keeper.get("me")
    events = collect(keeper)
    world.clock.advance(10)
    for each in (keeper, other, keeper):
        with pytest.raises(TransientError, match=r"obtained a moment ago.*Try again in 20 s") as caught:
            each.get("me", refused=refused)
        assert caught.value.retry_after == 20
        world.settle(each)
    assert world.provider.acquired == [VARIABLE]
    until(lambda: events)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [20]
    world.clock.advance(21)
    with pytest.raises(ProviderRefused, match="A variable was refused and there is no newer one"):
        keeper.get("me", refused=refused)
    world.settle(keeper)
    world.clock.advance(61)
    world.provider.variable = "borrowed-2"
    assert token_of(keeper.get("me", refused=refused)) == "borrowed-2"


def test_survey_publishes_nothing(world: World) -> None:
    world.signed_in()
    keeper = world.keeper()
    keeper.describe("me")
    (managed,) = keeper.all_managed()
    winner, credential, generation = Rotation(managed.context, managed).read()
    assert winner is not None
    assert credential is not None
    assert (winner.id, token_of(credential), generation) == ("sign-in", "at-1", 1)
    assert managed.held is None


def test_hints_and_bell_hold_no_secret(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    files = [path for path in world.state_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"changed"}
    for path in files:
        text = path.read_text()
        assert "at-" not in text
        assert "rt-" not in text
    (hints_file,) = (world.state_dir / "hints").iterdir()
    assert json.loads(hints_file.read_text())["generation"] == 2


def test_a_failure_is_an_event_with_the_pause(world: World) -> None:
    keeper = world.signed_in()
    order: list[Event] = []
    keeper.subscribe(order.append)
    world.clock.advance(3600)
    world.provider.script.append(ProviderRefused("not now"))
    with pytest.raises(ProviderRefused):
        keeper.get("me")
    world.settle(keeper)
    until(lambda: order)
    assert order == [RenewalFailed(profile="me", error="me: not now", retry_in=30.0)]


# --- credentials that other tools hand in -----------------------------------------------------------------------------


def test_a_person_decides_once_between_what_was_found_and_the_sign_in(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    user = User(agrees=False)
    assert token_of(world.keeper(interaction=user).get("me")) == "at-1"
    assert token_of(world.keeper(interaction=user).get("me")) == "at-1"
    assert len(user.questions) == 1
    world.provider.variable = "borrowed-2"
    another = User(agrees=True)
    assert token_of(world.keeper(approve=another.confirm).get("me")) == "borrowed-2"
    assert len(another.questions) == 1


def test_what_this_process_got_long_enough_ago_is_replaced_although_another_process_got_something_since(
    world: World,
) -> None:
    world.provider.lifetime, world.provider.variable = 100.0, "key-1"
    keeper, another = world.keeper(), world.keeper()
    refused = keeper.get("me")
    world.clock.advance(5)
    another.get("me")
    world.clock.advance(5)
    world.provider.variable = "key-2"
    assert token_of(keeper.get("me", refused=refused)) == "key-2"


def test_what_a_source_kept_that_is_no_more_is_not_used(world: World) -> None:
    world.provider.machine = True
    world.keeper().get("me")
    world.provider.machine = False
    with pytest.raises(LoginRequired, match="there is no credential"):
        world.keeper().get("me")


def test_what_another_version_kept_from_a_source_of_its_own_is_no_sign_out(world: World) -> None:
    keeper = world.signed_in()
    (managed,) = keeper.all_managed()
    record = snapshot(world).record
    assert record is not None
    assert managed.held is not None
    payload = managed.context.codec.encode(evolve(managed.held.credential, source="a newer source"))
    world.store._slots.save(evolve(record, generation=2, payload=payload))
    expire(world)
    with pytest.raises(LoginRequired, match="there is no credential"):
        keeper.get("me")


def test_sources_are_looked_at_for_the_profile(world: World) -> None:
    looked_for: list[str] = []
    detect = world.provider._look

    def note(profile: Profile) -> Detected | None:
        looked_for.append(profile.name)
        return detect(profile)

    world.provider._look = note  # type: ignore[method-assign]
    world.provider.variable = "borrowed-1"
    world.keeper().get("me")
    assert set(looked_for) == {"me"}


def test_what_another_tool_lends_is_renewed_without_the_store(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.lends = Secret("rt-0")
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "borrowed-1"
    expire(world)
    assert token_of(keeper.get("me")) == "at-1"
    assert world.journal == ["refresh"]
    assert world.provider.sent == ["rt-0"]


def test_without_a_person_what_was_found_is_used_unasked(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    assert token_of(world.keeper().get("me")) == "borrowed-1"


def test_bare_mode_neither_reads_nor_locks_the_store(world: World) -> None:
    world.signed_in()
    world.journal.clear()
    keeper = world.keeper(bare=True)
    with pytest.raises(LoginRequired, match=r"there is no credential\. Looked for: A variable$"):
        keeper.get("me")
    with pytest.raises(LoginRequired, match="there is no credential"):
        world.keeper(bare=True, interaction=world.user).get("me")
    with pytest.raises(ConfigurationError, match="bare mode signs nobody in"):
        keeper.login("me", interaction=world.user)
    with pytest.raises(ConfigurationError, match="bare mode leaves alone what is kept"):
        keeper.logout("me")
    assert keeper.status("me").store is None
    world.provider.variable = "borrowed-1"
    assert token_of(keeper.get("me")) == "borrowed-1"
    assert keeper.explain("me").steps[1].why == "bare mode uses only what is handed in"
    assert world.journal == [f"acquire {VARIABLE}"]


def test_what_has_no_end_is_served_while_its_source_is_asked_again(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "key-1"
    world.provider.variable = "key-2"
    world.clock.advance(299)
    assert token_of(keeper.get("me")) == "key-1"
    world.settle(keeper)
    world.clock.advance(1)
    assert world.run_once(keeper) > 0
    assert world.provider.acquired == [VARIABLE]
    assert token_of(keeper.get("me")) == "key-1"
    world.settle(keeper)
    assert world.provider.acquired == [VARIABLE, VARIABLE]
    assert token_of(keeper.get("me")) == "key-2"


def test_what_has_no_end_is_served_although_its_source_fails(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(301)
    world.provider.acquire_error = ProviderRefused("the helper is gone")
    for _ in range(3):
        assert token_of(keeper.get("me")) == "key-1"
        world.settle(keeper)
    assert len(world.provider.acquired) == 2


def test_a_refusal_makes_its_source_be_asked_at_once(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper, another = world.keeper(), world.keeper()
    refused = keeper.get("me")
    another.get("me")
    world.clock.advance(60)
    world.provider.variable = "key-2"
    assert token_of(another.get("me", refused=refused)) == "key-2"
    # What another process has just got is not shared with this one, and no reason to wait.
    assert token_of(keeper.get("me", refused=refused)) == "key-2"
    with pytest.raises(TransientError, match="obtained a moment ago"):
        keeper.get("me", refused=keeper.get("me"))


@pytest.mark.parametrize("single_use", [False, True])
def test_a_renewal_is_for_the_profile_and_tells_the_reporter_of_the_keeper(
    world: World, telling: Telling, single_use: bool
) -> None:
    telling.single_use = single_use
    listener = Listener()
    keeper = world.signed_in(reporter=listener)
    expire(world)
    keeper.get("me")
    assert listener.heard == ["renewing for me"]


def test_a_source_that_needs_no_person_gets_none(world: World, telling: Telling) -> None:
    telling.machine = telling.wants_a_person = True
    listener = Listener()
    keeper = world.keeper(reporter=listener)
    with pytest.raises(LoginRequired, match=r"me: nobody is signed in\. Run: freshkey login me"):
        keeper.get("me")
    world.settle(keeper)
    assert hints(world).sign_in_needed is None, "nothing was there that could have been refused"
    telling.wants_a_person = False
    assert token_of(keeper.get("me")) == "at-1"
    assert listener.heard == ["acquiring for me"] * 2


def test_a_person_signs_in_for_the_profile(world: World, telling: Telling, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "freshkey"):
        assert token_of(world.keeper(interaction=world.user).get("me")) == "at-1"
    assert "acquiring for me" in caplog.text
    assert len(world.user.opened) == 1


def test_what_acquiring_has_to_say_reaches_the_reporter_of_the_keeper(world: World) -> None:
    listener = Listener()
    world.provider.variable = "key-1"
    world.provider.says = "the helper is slow"
    world.keeper(reporter=listener).get("me")
    assert listener.heard == ["the helper is slow"]


def test_providers_know_whether_somebody_waits_or_a_timer_renews_ahead_of_time(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(3400)
    world.run_once(keeper)
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    keeper.login("me", interaction=world.user)
    assert world.provider.attended == [True, False, True, True]
