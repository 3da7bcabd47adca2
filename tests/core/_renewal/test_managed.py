"""The state of one profile in one keeper, and what happens when another process renews."""

from __future__ import annotations

import math
import threading

import pytest
from attrs import define, evolve, field

from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.single_flight import SharedFuture
from freshkey._stores.keychain import prompts
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    PluginBroken,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
    found_here,
)
from freshkey.events import Obtained, RenewalFailed, Renewed, SignedOut
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential
from freshkey.model.storage import Snapshot
from in_thread import in_thread
from promises import proves
from raises_code import raises_code
from rotating import LOST, MACHINE, SIGN_IN, TOOL, VARIABLE, World, collect, token_of
from waiting import until


def the_holding(keeper: Keeper) -> ManagedCredential:
    (managed,) = keeper.all_managed()
    return managed


def detect(world: World, keeper: Keeper) -> None:
    """Notify a keeper of a change, and wait until it has handled it."""
    the_holding(keeper).on_change()
    world.settle(keeper)


# --- deadlines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "lead", "random", "look_in"),
    [
        (3600.0, None, 0.0, 3300.0),
        (3600.0, None, 1.0, 3270.0),
        (3600.0, 600.0, 0.0, 3000.0),
        (3600.0, 9999.0, 0.0, 1800.0),
        (1000.0, None, 0.0, 800.0),
        (1000.0, None, 1.0, 770.0),
        (10.0, None, 0.0, 8.0),
        (1.0, None, 0.0, 1.0),
        (1.0, 0.5, 1.0, 1.0),
        (20.0, 9999.0, 1.0, 9.0),
    ],
)
def test_refresh_and_expiry_deadlines(
    world: World, lifetime: float, lead: float | None, random: float, look_in: float
) -> None:
    """TIM-3: before expiry by lead and jitter, and never within the attempt floor."""
    world.random = random
    world.provider.lifetime = lifetime
    keeper = world.signed_in()
    managed = the_holding(keeper)
    assert managed.held is not None
    credential = evolve(managed.held.credential, lead=lead)
    managed.publish(credential, 1, elsewhere=False)
    assert managed.held.refresh_at - world.clock.elapsed() == pytest.approx(look_in)
    assert managed.held.expires_at - world.clock.elapsed() == pytest.approx(lifetime)


def test_lead_of_the_profile_overrides_that_of_the_credential(world: World) -> None:
    keeper = world.signed_in()
    managed = the_holding(keeper)
    context = managed.context
    managed.context = evolve(context, profile=evolve(context.profile, lead=1200.0))
    assert managed.held is not None
    managed.publish(evolve(managed.held.credential, lead=60.0), 1, elsewhere=False)
    assert managed.held.refresh_at - world.clock.elapsed() == pytest.approx(2400.0)
    assert managed.held.credential.lead == 1200.0


def test_credential_that_cannot_be_renewed_is_due_when_it_expires(world: World) -> None:
    keeper = world.signed_in()
    managed = the_holding(keeper)
    assert managed.held is not None
    managed.publish(evolve(managed.held.credential, refresh_token=None), 1, elsewhere=False)  # type: ignore[call-arg]
    assert managed.held.refresh_at == managed.held.expires_at
    assert managed.tick() == pytest.approx(3600)
    world.clock.advance(3600)
    assert managed.tick() == math.inf
    assert managed._future is None


def test_older_generation_from_the_store_does_not_replace_memory(world: World) -> None:
    keeper = world.signed_in()
    managed = the_holding(keeper)
    older = keeper.get("me")
    newer = keeper.refresh("me")
    assert managed.publish(older, 1, elsewhere=True) is newer
    assert keeper.get("me") is newer


def test_profile_without_a_credential_has_no_deadline(world: World) -> None:
    keeper = world.keeper()
    keeper.describe("me")
    assert the_holding(keeper).tick() == math.inf
    assert not the_holding(keeper).wants_changes


def test_timer_that_was_at_work_while_the_keeper_closed_renews_nothing(world: World) -> None:
    keeper = world.signed_in()
    managed = the_holding(keeper)
    keeper.close()
    world.clock.advance(3600)
    assert managed.tick() == math.inf
    assert managed._future is None


# --- callers ------------------------------------------------------------------------------------------------------


def test_callers_join_the_running_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.gate.clear()
    managed = the_holding(keeper)
    futures = [managed.get() for _ in range(3)]
    assert isinstance(futures[0], SharedFuture)
    assert futures[1] is futures[0] is futures[2]
    world.provider.gate.set()
    assert token_of(futures[0].wait(20)) == "at-2"


def test_a_failure_is_shared_until_the_next_attempt_is_due(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    managed = the_holding(keeper)
    world.provider.script.append(ValueError())
    future = managed.get()
    assert isinstance(future, SharedFuture)
    world.settle(keeper)
    world.clock.advance(10)
    errors = []
    for _ in range(2):
        with pytest.raises(PluginBroken) as caught:
            managed.get()
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert str(errors[0]) == str(errors[1])


def test_transient_failure_says_how_long_to_wait(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route", retry_after=100)])
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    world.clock.advance(40)
    with pytest.raises(TransientError) as caught:
        keeper.get("me")
    assert caught.value.retry_after == pytest.approx(60)


def test_internal_error_is_reported_and_the_renewal_retried(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    the_holding(keeper).context.hints.write = _fail  # type: ignore[method-assign, assignment]
    events = collect(keeper)
    for _ in range(2):
        with raises_code(PluginBroken, "internal-error") as caught:
            keeper.get("me")
        assert "ZeroDivisionError in test_managed.py" in caught.value.message
        assert caught.value.profile == "me"
        world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [RenewalFailed]
    assert world.provider.sent == ["rt-1"]


def _fail(*arguments: object) -> None:
    raise ZeroDivisionError


@proves("FAULT-52", "TIM-6")
def test_valid_credential_is_returned_if_no_thread_can_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = world.signed_in()
    other = world.keeper()
    other.refresh("me")
    world.settle(other)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    world.clock.advance(3400)
    assert token_of(keeper.get("me")) == "at-1", "a valid credential is returned"
    assert keeper._held["me"].refresh_at == world.clock.elapsed() + 1, "callers do not all try to start a thread"
    the_holding(keeper).on_change()
    assert not the_holding(keeper)._looking
    world.clock.advance(200)
    with raises_code(TransientError, "out-of-threads"):
        keeper.get("me")


# --- other processes ----------------------------------------------------------------------------------------------


def test_notification_adopts_what_another_process_renewed(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    events = collect(other)
    other.get("me")
    assert the_holding(other).wants_changes
    keeper.refresh("me")
    world.settle(keeper)
    detect(world, other)
    assert token_of(other.get("me")) == "at-2"
    until(lambda: len(events) == 2)
    assert [type(event) for event in events] == [Obtained, Renewed]
    assert events[1] == Renewed(profile="me", generation=2, expires_at=other.get("me").expires_at, elsewhere=True)
    assert world.provider.sent == ["rt-1"]


def test_renewal_by_another_process_ends_a_failure(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    world.clock.advance(3400)
    world.provider.script.append(TransientError("no route", retry_after=1000))
    keeper.get("me")
    world.settle(keeper)
    assert keeper._held["me"].refresh_at == keeper._held["me"].expires_at, "callers stay on the fast path until then"
    other.refresh("me")
    world.settle(other)
    detect(world, keeper)
    world.clock.advance(60)
    assert token_of(keeper.get("me", refused=keeper.get("me"))) == "at-3"


def test_notification_for_another_profile_does_not_read_the_store(world: World) -> None:
    keeper = world.signed_in()
    world.journal.clear()
    detect(world, keeper)
    assert world.journal == []


def test_notification_of_a_sign_out_drops_the_credential(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    events = collect(other)
    keeper.logout("me")
    detect(world, other)
    until(lambda: events)
    assert events == [SignedOut(profile="me", revoked=None, detail="another process signed out")]
    assert "me" not in other._held
    with pytest.raises(LoginRequired):
        other.get("me")


@pytest.mark.parametrize("behind", [TOOL, MACHINE, VARIABLE])
def test_sign_out_elsewhere_leaves_no_one_with_the_sign_in_where_another_source_has_a_credential(
    world: World, behind: str
) -> None:
    world.provider.machine = behind == MACHINE
    world.provider.tool_token = "borrowed-1" if behind == TOOL else None
    keeper, other = world.signed_in(), world.keeper()
    assert other.get("me").source == SIGN_IN
    events = collect(other)
    world.provider.variable = "borrowed-1" if behind == VARIABLE else None
    keeper.logout("me")
    detect(world, other)
    until(lambda: events)
    assert events == [SignedOut(profile="me", revoked=None, detail="another process signed out")]
    assert "me" not in other._held
    assert world.provider.acquired == [SIGN_IN], "no one needs the other source yet"
    assert other.get("me").source == other.status("me").source == behind
    assert [step.source.id for step in other.explain("me").steps if step.wins] == [behind]


@pytest.mark.parametrize("asks", ["renewal", "refused", "refresh"])
def test_sign_out_elsewhere_that_no_one_announced_is_noticed_by_the_next_attempt(world: World, asks: str) -> None:
    world.provider.tool_token = "borrowed-1"
    keeper, other = world.signed_in(), world.keeper()
    held = other.get("me")
    keeper.logout("me")
    if asks == "renewal":
        world.clock.advance(3700)
    answer = other.refresh("me") if asks == "refresh" else other.get("me", refused=held if asks == "refused" else None)
    assert (answer.source, token_of(answer)) == (TOOL, "borrowed-1")
    assert world.provider.sent == []


def test_sign_out_elsewhere_does_not_take_what_another_tool_keeps(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper, other = world.keeper(), world.keeper()
    held = other.get("me")
    keeper.login("me", interaction=world.user)
    keeper.logout("me")
    events = collect(other)
    detect(world, other)
    assert other._held["me"].credential is held
    assert events == []
    world.provider.variable = None
    detect(world, other)
    assert other._held["me"].credential is held, "no one signed out of that"


def test_sign_out_is_looked_at_once(world: World) -> None:
    world.provider.tool_token = "borrowed-1"
    keeper, other = world.keeper(), world.keeper()
    other.get("me")
    keeper.login("me", interaction=world.user)
    keeper.logout("me")
    detect(world, other)
    world.journal.clear()
    for _ in range(3):
        detect(world, other)
    assert world.journal == []


@pytest.mark.parametrize(
    ("error", "looks"),
    [
        (found_here(ProviderRefused("the clock is wrong")), True),
        (ProviderRefused("not this account"), False),
    ],
)
def test_pause_of_the_timer_holds_back_no_caller_from_what_was_mended_here(
    world: World, error: FreshkeyError, looks: bool
) -> None:
    world.provider.variable, world.provider.lifetime, world.random = "borrowed-1", 100.0, 1.0
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(95)
    world.provider.acquire_error = error
    the_holding(keeper).tick()
    world.settle(keeper)
    world.provider.acquire_error = None
    world.clock.advance(6)
    if looks:
        assert token_of(keeper.get("me")) == "borrowed-1"
    else:
        with raises_code(type(error), error.code):
            keeper.get("me")


def test_sign_out_that_cannot_be_read_takes_nothing(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    held = other.get("me")
    world.provider.variable = "borrowed-1"
    keeper.logout("me")
    world.store.failing.add("load")
    detect(world, other)
    assert other._held["me"].credential is held
    world.store.failing.clear()
    detect(world, other)
    assert "me" not in other._held


def test_a_sign_out_elsewhere_ends_a_failure(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    world.clock.advance(3400)
    world.provider.script.append(TransientError("no route", retry_after=1000))
    keeper.get("me")
    world.settle(keeper)
    other.logout("me")
    detect(world, keeper)
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me")


def test_notification_of_a_sign_in_ends_login_required(world: World) -> None:
    keeper = world.keeper()
    with pytest.raises(LoginRequired):
        keeper.get("me")
    world.settle(keeper)
    world.signed_in()
    detect(world, keeper)
    assert token_of(keeper._held["me"].credential) == "at-1"


def test_reading_a_change_does_not_give_callers_a_result(world: World) -> None:
    """Reading a change that finds nothing newer must not return a credential that expired in the meantime."""
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    keeper.refresh("me")
    world.settle(keeper)
    entered, go = threading.Event(), threading.Event()
    load = world.store.load

    def slow_load():  # type: ignore[no-untyped-def]  # noqa: ANN202
        if threading.current_thread().name == "freshkey look me":
            entered.set()
            go.wait()
        return load()

    world.store.load = slow_load  # type: ignore[method-assign]
    managed = the_holding(other)
    managed.on_change()
    assert entered.wait(20)
    world.clock.advance(7200)
    credential = other.get("me")
    assert token_of(credential) == "at-3"
    assert not credential.expired()
    go.set()
    world.settle(other)
    assert other.get("me") is credential


def test_notification_during_a_renewal_is_handled_after_it(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    world.provider.gate.clear()
    asking = threading.Thread(target=keeper.refresh, args=("me",))
    asking.start()
    managed = the_holding(keeper)
    until(lambda: world.provider.inside == 1 and managed._future is not None)
    heard: list[object] = []
    on_change = managed.on_change

    def overheard() -> None:
        heard.append(managed._future)
        on_change()

    managed.on_change = overheard  # type: ignore[method-assign]
    managed.on_change()
    world.provider.gate.set()
    asking.join(20)
    until(lambda: len(heard) == 2)
    assert heard[0] is not None
    assert heard[1] is None


def test_failing_store_does_not_affect_held_credential(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    keeper.refresh("me")
    world.settle(keeper)
    world.store.failing.add("load")
    detect(world, other)
    assert token_of(other.get("me")) == "at-1"
    world.store.failing.clear()
    detect(world, other)
    assert token_of(other.get("me")) == "at-2"


def test_borrowed_and_reusable_tokens_do_not_need_notifications(world: World) -> None:
    world.provider.variable = "borrowed-1"
    borrowing = world.keeper()
    borrowing.get("me")
    assert not the_holding(borrowing).wants_changes, "no sign-in comes before it"
    world.provider.variable = None
    world.provider.single_use = False
    keeper = world.signed_in()
    assert not the_holding(keeper).wants_changes


@pytest.mark.parametrize("single_use", [True, False])
def test_sign_in_elsewhere_replaces_a_source_that_comes_after_it(world: World, single_use: bool) -> None:
    world.provider.tool_token, world.provider.single_use = "borrowed-1", single_use
    keeper, other = world.keeper(), world.keeper()
    pinned, chosen = world.keeper(settings={"skip": [SIGN_IN]}), world.keeper(settings={"source": TOOL})
    for each in (other, pinned, chosen):
        assert each.get("me").source == TOOL
    assert the_holding(other).wants_changes
    assert not the_holding(pinned).wants_changes
    assert not the_holding(chosen).wants_changes
    keeper.login("me", interaction=world.user)
    detect(world, other)
    assert other._held["me"].credential.source == other.status("me").source == SIGN_IN
    assert the_holding(other).wants_changes is single_use


def test_finish_waits_no_longer_than_its_timeout(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.gate.clear()
    managed = the_holding(keeper)
    managed.get()
    managed.finish(0.01)
    assert managed._future is not None
    world.provider.gate.set()
    managed.finish(20)
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2"


def test_failed_renewals_never_shorten_the_lifetime(world: World) -> None:
    """Whatever fails in the background, the credential is returned until it expires."""
    keeper = world.signed_in()
    events = collect(keeper)
    world.clock.advance(3301)
    world.provider.script.extend([TransientError("no route", retry_after=90), LOST, ValueError()])
    answers: list[Credential] = []
    for _ in range(29):
        answers.append(keeper.get("me"))
        world.settle(keeper)
        world.clock.advance(10)
    assert {token_of(answer) for answer in answers} == {"at-1"}
    assert any(isinstance(event, RenewalFailed) for event in events)


# --- a locked keychain --------------------------------------------------------------------------------------------


@define
class LockedKeychain:
    """Makes every read of a store fail, and notes which of them could have opened a prompt.

    Attributes:
        prompting: For each read, whether it was made for somebody who waits.
        reading: Set once a read has begun.
        go_on: Reads wait for it.
    """

    prompting: list[bool] = field(factory=list)
    reading: threading.Event = field(factory=threading.Event)
    go_on: threading.Event = field(factory=threading.Event)

    def load(self) -> Snapshot:
        self.prompting.append(not prompts.asker().background)
        self.reading.set()
        assert self.go_on.wait(20)
        raise StoreUnavailable("the keychain is locked", code="keychain-locked")


@pytest.fixture
def locked(world: World, monkeypatch: pytest.MonkeyPatch) -> LockedKeychain:
    found = LockedKeychain()
    found.go_on.set()
    world.signed_in()
    monkeypatch.setattr(world.store, "load", found.load)
    return found


@proves("ROT-8")
def test_renewal_for_no_one_opens_no_prompt_and_waits_at_growing_distances(
    world: World, locked: LockedKeychain
) -> None:
    (keeper,) = world.keepers
    events = collect(keeper)
    world.clock.advance(3301)
    world.pass_time(200, keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    world.pass_time(600, keeper)

    pauses = [event.retry_in for event in events if isinstance(event, RenewalFailed)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert set(pauses[6:]) == {60}
    assert locked.prompting == [False] * len(pauses)


def test_caller_without_a_credential_does_not_wait_for_the_pause_of_the_timer(
    world: World, locked: LockedKeychain
) -> None:
    (keeper,) = world.keepers
    world.clock.advance(3301)
    world.pass_time(400, keeper)
    locked.prompting.clear()
    with raises_code(StoreUnavailable, "keychain-locked"):
        keeper.get("me")
    assert locked.prompting == [True]
    world.settle(keeper)
    with raises_code(StoreUnavailable, "keychain-locked"):
        keeper.get("me")
    assert locked.prompting == [True], "its own failure is shared for a second"


def test_caller_who_joins_a_renewal_for_no_one_may_have_the_keychain_prompt(
    world: World, locked: LockedKeychain
) -> None:
    (keeper,) = world.keepers
    world.clock.advance(3301)
    locked.go_on.clear()
    managed = the_holding(keeper)
    managed.tick()
    assert locked.reading.wait(20)
    joined = managed.get(min_ttl=2000)
    assert isinstance(joined, SharedFuture)
    locked.go_on.set()
    with raises_code(StoreUnavailable, "keychain-locked"):
        joined.wait(20)
    assert locked.prompting == [False, True]


def test_prefetch_opens_no_prompt_but_a_caller_who_needs_the_credential_does(
    world: World, locked: LockedKeychain
) -> None:
    keeper = world.keeper()
    keeper.prefetch("me")
    until(lambda: locked.prompting)
    world.settle(keeper)
    assert locked.prompting == [False]

    with raises_code(StoreUnavailable, "keychain-locked"):
        keeper.get("me")
    assert locked.prompting == [False, True]


def test_caller_who_joins_a_prefetch_may_have_the_keychain_prompt(world: World, locked: LockedKeychain) -> None:
    keeper = world.keeper()
    locked.go_on.clear()
    keeper.prefetch("me")
    assert locked.reading.wait(20)
    joined = in_thread(lambda: keeper.get("me"))
    until(lambda: not the_holding(keeper)._asker.background, "the caller to join")
    locked.go_on.set()

    with raises_code(StoreUnavailable, "keychain-locked"):
        joined.result(20)
    assert locked.prompting == [False, True]


def test_reading_a_change_by_another_process_opens_no_prompt(world: World, locked: LockedKeychain) -> None:
    (keeper,) = world.keepers
    hints = the_holding(keeper).context.hints
    hints.write(evolve(hints.read(), generation=7))
    detect(world, keeper)
    assert locked.prompting == [False]
