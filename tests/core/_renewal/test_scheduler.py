"""The background thread: what it renews ahead of time, how often it checks, and when it ends."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable

import pytest

from freshkey._renewal import managed
from freshkey._renewal.scheduler import LISTENING_SLEEP, MAX_SLEEP, Scheduler
from freshkey.errors import LoginRequired, ProviderRefused, TransientError
from freshkey.events import Obtained, Renewed, SignedOut
from freshkey.expiry import Freshness
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential
from promises import proves
from raises_code import raises_code
from rotating import LOST, World, collect, expired, token_of
from waiting import until


TEN_MINUTES = 600.0


def timer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "freshkey timer"]


# --- ahead of time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("random", "due_after"), [(0.0, 3300.0), (1.0, 3270.0)])
def test_a_credential_is_renewed_ahead_by_lead_and_jitter(world: World, random: float, due_after: float) -> None:
    world.random = random
    keeper = world.signed_in()
    world.clock.advance(due_after - 1)
    assert world.run_once(keeper) <= LISTENING_SLEEP
    assert world.provider.sent == []
    world.clock.advance(1)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    assert token_of(keeper._held["me"].credential) == "at-2"


def test_borrowed_credential_is_fetched_again_ahead_of_time(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    keeper.get("me")
    world.provider.variable = "borrowed-2"
    world.clock.advance(3300)
    world.run_once(keeper)
    assert token_of(keeper._held["me"].credential) == "borrowed-2"


def test_ten_renewals_follow_each_other_without_any_caller(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    for _ in range(10):
        world.clock.advance(3300)
        world.run_once(keeper)
    until(lambda: len(events) == 10)
    assert world.provider.sent == [f"rt-{number}" for number in range(1, 11)]


def test_two_processes_renew_each_expiry_once_and_adopt_each_others_result(world: World) -> None:
    one, other = world.signed_in(), world.keeper()
    other.get("me")
    for expiry in range(1, 11):
        world.clock.advance(3300)
        world.run_once(one)
        world.run_once(other)
        assert len(world.provider.sent) == expiry
        assert token_of(one._held["me"].credential) == token_of(other._held["me"].credential) == f"at-{expiry + 1}"
    assert not world.provider.revoked


def test_change_by_another_process_is_noticed_at_the_next_check(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    assert world.run_once(other) == LISTENING_SLEEP
    keeper.refresh("me")
    world.settle(keeper)
    world.journal.clear()
    world.run_once(other)
    assert token_of(other._held["me"].credential) == "at-2"
    assert world.journal == ["load"]
    world.run_once(other)
    assert world.journal == ["load"], "one notification, one read"


def test_one_notification_reaches_every_profile_once(world: World) -> None:
    keeper = world.signed_in()
    keeper.login("also-me", interaction=world.user)
    heard: list[str] = []
    for each in keeper.all_managed():
        each.on_change = functools.partial(heard.append, each.context.profile.name)  # type: ignore[method-assign]
    for _ in range(3):
        world.run_once(keeper)
    assert heard == ["me", "also-me"]


def test_store_is_not_read_without_a_notification(world: World) -> None:
    keeper = world.signed_in()
    world.run_once(keeper)
    world.journal.clear()
    for _ in range(5):
        world.run_once(keeper)
    assert world.journal == []


def test_timer_sleeps_longer_without_single_use_credentials(world: World) -> None:
    world.provider.single_use = False
    assert world.run_once(world.signed_in()) == MAX_SLEEP


def test_a_deadline_shortens_the_sleep(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    world.clock.advance(3290)
    assert world.run_once(keeper) == pytest.approx(10)


# --- clocks -------------------------------------------------------------------------------------------------------


@proves("FAULT-44", "TIM-1")
def test_wall_clock_set_forward_renews_the_credential(world: World) -> None:
    keeper = world.signed_in()
    world.clock.step_wall(7200)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    world.pass_time(60, keeper)
    assert world.provider.sent == ["rt-1"], "the new one was obtained at the new time"


@proves("FAULT-44", "TIM-1")
def test_a_wall_clock_set_back_does_not_prolong_anything(world: World) -> None:
    keeper = world.signed_in()
    world.clock.step_wall(-7200)
    world.run_once(keeper)
    assert world.provider.sent == []
    world.clock.advance(3301)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    assert keeper.get("me").expired() is False


def test_wall_clock_step_changes_deadlines_at_the_next_check(world: World) -> None:
    """TIM-1: a server that uses the wall clock rejects what has expired by it."""
    keeper = world.signed_in()
    world.provider.gate.clear()
    world.clock.step_wall(7200)
    keeper._scheduler.run_once()
    assert keeper._held["me"].expires_at <= world.clock.elapsed()
    world.provider.gate.set()
    assert token_of(keeper.get("me")) == "at-2"


@proves("FAULT-44", "TIM-1")
@pytest.mark.parametrize("step", [7200.0, 3540.0, 75 * 365 * 86_400.0])
def test_wall_clock_set_forward_is_due_at_once_and_served_while_the_server_is_away(world: World, step: float) -> None:
    keeper = world.signed_in()
    world.clock.advance(60)
    world.provider.script.extend([ProviderRefused("no route")] * 10_000)
    world.clock.step_wall(step)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    for _ in range(58):
        assert token_of(keeper.get("me")) == "at-1"
        assert keeper.get("me").headers()
        world.clock.advance(60)
    assert keeper.status("me").freshness is Freshness.DUE
    world.clock.advance(60)
    with pytest.raises(ProviderRefused):
        keeper.get("me")


@proves("FAULT-44", "TIM-1")
def test_callers_wait_for_the_renewal_if_the_wall_clock_was_set_forward(world: World) -> None:
    """A virtual machine that slept may not have counted: then the server has forgotten the old token."""
    keeper = world.signed_in()
    world.clock.advance(60)
    world.clock.step_wall(7200)
    keeper._scheduler.run_once()
    assert token_of(keeper.get("me")) == "at-2"


@proves("FAULT-44", "TIM-1")
def test_new_process_after_a_step_of_the_wall_clock_renews_or_serves_what_is_stored(world: World) -> None:
    world.signed_in()
    world.clock.advance(60)
    world.clock.step_wall(7200)
    world.provider.script.extend([ProviderRefused("no route")] * 2)
    for _ in range(2):
        keeper = world.keeper()
        assert token_of(keeper.get("me")) == "at-1"
        assert token_of(asyncio.run(keeper.aget("me"))) == "at-1"
        world.settle(keeper)
    assert world.provider.sent == ["rt-1"], "the second process respects the pause of the first"
    world.clock.advance(600)
    world.provider.script.clear()
    assert token_of(world.keeper().get("me")) == "at-2"


def test_renewal_that_hangs_holds_callers_only_briefly_if_the_credential_is_alive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "DOUBT_TIMEOUT", 0.05)
    keeper = world.signed_in()
    world.provider.gate.clear()
    world.clock.step_wall(7200)
    keeper._scheduler.run_once()
    assert token_of(keeper.get("me")) == "at-1"
    assert token_of(asyncio.run(keeper.aget("me"))) == "at-1"
    world.clock.advance(1)
    assert token_of(keeper.get("me", min_ttl=600)) == "at-1"
    world.provider.gate.set()
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2"


@pytest.mark.parametrize("get", [lambda keeper: keeper.get("me"), lambda keeper: asyncio.run(keeper.aget("me"))])
def test_caller_waits_on_if_what_is_doubtful_ends_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, get: Callable[[Keeper], Credential]
) -> None:
    keeper = world.signed_in()
    world.provider.gate.clear()
    world.clock.step_wall(7200)
    world.clock.advance(3599)
    keeper._scheduler.run_once()
    (mine,) = keeper.all_managed()
    monkeypatch.setattr(managed, "DOUBT_TIMEOUT", 0.05)
    usable, looked = mine._usable, threading.Event()

    def ended(until: float) -> Credential | None:
        if not looked.is_set():
            world.clock.advance(2)
        looked.set()
        return usable(until)

    monkeypatch.setattr(mine, "_usable", ended)
    world.hold_until(looked.is_set)
    assert token_of(get(keeper)) == "at-2"


@proves("FAULT-45", "TIM-2")
def test_suspend_counts_even_if_no_thread_ran(world: World) -> None:
    keeper = world.signed_in()
    world.clock.suspend(3600)
    assert token_of(keeper.get("me")) == "at-2"


def test_after_a_reboot_the_wall_clock_decides(world: World) -> None:
    world.signed_in()
    world.clock.reboot(off=600)
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "at-1"
    world.run_once(keeper)
    assert world.provider.sent == []
    world.clock.reboot(off=3600)
    assert token_of(world.keeper().get("me")) == "at-2"


@proves("FAULT-44", "TIM-1")
def test_a_wall_clock_that_was_reset_by_a_reboot_means_due(world: World) -> None:
    world.signed_in()
    world.clock.reboot()
    world.clock.step_wall(-86_400)
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "at-1"
    world.run_once(keeper)
    assert token_of(keeper._held["me"].credential) == "at-2"


# --- no hot loop (TIM-4) ------------------------------------------------------------------------------------------


@proves("FAULT-32", "TIM-4")
@pytest.mark.parametrize("random", [0.0, 0.5])
def test_failing_provider_is_not_called_during_pauses(world: World, random: float) -> None:
    world.random = random
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.script.extend([ProviderRefused("not now")] * 10_000)
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert 5 <= len(world.provider.sent) <= 20
    assert looks <= 660


@proves("FAULT-43", "TIM-4")
def test_provider_that_returns_expired_tokens_is_not_called_during_pauses(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.answers = expired
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert 5 <= len(world.provider.sent) <= 20
    assert looks <= 660


@proves("FAULT-43", "TIM-4")
def test_calls_during_a_pause_raise_the_failure_without_a_request(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.answers = expired
    for _ in range(120):
        with raises_code(TransientError, "credential-already-expired"):
            keeper.get("me")
        world.clock.advance(1)
    assert 2 <= len(world.provider.sent) <= 5


def test_tokens_without_any_lifetime_are_not_renewed_in_a_loop(world: World) -> None:
    world.random = 0.5
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.lifetime = 0.0
    world.pass_time(TEN_MINUTES, keeper)
    assert len(world.provider.sent) <= 40


def test_tokens_of_one_second_are_renewed_at_most_once_a_second(world: World) -> None:
    world.provider.lifetime = 1.0
    keeper = world.signed_in()
    looks = world.pass_time(TEN_MINUTES / 10, keeper)
    assert 50 <= len(world.provider.sent) <= 60
    assert looks <= 130


def test_callers_do_not_renew_more_often_than_the_pause_allows(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.answers = expired
    for _ in range(600):
        with pytest.raises(TransientError):
            keeper.get("me", min_ttl=3000)
        world.settle(keeper)
        world.clock.advance(1)
    assert len(world.provider.sent) <= 20


def test_profile_that_needs_the_user_makes_no_requests(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.revoked = True
    world.run_once(keeper)
    world.journal.clear()
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert world.provider.sent == ["rt-1"]
    assert world.journal == [], "neither before it expires nor after"
    assert looks <= 600
    with pytest.raises(LoginRequired):
        keeper.get("me")


def test_renewal_succeeds_once_the_server_is_back(world: World) -> None:
    """With server and store up, every credential that is not revoked becomes fresh eventually."""
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.script.extend([TransientError("no route")] * 40)
    world.provider.script.append(LOST)
    world.provider.grace = True
    world.pass_time(1800, keeper)
    assert token_of(keeper.get("me")) == "at-2"
    assert not world.provider.script


@proves("FAULT-33", "NET-3")
def test_retry_after_is_honored(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.script.append(TransientError("too many requests", retry_after=240))
    world.pass_time(239, keeper)
    assert len(world.provider.sent) == 1
    world.pass_time(5, keeper)
    assert token_of(keeper.get("me")) == "at-2"


# --- the thread ---------------------------------------------------------------------------------------------------


def test_the_thread_starts_with_the_first_credential_and_ends_with_the_keeper(world: World) -> None:
    keeper = world.keeper(scheduler=True)
    keeper.profiles()
    assert keeper._scheduler._thread is None
    keeper.login("me", interaction=world.user)
    until(lambda: keeper._scheduler._thread is not None)
    thread = keeper._scheduler._thread
    assert thread is not None
    assert thread.daemon
    world.clock.wait_until_waiting(1)
    keeper.close()
    thread.join(20)
    assert not thread.is_alive()


def test_one_thread_serves_all_profiles(world: World) -> None:
    keeper = world.signed_in(scheduler=True)
    before = len(timer_threads())
    keeper.login("also-me", interaction=world.user)
    keeper.get("also-me")
    keeper.get()
    world.settle(keeper)
    assert len(timer_threads()) == before
    assert len(keeper.all_managed()) == 2


def test_sign_in_sets_the_timer(world: World) -> None:
    world.provider.single_use = False
    world.provider.lifetime = 10.0
    keeper = world.keeper(scheduler=True)
    keeper.status("me")
    assert world.clock.wait_until_waiting(1) == (MAX_SLEEP,)
    keeper.login("me", interaction=world.user)
    until(lambda: world.clock.waiters() == (8.0,))


def test_the_thread_renews_by_itself(world: World) -> None:
    keeper = world.signed_in(scheduler=True)
    world.clock.wait_until_waiting(1)
    world.clock.advance(3300)
    until(lambda: token_of(keeper._held["me"].credential) == "at-2")


def test_the_thread_notices_other_processes(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper(scheduler=True)
    events = collect(other)
    other.get("me")
    world.clock.wait_until_waiting(1)
    keeper.refresh("me")
    world.clock.advance(LISTENING_SLEEP)
    until(lambda: len(events) == 2)
    keeper.logout("me")
    until(world.clock.waiters)
    world.clock.advance(LISTENING_SLEEP)
    until(lambda: len(events) == 3)
    assert [type(event) for event in events] == [Obtained, Renewed, SignedOut]


class NoThreads:
    def all_managed(self) -> tuple[()]:
        raise TransientError("no thread can be started")


def test_the_thread_survives_transient_errors(world: World) -> None:
    owner = NoThreads()
    scheduler = Scheduler(owner, world.clock)
    scheduler.wake()
    until(lambda: world.clock.waiters() and not scheduler._event.is_set(), "sleep")
    assert world.clock.waiters() == (MAX_SLEEP,)
    scheduler.stop()
    until(lambda: not world.clock.waiters())


def test_timer_thread_that_cannot_start_is_not_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(NoThreads(), world.clock)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    scheduler.wake()
    assert scheduler._thread is None


def test_stopped_timer_neither_checks_nor_starts(world: World) -> None:
    keeper: Keeper = world.signed_in()
    scheduler = Scheduler(keeper, world.clock)
    scheduler.stop()
    assert scheduler.run_once() is None
    scheduler.wake()
    assert scheduler._thread is None
