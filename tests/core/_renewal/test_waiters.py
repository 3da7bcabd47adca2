"""Callers that wait while a renewal retries: one alone gets all attempts, several are told early and may join again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from freshkey._renewal import managed as managed_module
from freshkey._renewal.single_flight import SharedFuture
from freshkey.errors import FreshkeyError, OutcomeUnknown, TransientError
from freshkey.keeper import Keeper
from promises import proves
from raises_code import raises_code
from rotating import LOST, World, collect, expire, token_of
from waiting import PATIENCE, until


class Callers:
    """Callers on threads of their own, and what they got."""

    def __init__(self, count: int, call: Callable[[], Any]) -> None:
        self.answers: list[Any] = []
        self._call = call
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            self.answers.append(token_of(self._call()))
        except FreshkeyError as error:
            self.answers.append(error)

    def wait(self, timeout: float) -> None:
        for thread in self._threads:
            thread.join(timeout)

    @property
    def told(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def results(self) -> list[Any]:
        self.wait(PATIENCE)
        assert self.told
        return self.answers


def wait_for_callers(keeper: Keeper, count: int) -> None:
    (managed,) = keeper.all_managed()
    until(lambda: managed._future is not None and managed._future.waiting == count, f"{count} callers")


@contextmanager
def failing(world: World, *steps: object, count: int) -> Iterator[tuple[Keeper, Callers]]:
    """Yield callers that wait for a renewal whose first attempt is about to fail."""
    world.random = 1.0  # pauses of 0.5, 1 and 2 s
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend(steps)
    world.provider.gate.clear()
    callers = Callers(count, lambda: keeper.get("me"))
    wait_for_callers(keeper, count)
    world.provider.gate.set()
    yield keeper, callers


def pause(world: World) -> float:
    """Wait for the pause before the next attempt, and return its length."""
    (seconds,) = world.clock.wait_until_waiting()
    return seconds


def no_route() -> TransientError:
    return TransientError("no route", code="example-no-route")


@proves("FAULT-32", "NET-2")
def test_several_callers_are_told_after_two_attempts_and_a_later_one_gets_the_result(world: World) -> None:
    with failing(world, no_route(), no_route(), no_route(), count=20) as (keeper, callers):
        events = collect(keeper)
        assert pause(world) == 0.5
        assert not callers.told, "the first retry follows soon"
        world.clock.advance(0.5)
        errors = callers.results()
        assert {(type(error), error.code) for error in errors} == {(TransientError, "example-no-route")}
        assert {error.retry_after for error in errors} == {1.0}
        assert len(set(map(id, errors))) == 20
        assert pause(world) == 1.0
        later = Callers(1, lambda: keeper.get("me"))
        wait_for_callers(keeper, 1)
        world.clock.advance(1.0)
        assert pause(world) == 2.0
        assert not later.told
        world.clock.advance(2.0)
        assert later.results() == ["at-2"]
    assert world.provider.sent == ["rt-1"] * 4
    assert [type(event).__name__ for event in events] == ["Renewed"], "the renewal as a whole has not failed"


@proves("NET-2")
def test_caller_that_waits_alone_gets_all_attempts(world: World) -> None:
    with failing(world, no_route(), no_route(), no_route(), count=1) as (_, caller):
        for seconds in (0.5, 1.0, 2.0):
            assert pause(world) == seconds
            assert not caller.told
            world.clock.advance(seconds)
        assert caller.results() == ["at-2"]


def test_single_failure_reaches_no_caller(world: World) -> None:
    with failing(world, no_route(), count=20) as (_, callers):
        assert pause(world) == 0.5
        world.clock.advance(0.5)
        assert callers.results() == ["at-2"] * 20


def test_several_callers_are_told_within_a_second_even_if_the_next_attempt_hangs(world: World) -> None:
    with failing(world, no_route(), count=5) as (keeper, callers):
        assert pause(world) == 0.5
        world.provider.gate.clear()
        world.clock.advance(0.5)
        until(lambda: world.provider.inside == 1)
        assert keeper._scheduler.run_once() == pytest.approx(0.5)
        assert not callers.told
        world.clock.advance(0.5)
        keeper._scheduler.run_once()
        assert {error.code for error in callers.results()} == {"example-no-route"}
        later = Callers(2, lambda: keeper.get("me"))
        wait_for_callers(keeper, 2)
        keeper._scheduler.run_once()
        assert not later.told, "its result is not known yet"
        world.provider.gate.set()
        assert later.results() == ["at-2"] * 2


def test_timer_tells_waiting_callers(world: World) -> None:
    world.random = 1.0
    keeper = world.signed_in(scheduler=True)
    world.provider.script.append(no_route())  # first: the timer may renew at once
    expire(world)
    callers = Callers(3, lambda: keeper.get("me"))
    until(lambda: len(world.clock.waiters()) == 2, "the timer and the pause")
    world.provider.gate.clear()
    world.clock.advance(0.5)
    until(lambda: world.provider.inside == 1)
    world.clock.advance(0.5)
    assert {error.code for error in callers.results()} == {"example-no-route"}
    world.provider.gate.set()


def test_nobody_joins_a_renewal_that_has_just_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer tells callers of a retry at the very moment when the retry has succeeded."""
    set_result = SharedFuture.set_result
    late: list[Callers] = []

    def race(future: SharedFuture[Any], result: Any) -> None:
        if future.waiting == 2 and not late:
            late.append(Callers(1, lambda: (managed.tick(), keeper.refresh("me"))[1]))
            late[0].wait(0.2)
        set_result(future, result)

    with failing(world, no_route(), count=2) as (keeper, callers):
        (managed,) = keeper.all_managed()
        seconds = pause(world)
        world.provider.gate.clear()
        world.clock.advance(seconds)
        until(lambda: world.provider.inside == 1)
        world.clock.advance(0.5)
        monkeypatch.setattr(SharedFuture, "set_result", race)
        world.provider.gate.set()
        assert callers.results() == ["at-2"] * 2
        assert late[0].results() == ["at-3"]


def test_callers_who_were_told_wait_no_longer_for_what_is_only_doubtful(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One renewal that hangs delays an application once, also if its first attempt failed before."""
    monkeypatch.setattr(managed_module, "DOUBT_TIMEOUT", 3 * PATIENCE)
    world.random = 1.0
    keeper = world.signed_in()
    world.clock.step_wall(7200)
    world.provider.script.append(no_route())
    world.provider.gate.clear()
    keeper._scheduler.run_once()
    callers = Callers(3, lambda: keeper.get("me"))
    wait_for_callers(keeper, 3)
    world.provider.gate.set()
    seconds = pause(world)
    world.provider.gate.clear()
    world.clock.advance(seconds)
    until(lambda: world.provider.inside == 1)
    world.clock.advance(3 * PATIENCE)
    keeper._scheduler.run_once()
    assert callers.results() == ["at-1"] * 3
    world.provider.gate.set()


@proves("NET-3")
def test_long_pause_is_reported_to_several_callers_at_once(world: World) -> None:
    busy = TransientError("too many requests", retry_after=20.0, code="example-busy")
    with failing(world, busy, count=3) as (keeper, callers):
        assert {error.retry_after for error in callers.results()} == {20.0}
        assert pause(world) == 20.0
        alone = Callers(1, lambda: keeper.get("me"))
        wait_for_callers(keeper, 1)
        world.clock.advance(5)
        with raises_code(TransientError, "example-busy") as caught:
            keeper.get("me")
        assert caught.value.retry_after == 15.0
        assert [error.retry_after for error in alone.results()] == [15.0]
        last = Callers(1, lambda: keeper.get("me"))
        wait_for_callers(keeper, 1)
        world.clock.advance(15)
        assert last.results() == ["at-2"]
    assert world.provider.sent == ["rt-1"] * 2


def test_lost_response_is_reported_as_such(world: World) -> None:
    world.provider.grace = True
    with failing(world, LOST, LOST, count=2) as (_, callers):
        for _ in range(2):
            world.clock.advance(pause(world))
        errors = callers.results()
    assert {type(error) for error in errors} == {OutcomeUnknown}


def test_tasks_count_as_callers_until_they_are_canceled(world: World) -> None:
    world.random = 1.0
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([no_route(), no_route()])
    (managed,) = keeper.all_managed()

    async def main() -> object:
        tasks = [asyncio.create_task(keeper.aget("me")) for _ in range(5)]
        await asyncio.to_thread(wait_for_callers, keeper, 5)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        assert managed._future is not None
        assert managed._future.waiting == 1
        for _ in range(2):
            world.clock.advance(await asyncio.to_thread(pause, world))
        return token_of(await tasks[0])

    assert asyncio.run(main()) == "at-2"


@pytest.mark.parametrize("single_use", [False, True])
def test_closing_ends_a_pause_between_attempts(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    with failing(world, no_route(), no_route(), count=1) as (keeper, caller):
        pause(world)
        keeper.close()
        (error,) = caller.results()
        assert error.code == "example-no-route"
    world.settle(keeper)
    assert world.provider.sent == ["rt-1"], "nothing more is tried"
    world.provider.script.clear()
    assert token_of(world.keeper().refresh("me")) == "at-2"


def test_closing_waits_for_an_attempt_in_progress_after_callers_were_told(world: World) -> None:
    with failing(world, no_route(), no_route(), count=2) as (keeper, callers):
        world.clock.advance(pause(world))
        callers.results()
        seconds = pause(world)
        world.provider.gate.clear()
        world.clock.advance(seconds)
        until(lambda: world.provider.inside == 1)
        closing = threading.Thread(target=keeper.close)
        closing.start()
        until(lambda: keeper._profiles.closed)
        world.provider.gate.set()
        closing.join(PATIENCE)
    assert token_of(world.keeper().get("me")) == "at-2", "its result was saved"


def test_closing_does_not_keep_a_lost_response_from_being_retried(world: World) -> None:
    world.provider.grace = True
    with failing(world, LOST, count=1) as (keeper, caller):
        seconds = pause(world)
        closing = threading.Thread(target=keeper.close)
        closing.start()
        until(lambda: keeper._profiles.closed)
        world.clock.advance(seconds)
        caller.results()
        closing.join(PATIENCE)
    assert world.provider.sent == ["rt-1", "rt-1"]
    assert token_of(world.keeper().get("me")) == "at-2"
