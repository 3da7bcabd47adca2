"""The background thread: what it renews ahead of time, how often it looks, and when it ends."""

from __future__ import annotations

import functools
import threading

import pytest

from freshkey._renewal.scheduler import LISTENING_SLEEP, MAX_SLEEP, Scheduler
from freshkey.errors import LoginRequired, ProviderRefused, TransientError
from freshkey.events import Obtained, Renewed, SignedOut
from freshkey.keeper import Keeper
from matrix import row
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


def test_a_borrowed_credential_is_taken_anew_ahead_of_time(world: World) -> None:
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


def test_two_processes_renew_each_expiry_once_and_hear_each_other(world: World) -> None:
    one, other = world.signed_in(), world.keeper()
    other.get("me")
    for expiry in range(1, 11):
        world.clock.advance(3300)
        world.run_once(one)
        world.run_once(other)
        assert len(world.provider.sent) == expiry
        assert token_of(one._held["me"].credential) == token_of(other._held["me"].credential) == f"at-{expiry + 1}"
    assert not world.provider.revoked


def test_another_process_is_heard_within_one_look(world: World) -> None:
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
    assert world.journal == ["load"], "one ring, one look"


def test_one_ring_is_heard_once_by_every_profile(world: World) -> None:
    keeper = world.signed_in()
    keeper.login("also-me", interaction=world.user)
    heard: list[str] = []
    for managed in keeper.all_managed():
        managed.on_change = functools.partial(heard.append, managed.context.profile.name)  # type: ignore[method-assign]
    for _ in range(3):
        world.run_once(keeper)
    assert heard == ["me", "also-me"]


def test_a_silent_bell_costs_no_look_at_the_store(world: World) -> None:
    keeper = world.signed_in()
    world.run_once(keeper)
    world.journal.clear()
    for _ in range(5):
        world.run_once(keeper)
    assert world.journal == []


def test_who_holds_nothing_single_use_sleeps_longer(world: World) -> None:
    world.provider.single_use = False
    assert world.run_once(world.signed_in()) == MAX_SLEEP


def test_a_deadline_shortens_the_sleep(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    world.clock.advance(3290)
    assert world.run_once(keeper) == pytest.approx(10)


# --- clocks -------------------------------------------------------------------------------------------------------


@row(44, "TIM-1")
def test_a_wall_clock_set_forward_counts(world: World) -> None:
    keeper = world.signed_in()
    world.clock.step_wall(7200)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    world.pass_time(60, keeper)
    assert world.provider.sent == ["rt-1"], "the new one was obtained by the new time"


@row(44, "TIM-1")
def test_a_wall_clock_set_back_does_not_prolong_anything(world: World) -> None:
    keeper = world.signed_in()
    world.clock.step_wall(-7200)
    world.run_once(keeper)
    assert world.provider.sent == []
    world.clock.advance(3301)
    world.run_once(keeper)
    assert world.provider.sent == ["rt-1"]
    assert keeper.get("me").expired() is False


def test_a_step_forward_is_folded_in_at_the_next_look(world: World) -> None:
    """TIM-1: a server that goes by the wall clock refuses what is expired by it."""
    keeper = world.signed_in()
    world.provider.gate.clear()
    world.clock.step_wall(7200)
    keeper._scheduler.run_once()
    assert keeper._held["me"].expires_at <= world.clock.elapsed()
    world.provider.gate.set()
    assert token_of(keeper.get("me")) == "at-2"


@row(45, "TIM-2")
def test_suspend_counts_although_no_thread_noticed_it(world: World) -> None:
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


@row(44, "TIM-1")
def test_a_wall_clock_that_was_reset_by_a_reboot_means_due(world: World) -> None:
    world.signed_in()
    world.clock.reboot()
    world.clock.step_wall(-86_400)
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "at-1"
    world.run_once(keeper)
    assert token_of(keeper._held["me"].credential) == "at-2"


# --- no hot loop (TIM-4, I7) --------------------------------------------------------------------------------------


@row(32, "TIM-4")
@pytest.mark.parametrize("random", [0.0, 0.5])
def test_a_failing_provider_is_left_alone_between_attempts(world: World, random: float) -> None:
    world.random = random
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.script.extend([ProviderRefused("not now")] * 10_000)
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert 5 <= len(world.provider.sent) <= 20
    assert looks <= 660


@row(43, "TIM-4")
def test_a_provider_that_answers_with_expired_tokens_is_left_alone_between_attempts(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.answers = expired
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert 5 <= len(world.provider.sent) <= 20
    assert looks <= 660


@row(43, "TIM-4")
def test_callers_who_ask_again_every_second_hear_the_failure_again_and_nobody_is_asked(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.answers = expired
    for _ in range(120):
        with pytest.raises(TransientError, match="already expired"):
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


def test_tokens_of_one_second_are_renewed_once_a_second_at_the_most(world: World) -> None:
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


def test_a_profile_that_needs_a_person_rests(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.revoked = True
    world.run_once(keeper)
    world.journal.clear()
    looks = world.pass_time(TEN_MINUTES, keeper)
    assert world.provider.sent == ["rt-1"]
    assert world.journal == [], "before its end and after it"
    assert looks <= 600
    with pytest.raises(LoginRequired):
        keeper.get("me")


def test_a_server_that_comes_back_is_found_again(world: World) -> None:
    """I8: with server and store up, every credential that is not revoked gets fresh in the end."""
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.provider.script.extend([TransientError("no route")] * 40)
    world.provider.script.append(LOST)
    world.provider.grace = True
    world.pass_time(1800, keeper)
    assert token_of(keeper.get("me")) == "at-2"
    assert not world.provider.script


@row(33, "NET-3")
def test_retry_after_is_kept(world: World) -> None:
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


def test_a_sign_in_arms_the_thread(world: World) -> None:
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


def test_the_thread_hears_other_processes(world: World) -> None:
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


def test_the_thread_survives_what_is_only_for_now(world: World) -> None:
    owner = NoThreads()
    scheduler = Scheduler(owner, world.clock)
    scheduler.wake()
    until(lambda: world.clock.waiters() and not scheduler._event.is_set(), "sleep")
    assert world.clock.waiters() == (MAX_SLEEP,)
    scheduler.stop()
    until(lambda: not world.clock.waiters())


def test_a_thread_that_cannot_start_is_no_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(NoThreads(), world.clock)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    scheduler.wake()
    assert scheduler._thread is None


def test_a_stopped_timer_neither_looks_nor_starts(world: World) -> None:
    keeper: Keeper = world.signed_in()
    scheduler = Scheduler(keeper, world.clock)
    scheduler.stop()
    assert scheduler.run_once() is None
    scheduler.wake()
    assert scheduler._thread is None
