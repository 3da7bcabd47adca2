"""Automatic sources: fetched when first asked for, kept and shared, and fetched again without the user."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

import pytest
from attrs import evolve

from freshkey import _failpoints
from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused, StoreUnavailable, TransientError
from freshkey.events import SignInEnding
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential
from freshkey.model.identity import Identity
from freshkey.model.reason import Reason
from freshkey.secret import Secret
from leasing import LeaseProvider, user_of
from promises import proves
from raises_code import raises_code
from rotating import MACHINE, SIGN_IN, Asking, RotatingProvider, World, collect, hints, in_threads, snapshot, token_of
from waiting import until


@pytest.fixture
def leases(world: World) -> LeaseProvider:
    """Make the provider of that machine one of leases; request this fixture before creating a keeper."""
    world.provider = provider = LeaseProvider(world.clock, world.journal, world.store)
    return provider


def test_it_is_fetched_once_and_shared(world: World, leases: LeaseProvider) -> None:
    keepers = [world.keeper() for _ in range(4)]
    answers = in_threads(8, lambda: [user_of(keeper.get("me")) for keeper in keepers])
    assert answers == [["user-1"] * 4] * 8
    assert leases.acquired == [MACHINE]
    assert world.user.opened == []


def test_lease_that_is_due_is_extended(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(3590)
    world.run_once(keeper)
    second = keeper.get("me")
    assert user_of(second) == user_of(first)
    assert second.obtained != first.obtained
    assert (leases.reasons, leases.acquired) == ([Reason.DUE], [MACHINE])


@pytest.mark.parametrize(
    "error", [LoginRequired("gone"), LoginRequired("gone?", doubtful=True)], ids=["final", "doubt"]
)
def test_lease_whose_end_the_provider_says_is_replaced(
    world: World, leases: LeaseProvider, error: LoginRequired
) -> None:
    keeper = world.keeper()
    keeper.get("me")
    leases.refuses = [error]
    world.clock.advance(3700)
    assert user_of(keeper.get("me")) == "user-2"
    assert leases.acquired == [MACHINE, MACHINE]
    status = keeper.status("me")
    assert (status.sign_in_needed, status.last_error, status.generation) == (None, None, 2)


def test_what_was_refused_for_good_is_not_sent_again(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    keeper.get("me")
    leases.refuses = [LoginRequired("gone")]
    leases.acquire_error = TransientError("no route")
    world.clock.advance(3700)
    for asking in (keeper, world.keeper()):
        world.clock.advance(120)
        with raises_code(TransientError, "temporarily-unavailable"):
            asking.get("me")
        assert (asking.status("me").sign_in_needed, asking.status("me").renews) == (None, True)
    leases.acquire_error = None
    world.clock.advance(120)
    assert user_of(keeper.get("me")) == "user-2"
    assert leases.reasons == [Reason.DUE], "once, in all processes"


def test_refusal_of_the_machine_itself_pauses_like_a_failed_request(world: World, leases: LeaseProvider) -> None:
    leases.acquire_error = LoginRequired("the key was revoked", hint="Make another key")
    keeper = world.keeper()
    for _ in range(3):
        with raises_code(LoginRequired, "sign-in-required") as caught:
            keeper.get("me")
        assert caught.value.hint == "Make another key"
    assert leases.acquired == [MACHINE]
    world.clock.advance(61)
    leases.acquire_error = None
    assert user_of(keeper.get("me")) == "user-1"


def test_machine_is_told_what_to_replace_if_the_provider_does_not_say(world: World, leases: LeaseProvider) -> None:
    leases.acquire_error = LoginRequired("the key was revoked")
    keeper = world.keeper()
    with raises_code(LoginRequired, "sign-in-required") as caught:
        keeper.get("me")
    assert caught.value.hint == "Replace the key from this machine"
    with raises_code(LoginRequired, "sign-in-required") as caught:
        keeper.login("me", source=MACHINE, interaction=world.user)
    assert caught.value.hint == "Replace the key from this machine"
    leases.key_is_there, leases.acquire_error = False, LoginRequired("the key was revoked")
    with raises_code(LoginRequired, "sign-in-required") as caught:
        keeper.login("me", source=MACHINE, interaction=world.user)
    assert caught.value.hint is None


def test_user_is_told_how_to_try_again_if_the_provider_does_not_say(world: World, leases: LeaseProvider) -> None:
    leases.acquire_error = LoginRequired("wrong password")
    with raises_code(LoginRequired, "sign-in-required") as caught:
        world.keeper().login("me", source=SIGN_IN, interaction=world.user)
    assert caught.value.hint == "Run: freshkey login me"


def test_refused_lease_is_replaced_and_never_handed_back(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(60)
    assert user_of(keeper.get("me", refused=first)) == "user-2"
    assert leases.reasons == [Reason.REFUSED]


def test_refused_lease_that_the_provider_extends_all_the_same_is_fetched_anew(
    world: World, leases: LeaseProvider
) -> None:
    leases.extends = True
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(60)
    assert user_of(keeper.get("me", refused=first)) == "user-2"
    assert (leases.reasons, leases.acquired) == ([Reason.REFUSED], [MACHINE, MACHINE])


class Killed(KeyboardInterrupt):
    """The process ends here."""


@pytest.fixture
def stubborn(world: World) -> RotatingProvider:
    """Let a machine get single-use refresh tokens, with which it can only renew the same access token."""
    world.provider.machine = world.provider.machine_renews = True
    world.provider.answers = lambda token: evolve(token, access_token=Secret("at-1"))
    return world.provider


@proves("ROT-4")
def test_refresh_token_that_came_with_the_refused_access_token_is_saved_before_another_is_acquired(
    world: World, stubborn: RotatingProvider
) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(60)
    world.journal.clear()
    stubborn.acquire_error = TransientError("no route")
    with raises_code(TransientError, "temporarily-unavailable"):
        keeper.get("me", refused=first)
    attempts = [step for step in world.journal if step != "acquire machine"]
    assert attempts == ["lock", "load", "intend", "refresh", "save", "release"]
    assert world.journal.index("save") < world.journal.index("acquire machine")
    assert (snapshot(world).generation, snapshot(world).intent) == (2, None)

    stubborn.acquire_error = None
    stubborn.answers = lambda token: token
    world.clock.advance(120)
    for asking in (keeper, world.keeper()):
        assert token_of(asking.get("me", refused=first)) == "at-3"
    assert stubborn.sent == ["rt-1", "rt-2"], "each once"
    assert not stubborn.revoked


@proves("ROT-4")
@pytest.mark.parametrize("point", ["committed", "read_back"])
def test_process_killed_before_it_acquires_another_leaves_the_refresh_token_that_works(
    world: World, stubborn: RotatingProvider, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(60)
    monkeypatch.setattr(_failpoints, "at", lambda reached: _die() if reached == point else None)
    with pytest.raises(FreshkeyError):
        keeper.get("me", refused=first)
    monkeypatch.undo()
    assert stubborn.acquired == [MACHINE]
    stubborn.answers = lambda token: token
    world.clock.advance(120)
    assert token_of(world.keeper().get("me", refused=first)) == "at-3"
    assert stubborn.sent == ["rt-1", "rt-2"]
    assert not stubborn.revoked


def _die() -> NoReturn:
    raise Killed


def test_store_that_takes_no_refused_access_token_does_not_keep_the_machine_from_another(
    world: World, stubborn: RotatingProvider
) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    world.clock.advance(60)
    stubborn.script.append(lambda: world.store.failing.add("save"))
    asking = Asking(keeper, refused=first)
    until(lambda: _passes(world) and stubborn.acquired == [MACHINE, MACHINE])
    world.store.failing.clear()
    until(lambda: _passes(world) and not asking.waits)
    assert asking.answer() == "at-3"
    world.settle(keeper)
    assert snapshot(world).generation == 2


def _passes(world: World) -> bool:
    world.clock.advance(1.0)
    return True


def test_machine_that_gets_the_refused_lease_again_is_an_error(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    leases.refuses = [LoginRequired("gone")]
    leases._leases = 0
    world.clock.advance(60)
    with raises_code(ProviderRefused, "credential-refused"):
        keeper.get("me", refused=first)


def test_refusal_is_remembered_until_there_is_another_lease(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    first = keeper.get("me")
    leases.refuses = [TransientError("busy", retry_after=120)]
    world.clock.advance(60)
    with raises_code(TransientError, "temporarily-unavailable"):
        keeper.get("me", refused=first)
    assert user_of(keeper.get("me")) == "user-1", "others may still be accepted"
    world.clock.advance(3590)
    world.run_once(keeper)
    assert user_of(keeper.get("me")) == "user-2"
    assert leases.reasons == [Reason.REFUSED, Reason.REFUSED]
    world.clock.advance(3590)
    world.run_once(keeper)
    assert user_of(keeper.get("me")) == "user-2"
    assert leases.reasons[2:] == [Reason.DUE]


def test_min_ttl_and_the_user_ask(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(600)
    keeper.get("me", min_ttl=3300)
    keeper.refresh("me")
    world.clock.advance(3700)
    keeper.get("me", min_ttl=60)
    assert leases.reasons == [Reason.ASKED, Reason.ASKED, Reason.DUE], "what has ended is due, whoever asks"


def test_lease_that_cannot_last_longer_is_replaced_in_time(world: World, leases: LeaseProvider) -> None:
    leases.ends_at_latest = world.clock.now().utc + timedelta(seconds=5000)
    keeper = world.keeper()
    assert keeper.get("me").seconds_left() == 3600
    world.clock.advance(3500)
    world.run_once(keeper)
    capped = keeper.get("me")
    assert (user_of(capped), capped.expires_at) == ("user-1", leases.ends_at_latest), "extended, up to the latest end"
    leases.ends_at_latest = None
    world.clock.advance(1400)
    world.run_once(keeper)
    assert user_of(keeper.get("me")) == "user-2"
    assert (leases.reasons, leases.acquired) == ([Reason.DUE], [MACHINE, MACHINE])


def test_sign_in_that_cannot_last_longer_ends_without_a_request(world: World, leases: LeaseProvider) -> None:
    leases.key_is_there = False
    leases.ends_at_latest = world.clock.now().utc + timedelta(seconds=1800)
    keeper = world.signed_in()
    assert keeper.get("me").refresh_at is not None
    world.clock.advance(1800)
    with raises_code(LoginRequired, "sign-in-ended"):
        keeper.get("me")
    assert leases.reasons == []
    status = keeper.status("me")
    assert (status.sign_in_code, status.renews) == ("sign-in-ended", False)


@pytest.fixture
def capped(world: World, leases: LeaseProvider) -> Keeper:
    """Return a keeper that has signed in for half an hour at most, although what it got would last for an hour."""
    leases.key_is_there = False
    leases.ends_at_latest = world.clock.now().utc + timedelta(seconds=1800)
    return world.signed_in()


def test_sign_in_that_cannot_last_longer_is_announced_and_not_extended_in_vain(
    world: World, leases: LeaseProvider, capped: Keeper
) -> None:
    events = collect(capped)
    assert capped.status("me").sign_in_ending is False
    world.pass_time(1790, capped, step=10)
    assert user_of(capped.get("me", min_ttl=60)) == "user-1", "none lasts longer"
    status = capped.status("me")
    assert (status.renews, status.sign_in_ending, status.sign_in_needed) == (False, True, None)
    assert [event.ends_at for event in events if isinstance(event, SignInEnding)] == [leases.ends_at_latest]
    assert leases.reasons == []


def test_sign_in_that_cannot_last_longer_is_renewed_where_a_server_refuses_it(
    world: World, leases: LeaseProvider, capped: Keeper
) -> None:
    world.clock.advance(60)
    assert user_of(capped.get("me", refused=capped.get("me"))) == "user-2"
    assert leases.reasons == [Reason.REFUSED]


def test_user_may_renew_a_sign_in_that_cannot_last_longer(world: World, leases: LeaseProvider, capped: Keeper) -> None:
    world.clock.advance(60)
    capped.refresh("me")
    assert leases.reasons == [Reason.ASKED]
    world.clock.advance(1800)
    with raises_code(LoginRequired, "sign-in-ended"):
        capped.refresh("me")


def test_end_of_what_an_automatic_source_got_is_no_reason_to_warn(world: World, leases: LeaseProvider) -> None:
    leases.ends_at_latest = world.clock.now().utc + timedelta(seconds=1800)
    keeper = world.keeper()
    events = collect(keeper)
    keeper.get("me")
    world.clock.advance(1799)
    keeper._scheduler.run_once()
    assert keeper.status("me").sign_in_ending is False
    world.settle(keeper)
    assert not [event for event in events if isinstance(event, SignInEnding)]


def test_sign_in_wins_until_the_sign_out(world: World, leases: LeaseProvider) -> None:
    keeper, other = world.keeper(), world.keeper()
    assert keeper.get("me").source == other.get("me").source == MACHINE
    keeper.login("me", interaction=world.user)
    assert world.user.questions == [], "no one signed in for the lease"
    for each in (keeper, world.keeper()):
        assert each.get("me").source == each.status("me").source == SIGN_IN
        assert [step.source.id for step in each.explain("me").steps if step.wins] == [SIGN_IN]
    assert 'the next use gets a new credential from "This machine\'s key"' in keeper.logout("me").detail
    assert snapshot(world).payload is None
    assert keeper.get("me").source == MACHINE


def test_sign_out_ends_the_lease_and_says_that_another_one_follows(world: World, leases: LeaseProvider) -> None:
    keeper, other = world.keeper(), world.keeper()
    keeper.get("me")
    other.get("me")
    events = collect(keeper)
    said = keeper.logout("me")
    until(lambda: events)
    assert events == [said]
    assert said.detail.endswith('; the next use gets a new credential from "This machine\'s key"')
    assert user_of(keeper.get("me")) == "user-2"
    leases.key_is_there = False
    assert "next use" not in keeper.logout("me").detail
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me")
    assert hints(world).signed_out


def test_lease_of_another_server_is_replaced(world: World, leases: LeaseProvider) -> None:
    world.keeper().get("me")
    leases.binding = {"issuer": "https://elsewhere.example.com"}
    keeper = world.keeper()
    assert user_of(keeper.get("me")) == "user-2"
    assert leases.reasons == []
    assert snapshot(world).generation == 2


def test_without_a_store_nothing_is_fetched(world: World, leases: LeaseProvider) -> None:
    world.store.vanish()
    with raises_code(StoreUnavailable, "store-unavailable"):
        world.keeper().get("me")
    assert leases.acquired == []


def test_bare_mode_does_not_use_it(world: World, leases: LeaseProvider) -> None:
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper(bare=True).get("me")
    assert leases.acquired == []


def test_credential_without_a_token_is_told_by_its_secrets(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper()
    first: Credential = keeper.get("me")
    world.clock.advance(60)
    assert first.authorizes_like(keeper.refresh("me"))
    world.clock.advance(60)
    assert not first.authorizes_like(keeper.get("me", refused=first))


def test_it_is_not_taken_for_the_user_whose_sign_in_it_replaces(world: World) -> None:
    world.provider.machine = True
    keeper = world.keeper()
    world.provider.identity = Identity(account="ada")
    assert keeper.login("me", source=SIGN_IN, interaction=world.user).identity.account == "ada"
    world.provider.identity = Identity()
    assert keeper.login("me", source=MACHINE, interaction=world.user).identity == Identity()


def test_account_does_not_get_what_the_machine_gets(world: World, leases: LeaseProvider) -> None:
    keeper = world.keeper(settings={"store": "memory"})
    keeper.get("me")
    with raises_code(LoginRequired, "no-credential-found") as caught:
        keeper.get("me", account="eve")
    assert "freshkey login me/eve" in str(caught.value.hint)
    assert keeper.accounts("me") == ()
    keeper.login("me", account="ada", source=MACHINE, interaction=world.user)
    assert user_of(keeper.get("me", account="ada")) == "user-2"
    world.clock.advance(100_000)
    leases.refuses = [LoginRequired("gone")]
    assert user_of(keeper.get("me", account="ada")) == "user-3"
    keeper.logout("me", account="ada")
    with pytest.raises(LoginRequired):
        keeper.get("me", account="ada")
