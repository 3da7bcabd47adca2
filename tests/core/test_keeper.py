"""The keeper: what is returned from memory, what callers share, and its lifecycle."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import textwrap
import threading
import weakref
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import pytest
from attrs import evolve

from freshkey._interprocess.hints import HintsFile
from freshkey._renewal.single_flight import SharedFuture
from freshkey.errors import (
    ConfigurationError,
    KeeperClosed,
    LoginRequired,
    PluginBroken,
    ProviderRefused,
    TransientError,
)
from freshkey.events import AccountChanged, Obtained, RenewalFailed, Renewed, SignedOut, SignInNeeded
from freshkey.keeper import Keeper
from freshkey.model.credential import ApiKey, Credential, CredentialSource, OAuthToken
from freshkey.model.description import Validity
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey.secret import Secret
from promises import proves
from python_program import output_of
from raises_code import raises_code
from rotating import (
    ADA,
    LOST,
    SIGN_IN,
    VARIABLE,
    User,
    World,
    collect,
    in_threads,
    snapshot,
    token_of,
)
from waiting import until


def timer_thread(keeper: Keeper) -> threading.Thread:
    until(lambda: keeper._scheduler._thread is not None)
    thread = keeper._scheduler._thread
    assert thread is not None
    return thread


def held(keeper: Keeper) -> Credential:
    return keeper._held["me"].credential


# --- from memory --------------------------------------------------------------------------------------------------


def test_fast_path_uses_no_hook_lock_thread_file_or_import(world: World) -> None:
    keeper = world.signed_in()
    credential = keeper.get("me")
    watched: list[str] = []
    watching = threading.local()

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if getattr(watching, "on", False):
            watched.append(event)

    sys.addaudithook(audit)
    world.journal.clear()
    modules = set(sys.modules)
    taken = [keeper._profiles._mutex, *keeper._profiles._opening_mutexes.values(), keeper._scheduler._mutex]
    mutexes: list[Any] = [*taken, *(managed._mutex for managed in keeper.all_managed())]
    for mutex in mutexes:
        mutex.acquire()
    threads = set(threading.enumerate())
    # On another thread, which cannot take any of the locks, not even the reentrant ones.
    answers: list[Credential] = []

    def interaction() -> None:
        watching.on = True
        answers.append(keeper.get("me", min_ttl=60))
        watching.on = False

    asking = threading.Thread(target=interaction)
    asking.start()
    asking.join(20)
    for mutex in mutexes:
        mutex.release()
    assert answers == [credential]
    assert watched == []
    assert world.journal == []
    assert set(sys.modules) == modules
    assert set(threading.enumerate()) <= threads


def test_aget_returns_a_held_credential_without_a_task_switch(world: World) -> None:
    keeper = world.signed_in()
    asking = keeper.aget("me", min_ttl=60)
    with pytest.raises(StopIteration) as answer:
        asking.send(None)
    assert answer.value.value is held(keeper)


def test_kind_of_credential_is_checked_and_typed(world: World) -> None:
    keeper = world.keeper()
    world.provider.variable = "borrowed-1"
    for _ in ("opened", "from memory"):
        assert_type(keeper.get("me", kind=OAuthToken), OAuthToken)
        with raises_code(ConfigurationError, "wrong-credential-kind") as caught:
            keeper.get("me", kind=ApiKey)
        assert "OAuthToken" in caught.value.message
        assert "ApiKey" in caught.value.message
        assert caught.value.profile == "me"

    async def ask() -> None:
        for asking in (keeper, world.keeper()):
            assert_type(await asking.aget("me", kind=OAuthToken), OAuthToken)
            with raises_code(ConfigurationError, "wrong-credential-kind"):
                await asking.aget("me", kind=ApiKey)

    asyncio.run(ask())
    assert_type(keeper.get("me"), Credential)
    for selected in (keeper, world.keeper()):
        with raises_code(ConfigurationError, "wrong-credential-kind") as caught:
            selected.get(kind=ApiKey)
        assert str(caught.value).startswith("me: the credential is of class OAuthToken, and ApiKey was asked for")
    source: CredentialSource = keeper
    assert source.get("me") is keeper.get("me", kind=Credential)


class Signed(ApiKey):
    """Another class of credentials."""


def test_any_of_several_kinds_will_do(world: World) -> None:
    keeper = world.signed_in()
    found = keeper.get("me", kind=(ApiKey, OAuthToken))
    assert_type(found, Credential)
    assert isinstance(found, OAuthToken)
    assert_type(keeper.get("me", kind=(OAuthToken,)), OAuthToken)
    assert found is asyncio.run(keeper.aget("me", kind=(ApiKey, OAuthToken)))
    with raises_code(ConfigurationError, "wrong-credential-kind") as caught:
        keeper.get("me", kind=(Signed, ApiKey))
    assert "Signed or ApiKey was asked for" in caught.value.message


@pytest.mark.parametrize("kind", [(), "OAuthToken", [OAuthToken], (OAuthToken, "ApiKey"), OAuthToken | ApiKey])
def test_what_is_no_kind_is_refused_in_one_sentence(world: World, kind: Any) -> None:
    keeper = world.signed_in()
    with pytest.raises(TypeError, match="kind must be a class of credentials, or a tuple"):
        keeper.get("me", kind=kind)


def test_the_selected_profile_and_its_name_share_one_credential(world: World) -> None:
    keeper = world.signed_in()
    assert keeper.get() is keeper.get("me")
    assert keeper._held[None] is keeper._held["me"]
    keeper.refresh("me")
    assert keeper._held[None] is keeper._held["me"]
    assert world.provider.sent == ["rt-1"]


def test_returned_credential_uses_the_clock_of_the_keeper(world: World) -> None:
    keeper = world.signed_in()
    credential = keeper.get()
    assert credential.headers() == {"Authorization": "Bearer at-1"}
    assert keeper.headers("me", "POST", "https://api.example.com/", b"{}") == credential.headers()
    world.clock.advance(3600)
    assert credential.expired()


# --- shared renewals ----------------------------------------------------------------------------------------------


@proves("FAULT-25", "ROT-1")
def test_a_hundred_threads_share_one_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(100, lambda: keeper.get("me"))
    assert [token_of(answer) for answer in answers] == ["at-2"] * 100
    assert world.provider.sent == ["rt-1"]


@proves("FAULT-25")
def test_a_hundred_callers_share_one_failure(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([LoginRequired("the server no longer knows the refresh token")])
    world.hold_until(lambda: len(_listeners(keeper)) >= 100)

    async def everybody() -> list[Credential | BaseException]:
        return await asyncio.gather(*(keeper.aget("me") for _ in range(100)), return_exceptions=True)

    answers = asyncio.run(everybody())
    assert [type(answer) for answer in answers] == [LoginRequired] * 100
    assert len({id(answer) for answer in answers}) == 100, "each caller raises its own copy"
    assert world.provider.sent == ["rt-1"]


def _listeners(keeper: Keeper) -> list[Any]:
    return [listener for managed in keeper.all_managed() if managed._future for listener in managed._future._listeners]


def test_all_threads_share_one_series_of_attempts(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 1000)
    answers = in_threads(100, lambda: keeper.get("me"))
    assert [type(answer) for answer in answers] == [TransientError] * 100
    world.settle(keeper)
    assert len(world.provider.sent) == 4, "the retry policy's attempts, once"
    assert "no route" in str(answers[0])
    assert answers[0].profile == "me"


@proves("FAULT-25", "ROT-1")
def test_a_thousand_agets_open_a_profile_on_one_thread(world: World) -> None:
    world.signed_in()
    keeper = world.keeper()
    started: list[str] = []
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", counted)

        async def everybody() -> list[Credential]:
            return await asyncio.gather(*(keeper.aget("me") for _ in range(1000)))

        answers = asyncio.run(everybody())
    assert {token_of(answer) for answer in answers} == {"at-1"}
    assert started == ["freshkey opening", "freshkey renewal me"]


def test_an_opened_profile_is_not_opened_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = world.signed_in()
    monkeypatch.setattr(threading, "Thread", None)
    # What a caller gets who looked just before another one had opened it.
    assert keeper._profiles.open("me").done
    assert token_of(keeper.get("me")) == "at-1"


def test_the_kind_of_a_fresh_credential_costs_one_comparison(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = world.signed_in()
    keeper.get("me")
    monkeypatch.setattr(Keeper, "_open_profile", None)
    assert token_of(keeper.get("me", kind=OAuthToken)) == "at-1"


# --- asyncio ------------------------------------------------------------------------------------------------------


def test_canceling_one_aget_does_not_affect_others(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.gate.clear()

    async def scene() -> list[Credential | BaseException]:
        tasks = [asyncio.create_task(keeper.aget("me")) for _ in range(3)]
        await asyncio.to_thread(until, lambda: len(_listeners(keeper)) == 3)
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        world.provider.gate.set()
        return list(await asyncio.gather(tasks[0], tasks[2], return_exceptions=True))

    answers = asyncio.run(scene())
    assert [token_of(answer) for answer in answers if isinstance(answer, Credential)] == ["at-2", "at-2"]
    assert world.provider.sent == ["rt-1"]


def test_closed_event_loop_does_not_affect_the_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.gate.clear()

    async def gives_up() -> None:
        task = asyncio.create_task(keeper.aget("me"))
        await asyncio.to_thread(until, lambda: _listeners(keeper))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(gives_up())
    assert _listeners(keeper), "the renewal still has a callback for the closed loop"
    world.provider.gate.set()
    assert token_of(keeper.get("me")) == "at-2"


def test_event_loops_in_several_threads_share_one_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.hold_until(lambda: len(_listeners(keeper)) == 4)
    answers = in_threads(4, lambda: asyncio.run(keeper.aget("me")))
    assert [token_of(answer) for answer in answers] == ["at-2"] * 4
    assert world.provider.sent == ["rt-1"]


def test_callers_get_their_result_before_events_are_sent(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    answered = threading.Event()
    seen: list[bool] = []
    keeper.subscribe(lambda event: seen.append(answered.wait(20)))
    credential = keeper.get("me")
    answered.set()
    assert token_of(credential) == "at-2"
    world.settle(keeper)
    until(lambda: seen == [True], "the event")


def test_callers_time_out_and_the_renewal_continues(world: World) -> None:
    keeper = world.signed_in()
    keeper._timeout = 0.01  # only now: opening a profile may take longer on a busy machine
    world.clock.advance(3600)
    world.provider.gate.clear()
    with raises_code(TransientError, "renewal-timed-out"):
        asyncio.run(keeper.aget("me"))
    with raises_code(TransientError, "renewal-timed-out"):
        keeper.get("me")
    world.provider.gate.set()
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


# --- due, expired, and `min_ttl` ----------------------------------------------------------------------------------


def test_due_credential_is_returned_at_once_while_it_is_renewed(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3301)
    world.provider.gate.clear()
    assert token_of(keeper.get("me")) == "at-1"
    until(lambda: world.provider.inside == 1)
    assert token_of(keeper.get("me")) == "at-1"
    world.provider.gate.set()
    world.settle(keeper)
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


def test_aget_decides_as_get_does(world: World) -> None:
    keeper = world.signed_in()

    def interaction(min_ttl: float = 0.0) -> str:
        return token_of(asyncio.run(keeper.aget("me", min_ttl=min_ttl)))

    world.clock.advance(1800)
    assert interaction(min_ttl=1700) == "at-1"
    assert interaction(min_ttl=1900) == "at-2"
    world.clock.advance(3300)
    assert interaction() == "at-2", "due: returned, and renewed in the background"
    world.settle(keeper)
    assert interaction() == "at-3"
    world.clock.advance(3600)
    assert interaction() == "at-4"


def test_expired_credential_is_never_returned(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"


@pytest.mark.parametrize("way", ["get", "aget", "refresh"])
def test_caller_that_wakes_up_late_gets_a_credential_that_has_not_expired(
    world: World, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    wait, late = SharedFuture.wait, [3.0, 3600.0]
    world.provider.lifetime = 3.0

    def wake_up_late(future: SharedFuture[Any], timeout: float) -> Any:
        result = wait(future, timeout)
        world.settle(keeper)
        world.clock.advance(late.pop() if late else 0.0)
        return result

    monkeypatch.setattr(SharedFuture, "wait", wake_up_late)
    credential = asyncio.run(keeper.aget("me")) if way == "aget" else getattr(keeper, way)("me")
    assert not credential.expired()
    assert token_of(credential) == "at-4"


def test_caller_that_always_wakes_up_late_gets_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = world.signed_in()
    wait = SharedFuture.wait

    def wake_up_late(future: SharedFuture[Any], timeout: float) -> Any:
        result = wait(future, timeout)
        world.settle(keeper)
        world.clock.advance(3600)
        return result

    monkeypatch.setattr(SharedFuture, "wait", wake_up_late)
    world.clock.advance(3600)
    with raises_code(TransientError, "no-newer-credential"):
        keeper.get("me")


def test_min_ttl_renews_a_fresh_credential(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(1800)
    assert token_of(keeper.get("me", min_ttl=1700)) == "at-1"
    assert token_of(keeper.get("me", min_ttl=1900)) == "at-2"


@pytest.mark.parametrize("lead", [None, 0.0])
def test_new_credential_satisfies_any_min_ttl(world: World, lead: float | None) -> None:
    world.provider.answers = lambda token: evolve(token, lead=lead)
    keeper = world.signed_in()
    world.clock.advance(3600)
    for _ in range(5):
        assert token_of(keeper.get("me", min_ttl=100_000)) == "at-2"
        world.clock.advance(5)
    assert world.provider.sent == ["rt-1"], "25 s are within the attempt floor"


@pytest.mark.parametrize(("lifetime", "age", "wanted"), [(60.0, 9.0, 57.0), (3600.0, 240.0, 3500.0), (3600, 31, 3600)])
def test_min_ttl_within_the_lifetime_is_met_after_the_attempt_floor(
    world: World, lifetime: float, age: float, wanted: float
) -> None:
    world.provider.lifetime = lifetime
    keeper = world.signed_in()
    world.clock.advance(1)
    assert token_of(keeper.get("me", min_ttl=wanted)) == "at-1", "a new one is new enough"
    world.clock.advance(age - 1)
    assert token_of(keeper.get("me", min_ttl=wanted)) == "at-2"


def test_huge_min_ttl_renews_only_after_lead_and_jitter(world: World) -> None:
    world.random = 1.0
    keeper = world.signed_in()
    world.clock.advance(329)
    assert token_of(keeper.get("me", min_ttl=100_000)) == "at-1"
    world.clock.advance(2)
    assert token_of(keeper.get("me", min_ttl=100_000)) == "at-2"


def borrow(world: World, *tokens: str) -> None:
    """Let another tool have these tokens, one after the other, with 17 s left each time they are read."""
    coming = list(tokens)
    world.provider.lifetime = 17.0
    world.provider.variable = coming.pop(0)
    look = world.provider._look

    def found(profile: Profile) -> Detected | None:
        if coming and world.provider.acquired:
            world.provider.variable = coming.pop(0)
        return look(profile)

    world.provider._look = found  # type: ignore[method-assign]


@pytest.mark.parametrize("way", ["get", "aget"])
def test_borrowed_credential_that_ends_too_soon_is_an_error(world: World, way: str) -> None:
    borrow(world, "old")
    keeper = world.keeper()
    for _ in range(2):
        with raises_code(TransientError, "expires-too-soon") as caught:
            keeper.get("me", min_ttl=600) if way == "get" else asyncio.run(keeper.aget("me", min_ttl=600))
        assert caught.value.profile == "me"
    assert world.provider.acquired == [VARIABLE] * 2, "no third look within the floor"
    assert token_of(keeper.get("me", min_ttl=10)) == token_of(keeper.get("me")) == "old"


def test_error_about_a_credential_that_ends_too_soon_ends_when_there_is_a_newer_one(world: World) -> None:
    borrow(world, "old")
    keeper = world.keeper()
    with raises_code(TransientError, "expires-too-soon"):
        keeper.get("me", min_ttl=600)
    world.provider.lifetime, world.provider.variable = 3600.0, "newer"
    world.clock.advance(2)
    assert token_of(keeper.get("me", min_ttl=600)) == "newer"


def test_newer_borrowed_credential_is_found_at_a_second_look(world: World) -> None:
    borrow(world, "old", "new")
    keeper = world.keeper()
    assert token_of(keeper.get("me", min_ttl=600)) == "new", "a new one lasts no longer, so that is all there is"
    assert token_of(keeper.get("me", min_ttl=600)) == "new"
    assert len(world.provider.acquired) == 2


def test_borrowed_credential_without_an_expiry_satisfies_any_min_ttl(world: World) -> None:
    world.provider.variable, world.provider.lifetime = "endless", None
    assert token_of(world.keeper().get("me", min_ttl=600)) == "endless"
    assert len(world.provider.acquired) == 1


def test_min_ttl_is_met_even_after_joining_another_renewal(world: World) -> None:
    world.signed_in()
    world.clock.advance(3400)
    keeper = world.keeper()
    assert token_of(keeper.get("me", min_ttl=600)) == "at-2", "the stored one has 200 s left"


def test_credential_without_expiry_is_never_renewed(world: World) -> None:
    world.provider.lifetime = None
    keeper = world.signed_in()
    world.clock.advance(1e8)
    assert token_of(keeper.get("me", min_ttl=1e9)) == "at-1"


# --- refused ------------------------------------------------------------------------------------------------------


def test_concurrent_callers_with_a_refused_credential_share_one_renewal(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(60)
    refused = keeper.get("me")
    world.hold_until(lambda: world.provider.inside)
    answers = in_threads(20, lambda: keeper.get("me", refused=refused))
    assert [token_of(answer) for answer in answers] == ["at-2"] * 20
    assert world.provider.sent == ["rt-1"]


def test_refusal_of_an_older_credential_renews_nothing(world: World) -> None:
    keeper = world.signed_in()
    older = keeper.get("me")
    world.clock.advance(3600)
    newer = keeper.get("me")
    assert keeper.get("me", refused=older) is newer
    assert world.provider.sent == ["rt-1"]


def test_a_refusal_adopts_what_another_process_renewed(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    refused = keeper.get("me")
    other.refresh("me")
    assert token_of(keeper.get("me", refused=refused)) == "at-2"
    assert world.provider.sent == ["rt-1"]


def test_new_credential_that_is_refused_is_not_renewed_within_the_floor(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    refused = keeper.get("me")
    for _ in range(3):
        with raises_code(TransientError, "renewal-paused") as caught:
            keeper.get("me", refused=refused)
        assert caught.value.retry_after == pytest.approx(30)
    assert world.provider.sent == ["rt-1"]
    assert keeper.get("me") is refused, "other callers still get it"
    world.clock.advance(31)
    assert token_of(keeper.get("me", refused=refused)) == "at-3"


def test_renewals_that_return_the_refused_token_again_are_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = world.signed_in()
    refused = keeper.get("me")
    world.clock.advance(60)
    monkeypatch.setattr(HintsFile, "write", lambda self, hints: None)  # otherwise, pauses end it earlier
    world.provider.answers = lambda token: evolve(token, access_token=Secret("at-1"))
    with raises_code(TransientError, "no-newer-credential") as caught:
        keeper.get("me", refused=refused)
    assert caught.value.profile == "me"
    assert world.provider.sent == ["rt-1", "rt-2", "rt-3"]


def test_refusals_inside_the_pause_do_not_prolong_it(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    world.clock.advance(3600)
    refused = keeper.get("me")
    other.get("me")
    for _ in range(29):
        world.clock.advance(1)
        with pytest.raises(TransientError):
            other.get("me", refused=refused)
        with pytest.raises(TransientError):
            keeper.get("me", refused=refused)
    world.clock.advance(2)
    assert token_of(other.get("me", refused=refused)) == "at-3"


# --- what the user does -------------------------------------------------------------------------------------------


def test_without_sign_in_each_call_says_what_to_run(world: World) -> None:
    keeper, other = world.keeper(), world.keeper()
    for each in (keeper, keeper, other):
        with raises_code(LoginRequired, "no-credential-found") as caught:
            each.get("me")
        assert caught.value.hint == "Run: freshkey login me"
    assert world.provider.acquired == []


def test_refresh_renews_a_fresh_credential_and_ignores_pauses(world: World) -> None:
    keeper = world.signed_in()
    assert token_of(keeper.refresh("me")) == "at-2"
    assert token_of(keeper.refresh("me")) == "at-3"
    assert token_of(world.keeper().refresh("me")) == "at-4"


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("lifetime", [None, 3600.0])
def test_refresh_of_what_cannot_be_renewed_reads_it_again(world: World, lifetime: float | None, cold: bool) -> None:
    keeper = world.unrenewable(lifetime)
    asking = world.keeper(interaction=User()) if cold else keeper
    world.clock.advance(0.0 if lifetime is None else lifetime - 60)
    for _ in range(2):
        assert token_of(asking.refresh("me")) == "at-1"
    assert (world.provider.sent, snapshot(world).generation) == ([], 1)
    assert asking.status("me").last_error is None


def test_refresh_finds_the_key_that_another_process_has_stored(world: World) -> None:
    keeper = world.unrenewable(None)
    other = world.keeper()
    other.login("me", interaction=world.user, replace=True)
    assert token_of(keeper.refresh("me")) == token_of(keeper.get("me")) == "at-2"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("expires", "the sign-in has expired and cannot be renewed"),
        ("expires, refresh", "the sign-in has expired and cannot be renewed"),
        ("rejected", "the provider rejected the sign-in, which cannot be renewed"),
        ("min_ttl", "the sign-in cannot be renewed"),
    ],
)
def test_what_cannot_be_renewed_is_called_expired_only_if_it_is(world: World, act: str, message: str) -> None:
    keeper = world.unrenewable(3600.0)
    held = keeper.get("me")
    world.clock.advance(3600 if act.startswith("expires") else 1800)
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        if act.endswith("refresh"):
            keeper.refresh("me")
        else:
            keeper.get("me", refused=held if act == "rejected" else None, min_ttl=3000 if act == "min_ttl" else 0)
    assert (caught.value.message, caught.value.hint) == (message, "Run: freshkey login me")


def test_refresh_of_an_expired_credential_renews_once(world: World) -> None:
    world.signed_in()
    world.clock.advance(4000)
    assert token_of(world.keeper().refresh("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


def test_refresh_ignores_the_pause_after_a_failure(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        keeper.get("me")
    with pytest.raises(TransientError):
        keeper.get("me")
    assert token_of(keeper.refresh("me")) == "at-2"


def test_refresh_of_a_borrowed_credential_fetches_it_again(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    assert token_of(keeper.refresh("me")) == "borrowed-1"
    assert token_of(keeper.refresh("me")) == "borrowed-1"


def test_an_interactive_keeper_asks_once(world: World) -> None:
    user = User(declines=True)
    keeper = world.keeper(interaction=user)
    for _ in range(3):
        with pytest.raises(LoginRequired):
            keeper.get("me")
    assert len(user.opened) == 1


def test_interactive_keeper_stores_the_sign_in(world: World) -> None:
    keeper = world.keeper(interaction=User())
    assert token_of(keeper.get("me")) == "at-1"
    assert token_of(world.keeper().get("me")) == "at-1"


def test_an_interactive_keeper_asks_again_for_the_next_loss(world: World) -> None:
    user = User()
    keeper = world.keeper(interaction=user)
    keeper.get("me")
    world.clock.advance(3600)
    world.provider.revoked = True
    assert token_of(keeper.get("me")) == "at-2"
    assert len(user.opened) == 2
    assert world.provider.sent == ["rt-1"]


def test_inspect_explain_describe_and_profiles(world: World) -> None:
    keeper = world.signed_in()
    assert keeper.inspect("me").validity is Validity.VALID
    assert keeper.describe("me").title == "Rotating"
    assert keeper.profiles() == ("me", "also-me")
    explanation = keeper.explain()
    assert explanation.selected_by.startswith("default")
    assert [(step.source.id, step.wins) for step in explanation.steps] == [(VARIABLE, False), (SIGN_IN, True)]


# --- borrowed -----------------------------------------------------------------------------------------------------


def test_borrowed_credential_never_uses_the_store(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = "borrowed-2"
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "borrowed-2"
    assert world.journal == [f"acquire {VARIABLE}"] * 2
    assert world.store.contents == {}


def test_a_borrowed_credential_that_is_refused_and_unchanged_is_an_error(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    refused = keeper.get("me")
    world.clock.advance(31)
    with raises_code(ProviderRefused, "credential-refused"):
        keeper.get("me", refused=refused)
    world.clock.advance(31)
    world.provider.variable = "borrowed-2"
    assert token_of(keeper.get("me", refused=refused)) == "borrowed-2"


def test_a_borrowed_credential_does_not_wait_for_the_sign_ins_server(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        keeper.get("me")
    world.provider.variable = "borrowed-1"
    assert token_of(world.keeper().get("me")) == "borrowed-1"


def test_borrowed_source_that_needs_the_user_is_not_called_for_every_caller(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("sign in to that tool", code="example-signed-out")
    keeper, other = world.keeper(), world.keeper()
    for each in (keeper, keeper, other):
        with raises_code(LoginRequired, "example-signed-out"):
            each.get("me")
    assert world.provider.acquired == [VARIABLE]
    world.provider.acquire_error = None
    world.clock.advance(31)
    assert token_of(keeper.get("me")) == "borrowed-1"


# --- events -------------------------------------------------------------------------------------------------------


def test_events_from_sign_in_to_sign_out(world: World) -> None:
    keeper = world.keeper()
    events = collect(keeper)
    keeper.login("me", interaction=User())
    first = keeper.get("me")
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    world.clock.advance(31)
    world.provider.revoked = True
    with raises_code(LoginRequired, "sign-in-required") as caught:
        keeper.get("me")
    world.settle(keeper)
    world.provider.identity = Identity(account="bob", email="bob@example.com")
    keeper.login("me", interaction=User())
    keeper.logout("me")
    until(lambda: len(events) == 7, "seven events")
    bob = world.provider.identity
    second, third = (after(first.expires_at, hours=1), after(first.expires_at, hours=2, seconds=31))
    assert events == [
        Obtained(profile="me", source=SIGN_IN, expires_at=first.expires_at),
        Renewed(profile="me", generation=2, expires_at=second),
        RenewalFailed(profile="me", error="me: no route", code="temporarily-unavailable", retry_in=30.0),
        SignInNeeded(profile="me", reason=str(caught.value), code=caught.value.code),
        Renewed(profile="me", generation=3, expires_at=third),
        AccountChanged(profile="me", before=ADA, after=bob),
        events[-1],
    ]
    assert isinstance(events[-1], SignedOut)
    assert (events[-1].profile, events[-1].revoked) == ("me", True)
    assert "freshkey login me" in str(caught.value.hint)


def after(moment: datetime | None, *, hours: float, seconds: float = 0.0) -> datetime:
    assert moment is not None
    return moment + timedelta(hours=hours, seconds=seconds)


def test_learning_the_identity_is_not_an_account_change(world: World) -> None:
    world.provider.identity = Identity()
    keeper = world.signed_in()
    events = collect(keeper)
    world.provider.identity = Identity(account="ada", organization="engines")
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [Renewed]


def test_sign_in_needed_is_sent_once(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    world.clock.advance(3600)
    world.provider.revoked = True
    for _ in range(5):
        with pytest.raises(LoginRequired):
            keeper.get("me")
        world.settle(keeper)
    assert [type(event) for event in events] == [SignInNeeded]


def test_exception_of_a_subscriber_is_logged_and_has_no_effect(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = world.signed_in()

    def careless(event: object) -> None:
        raise RuntimeError(str(event))

    unsubscribe = keeper.subscribe(careless)
    events = collect(keeper)
    keeper.refresh("me")
    world.settle(keeper)
    until(lambda: len(events) == 1)
    assert "RuntimeError in test_keeper.py" in caplog.text
    unsubscribe()
    unsubscribe()
    caplog.clear()
    keeper.refresh("me")
    world.settle(keeper)
    until(lambda: len(events) == 2)
    assert caplog.text == ""


# --- opening and ending -------------------------------------------------------------------------------------------


def test_prefetch_returns_at_once_and_get_finds_the_credential(world: World) -> None:
    world.signed_in()
    keeper = world.keeper()
    keeper.prefetch("me")
    until(lambda: "me" in keeper._held)
    world.journal.clear()
    assert token_of(keeper.get("me")) == "at-1"
    assert world.journal == []


def test_prefetch_does_not_raise_and_a_later_get_does(world: World) -> None:
    keeper = world.keeper()
    keeper.prefetch("no-such-profile")
    keeper.prefetch()
    with raises_code(ConfigurationError, "unknown-profile") as caught:
        keeper.get("no-such-profile")
    assert "no-such-profile" in str(caught.value)
    with pytest.raises(LoginRequired):
        keeper.get()


def test_profile_that_failed_to_open_is_opened_again(world: World) -> None:
    keeper = world.keeper()
    described, world.provider.describe = world.provider.describe, None  # type: ignore[method-assign, assignment]
    with pytest.raises(PluginBroken):
        keeper.get("me")
    world.provider.describe = described  # type: ignore[method-assign]
    with pytest.raises(LoginRequired):
        keeper.get("me")


def test_provider_that_hangs_while_loading_does_not_block_other_profiles(world: World) -> None:
    world.signed_in()
    keeper = world.keeper()
    keeper._timeout = 0.05
    opening, proceed = threading.Event(), threading.Event()
    new_holding = keeper._profiles._new_managed

    def slow(name: str, account: str | None) -> Any:
        if name == "also-me":
            opening.set()
            proceed.wait()
        return new_holding(name, account)

    keeper._profiles._new_managed = slow  # type: ignore[method-assign]
    for interaction in (keeper.get, keeper.refresh, lambda name: asyncio.run(keeper.aget(name))):
        with raises_code(TransientError, "renewal-timed-out") as caught:
            interaction("also-me")
        assert caught.value.profile == "also-me"
    assert opening.is_set()
    keeper._timeout = 20
    assert token_of(keeper.get("me")) == "at-1"
    proceed.set()
    assert keeper.status("also-me").profile.name == "also-me"


def test_close_waits_for_a_renewal_and_later_calls_raise(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.gate.clear()
    answers: list[Credential] = []
    asking = threading.Thread(target=lambda: answers.append(keeper.get("me")))
    asking.start()
    until(lambda: world.provider.inside == 1)
    closing = threading.Thread(target=keeper.close)
    closing.start()
    until(lambda: keeper._profiles.closed)
    assert closing.is_alive()
    world.provider.gate.set()
    closing.join(20)
    asking.join(20)
    assert not closing.is_alive()
    assert [token_of(answer) for answer in answers] == ["at-2"]
    assert token_of(world.keeper().get("me")) == "at-2", "it was saved"
    for name in ("me", "also-me", None):
        for interaction in (keeper.get, keeper.refresh, keeper.status, lambda name: asyncio.run(keeper.aget(name))):
            with raises_code(KeeperClosed, "keeper-closed"):
                interaction(name)


def test_a_keeper_is_a_context_manager(world: World) -> None:
    world.signed_in()
    with world.keeper() as keeper:
        keeper.get("me")
    with pytest.raises(KeeperClosed):
        keeper.get("me")


def test_unclosed_keeper_is_collected_and_its_thread_ends(world: World) -> None:
    keeper = world.signed_in(scheduler=True)
    thread = timer_thread(keeper)
    world.clock.wait_until_waiting(1)
    world.keepers.clear()
    gone = weakref.ref(keeper)
    del keeper
    until(lambda: gc.collect() >= 0 and gone() is None, "collection")
    world.clock.advance(30)
    thread.join(20)
    assert not thread.is_alive()


def test_lost_response_is_recovered_if_the_server_has_a_grace_period(world: World) -> None:
    keeper = world.signed_in()
    world.provider.grace = True
    world.provider.script.append(LOST)
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"


# --- processes ----------------------------------------------------------------------------------------------------


def run_here(program: str, *arguments: str) -> str:
    # Python 3.12 and later warn about every fork in a process with threads.
    return output_of(program, *arguments, warnings="ignore::DeprecationWarning", support=True)


@proves("FAULT-22", "ROT-11")
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="fork is not available")
def test_forked_child_returns_the_held_credential_and_can_renew(tmp_path: Path) -> None:
    out = run_here(
        textwrap.dedent("""
        import os, pathlib
        from rotating import World, token_of
        from waiting import until
        world = World(pathlib.Path(sys.argv[1]))
        keeper = world.signed_in(scheduler=True)
        keeper.get("me")
        until(lambda: keeper._scheduler._thread is not None)
        # Locks that other threads of the parent hold during the fork.
        (managed,) = keeper.all_managed()
        profiles = keeper._profiles
        opening = profiles._opening_mutexes.values()
        mutexes = [profiles._mutex, *opening, keeper._scheduler._mutex, managed._mutex]
        for mutex in mutexes:
            mutex.acquire()
        pid = os.fork()
        if pid == 0:
            # The child can use the test's clock and provider: no thread of the parent is in them.
            assert token_of(keeper.get("me")) == "at-1"
            until(lambda: keeper._scheduler._thread is not None)
            keeper._scheduler.stop()
            assert token_of(keeper.refresh("me")) == "at-2"
            os._exit(0)
        for mutex in mutexes:
            mutex.release()
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        world.close()
        """),
        str(tmp_path / "state"),
    )
    assert out == "0\n"


def test_renewal_that_has_begun_when_the_interpreter_exits_is_saved(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    assert run_here(KEPT_IN_A_FILE + RENEWS_AT_EXIT, str(tmp_path / "state"), str(kept)) == "at-1\n"
    assert json.loads(kept.read_text()).keys() == {"0.0", "1.0"}
    assert run_here(KEPT_IN_A_FILE + READS, str(tmp_path / "state"), str(kept)) == "at-2\n"


KEPT_IN_A_FILE = """
import json, pathlib, threading
from rotating import World, token_of
from waiting import until
world = World(pathlib.Path(sys.argv[1]))
kept = pathlib.Path(sys.argv[2])
items = world.store.items
if kept.exists():
    items._values.update(json.loads(kept.read_text()))
in_memory = items.set
items.set = lambda name, value: (in_memory(name, value), kept.write_text(json.dumps(items._values)))
"""

RENEWS_AT_EXIT = """
keeper = world.signed_in()
world.clock.advance(3301)
world.provider.gate.clear()
threading.Thread(target=lambda: (threading.main_thread().join(), world.provider.gate.set())).start()
print(token_of(keeper.get("me")))
until(lambda: "0.0" in items._values, "the intent")  # what has sent nothing does not hold the exit
"""

READS = """
print(token_of(world.keeper().get("me")))
"""
