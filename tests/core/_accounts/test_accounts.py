"""Accounts of one profile in a keeper: separate sign-ins, one description, a list, and their end."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from freshkey._files import private
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal import context as context_module
from freshkey._stores.records.codec import Codec
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused
from freshkey.events import Event, Obtained, Renewed, SignedOut
from freshkey.keeper import Keeper
from freshkey.model.credential import OAuthToken
from freshkey.model.description import Validity
from freshkey.model.identity import Identity
from freshkey.secret import Secret
from promises import proves
from python_program import output_of
from raises_code import raises_code
from rotating import SIGN_IN, User, World, token_of
from waiting import until


STORES = ("memory", "file")

ODD = ("ada", "ADA", "a/b", "../ada", "\u00e4", "a\u0308", "a\nb", "x" * 256)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    yield request.param
    world.settle()


def keeper_of(world: World, store: str = "memory", **arguments: Any) -> Keeper:
    """Return a keeper that asks no one, except in `Keeper.login`."""
    keeper = world.keeper(settings={"store": store}, **arguments)
    keeper.login = functools.partial(keeper.login, interaction=world.user)  # type: ignore[method-assign]
    return keeper


def files(directory: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(directory))


# --- apart ----------------------------------------------------------------------------------------------------------


class Folded(str):  # noqa: SLOT000  as an application may write it
    """Compares like a name for which case does not matter."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str.lower(self) == str.lower(other)

    def __hash__(self) -> int:
        return hash(str.lower(self))


@proves("STO-13")
def test_text_that_compares_in_its_own_way_finds_no_other_account(world: World) -> None:
    with keeper_of(world) as keeper:
        keeper.login("me", account="ada")
        for account in (Folded("ADA"), ["ada"]):
            with pytest.raises(LoginRequired if isinstance(account, str) else ConfigurationError):
                keeper.get("me", account=account)  # type: ignore[arg-type]  # what the test tries
        assert keeper.get("me", account=Folded("ada")) is keeper.get("me", account="ada")


@proves("STO-13")
def test_each_account_has_its_own_sign_in(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    tokens = {account: token_of(keeper.login("me", account=account)) for account in (None, *ODD)}
    assert len(set(tokens.values())) == len(tokens)
    other = keeper_of(world, store)
    for account, token in tokens.items():
        assert token_of(other.get("me", account=account)) == token
        assert token_of(asyncio.run(other.aget("me", account=account))) == token
        assert other.status("me", account=account).profile.account == account


def test_account_that_no_one_signed_in_to_needs_a_sign_in_and_says_which(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    keeper.login("me")
    keeper.login("me", account="grace")
    for ask in (keeper.get, keeper.refresh, lambda name, account: asyncio.run(keeper.aget(name, account=account))):
        with raises_code(LoginRequired, "no-credential-found") as caught:
            ask("me", account="ada")
        assert (caught.value.profile, caught.value.account) == ("me", "ada")
        assert caught.value.hint == "Run: freshkey login me/ada"
        assert str(caught.value).startswith("me/ada: ")


def test_selected_profile_has_accounts_too(world: World) -> None:
    keeper = keeper_of(world)
    token = token_of(keeper.login(account="ada"))
    assert token_of(keeper.get(account="ada")) == token_of(keeper.get("me", account="ada")) == token
    assert keeper._held[None, "ada"] is keeper._held["me", "ada"]
    with pytest.raises(LoginRequired):
        keeper.get()


def test_renewal_refusal_and_pause_are_the_accounts(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    for account in ("ada", "grace"):
        keeper.login("me", account=account)
    world.clock.advance(3590)
    world.provider.script.append(LoginRequired("the server no longer knows the refresh token"))
    with pytest.raises(LoginRequired):
        keeper.refresh("me", account="ada")
    assert token_of(keeper.refresh("me", account="grace")) == "at-3"
    assert keeper.status("me", account="ada").sign_in_needed is not None
    assert keeper.status("me", account="grace").sign_in_needed is None
    assert keeper.status("me").generation == 0


def test_another_process_sees_renewals_and_sign_outs_of_an_account(world: World) -> None:
    one, other = keeper_of(world, "file"), keeper_of(world, "file")
    one.login("me", account="ada")
    assert token_of(other.get("me", account="ada")) == "at-1"
    assert token_of(one.refresh("me", account="ada")) == "at-2"
    world.run_once(other)
    assert token_of(other.get("me", account="ada")) == "at-2"
    one.logout("me", account="ada")
    world.run_once(other)
    with pytest.raises(LoginRequired):
        other.get("me", account="ada")


@proves("STO-13")
def test_borrowed_credential_is_no_account(world: World) -> None:
    world.provider.variable = "borrowed"
    keeper = keeper_of(world)
    assert token_of(keeper.get("me")) == "borrowed"
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me", account="ada")
    keeper.login("me", account="ada")
    assert keeper.get("me", account="ada").source == SIGN_IN
    steps = {step.source.id: step.why for step in keeper.explain("me", account="ada").steps}
    assert "an account uses only its own sign-in" in steps.values()


def test_bare_mode_has_no_accounts(world: World) -> None:
    keeper = keeper_of(world, bare=True)
    with raises_code(ConfigurationError, "bare-mode"):
        keeper.get("me", account="ada")
    assert keeper.accounts("me") == ()


@proves("STO-13")
def test_record_that_was_moved_to_another_account_is_not_used(world: World) -> None:
    keeper = keeper_of(world)
    for account in (None, "ada", "grace"):
        keeper.login("me", account=account)
    stores = {each.context.profile.account: each.context for each in keeper.all_managed()}
    for taken, given in (("ada", "grace"), (None, "grace"), ("ada", None)):
        payload = stores[taken].store.load().payload
        assert payload is not None
        with raises_code(LoginRequired, "sign-in-of-another-account"):
            stores[given].codec.decode(payload)
    plain = Codec({"rotating-token": OAuthToken}, provider="rotating")
    payload = stores[None].store.load().payload
    assert payload is not None
    assert b"owner" not in payload.reveal().encode(), "what has no account is stored as before"
    assert plain.decode(payload).source == SIGN_IN


@pytest.mark.parametrize("wrong", ["", "a" * 257, "\ud800"])
def test_invalid_account_is_an_error_everywhere(world: World, wrong: str) -> None:
    keeper = keeper_of(world)
    for ask in (keeper.get, keeper.login, keeper.logout, keeper.status, keeper.inspect, keeper.explain, keeper.refresh):
        with raises_code(ConfigurationError, "invalid-account") as caught:
            ask("me", account=wrong)
        str(caught.value).encode()


# --- adapters, prefetch, events ---------------------------------------------------------------------------------------


def test_headers_auth_and_inspection_are_the_accounts(world: World) -> None:
    keeper = keeper_of(world)
    keeper.login("me", account="grace")
    keeper.login("me", account="ada")
    assert keeper.headers("me", "GET", "https://example.com", account="ada") == {"Authorization": "Bearer at-2"}
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(401 if len(sent) == 1 else 200)

    world.clock.advance(600)
    with httpx.Client(auth=keeper.auth("me", account="ada"), transport=httpx.MockTransport(answer)) as client:
        client.get("https://example.com")
    assert sent == ["Bearer at-2", "Bearer at-3"]
    assert token_of(keeper.get("me", account="grace")) == "at-1"
    assert keeper.inspect("me", account="ada").validity is Validity.VALID


def test_prefetch_of_an_account(world: World) -> None:
    keeper_of(world).login("me", account="ada")
    keeper = keeper_of(world)
    keeper.prefetch("me", account="ada")
    until(lambda: ("me", "ada") in keeper._held)


def test_events_name_the_account(world: World) -> None:
    keeper = keeper_of(world)
    events: list[Event] = []
    keeper.subscribe(events.append)
    keeper.login("me", account="ada")
    keeper.refresh("me", account="ada")
    keeper.logout("me", account="ada")
    keeper.login("me")
    until(lambda: len(events) >= 4)
    told = {(type(event), event.profile, event.account) for event in events}
    assert {(kind, "me", "ada") for kind in (Obtained, Renewed, SignedOut)} <= told
    assert (Obtained, "me", None) in told


# --- cost -----------------------------------------------------------------------------------------------------------


def test_a_thousand_accounts_share_one_description_and_opening_none_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[object] = []
    built: list[str] = []
    describe, build = HookCaller.describe, context_module.build_context

    def counted(hooks: HookCaller, profile: Any) -> Any:
        described.append(profile)
        return describe(hooks, profile)

    monkeypatch.setattr(HookCaller, "describe", counted)

    def building(name: str, *given: Any) -> Any:
        built.append(name)
        return build(name, *given)

    monkeypatch.setattr("freshkey._renewal.held_profiles.build_context", building)
    keeper = keeper_of(world)
    threads = threading.active_count()
    assert (described, files(world.state_dir), threading.active_count()) == ([], 0, threads)
    accounts = [f"user/{number}" for number in range(1000)]
    keeper.status("me", account=accounts[0])
    once, kept = len(described), files(world.state_dir)
    for account in accounts:
        with pytest.raises(LoginRequired):
            keeper.get("me", account=account)
    assert len(described) == once, "the provider is described for the profile, not for each account"
    assert built == ["me"]
    hooks = {id(managed.context.hooks) for managed in keeper.all_managed()}
    assert len(hooks) == 1
    assert files(world.state_dir) <= kept + 2 * len(accounts), "a lock and hints of each that was asked for"


def test_publishing_one_account_does_not_look_at_the_others(world: World) -> None:
    keeper = keeper_of(world)
    for number in range(20):
        keeper.login("me", account=str(number))
    assert [len(aliases) for aliases in keeper._profiles._aliases.values()] == [1] * 20
    assert keeper._profiles._openings == {}


def test_fast_path_of_an_account_takes_no_lock(world: World) -> None:
    keeper = keeper_of(world)
    keeper.login("me", account="ada")
    keeper.get("me", account="ada")
    with keeper._profiles._mutex:
        answers: list[str | None] = []
        thread = threading.Thread(target=lambda: answers.append(token_of(keeper.get("me", account="ada"))))
        thread.start()
        thread.join(20)
    assert answers == ["at-1"]


# --- list and end ---------------------------------------------------------------------------------------------------


def test_accounts_are_those_that_are_signed_in(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    assert keeper.accounts("me") == ()
    for account in ODD:
        keeper.login("me", account=account)
    keeper.login("also-me", account="grace")
    keeper.login("me")
    assert keeper.accounts("me") == keeper_of(world, store).accounts() == tuple(sorted(ODD))
    with pytest.raises(LoginRequired):
        keeper.get("me", account="never")
    done = keeper.logout("me", account="ADA")
    assert (done.account, done.revoked) == ("ADA", True)
    assert keeper.accounts("me") == tuple(sorted({*ODD} - {"ADA"}))
    keeper.login("me", account="ADA")
    assert "ADA" in keeper.accounts("me")


@proves("STO-10")
def test_lost_index_comes_back_as_accounts_are_used(world: World) -> None:
    keeper_of(world, "file").login("me", account="ada")
    (world.state_dir / "accounts").rename(world.state_dir.parent / "lost")
    keeper = keeper_of(world, "file")
    assert keeper.accounts("me") == ()
    keeper.get("me", account="ada")
    assert keeper.accounts("me") == ("ada",)


def test_memory_store_writes_no_index(world: World) -> None:
    keeper = keeper_of(world)
    keeper.login("me", account="ada")
    assert not (world.state_dir / "accounts").exists()


def test_using_an_account_again_writes_nothing_to_the_index(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = keeper_of(world, "file")
    keeper.login("me", account="ada")
    written: list[str] = []
    place = private._place

    def placing(path: Path, *rest: Any) -> Any:
        written.append(str(path))
        return place(path, *rest)

    monkeypatch.setattr(private, "_place", placing)
    keeper.refresh("me", account="ada")
    keeper_of(world, "file").get("me", account="ada")
    assert written
    assert not [path for path in written if "accounts" in path]


def test_sign_out_leaves_a_tombstone_and_other_accounts_alone(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    for account in ("ada", "grace"):
        keeper.login("me", account=account)
    keeper.logout("me", account="ada")
    assert world.provider.revocations == ["rt-1"]
    managed = {each.context.profile.account: each.context.store.load() for each in keeper.all_managed()}
    assert (managed["ada"].generation, managed["ada"].payload) == (2, None)
    assert managed["grace"].payload is not None
    with pytest.raises(LoginRequired):
        keeper.get("me", account="ada")
    keeper.login("me", account="ada")
    assert keeper.status("me", account="ada").generation == 3


def test_store_that_lists_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.store), "accounts", lambda _: ["grace", "ada"], raising=False)
    assert world.keeper().accounts("me") == ("ada", "grace")


# --- import ---------------------------------------------------------------------------------------------------------


def imported(world: World, **changes: Any) -> OAuthToken:
    token = world.provider._issue()
    return evolve(token, source="", **changes)


def test_imported_credential_is_stored_served_and_renewed(world: World, store: str) -> None:
    keeper = keeper_of(world, store)
    given = imported(world, identity=Identity(email="ada@example.com"))
    kept = keeper.import_credential("me", given, account="ada")
    assert (token_of(kept), kept.source) == ("at-1", SIGN_IN)
    other = keeper_of(world, store)
    assert other.get("me", account="ada").identity == given.identity
    assert token_of(other.refresh("me", account="ada")) == "at-2"
    assert keeper.accounts("me") == ("ada",)


def test_import_is_the_next_generation_and_revokes_nothing(world: World) -> None:
    keeper = keeper_of(world)
    keeper.login("me")
    keeper.import_credential("me", imported(world))
    assert keeper.status("me").generation == 2
    assert world.provider.revocations == []
    assert token_of(keeper.get("me")) == "at-2"


def test_expired_import_is_renewed_when_it_is_used(world: World) -> None:
    keeper = keeper_of(world)
    given = imported(world)
    world.clock.advance(7200)
    assert keeper.import_credential("me", given, account="ada").clock is world.clock
    world.clock.advance(60)
    assert token_of(keeper.get("me", account="ada")) == "at-2"


def test_import_refuses_what_the_profile_could_not_have_obtained(world: World) -> None:
    world.provider.variable = "borrowed"
    keeper = keeper_of(world)
    good = imported(world)

    class Another(OAuthToken):
        pass

    expired = evolve(good, lifetime=0.0, refresh_token=None)
    wrong: list[Any] = [
        "a token",
        Another(obtained=good.obtained, access_token=good.access_token),
        evolve(good, access_token="at-plain-text-canary"),  # type: ignore[arg-type]
        evolve(good, unusable=ProviderRefused("no")),
        expired,
        evolve(good, ends_at_latest=good.obtained_at),
    ]
    for credential in wrong:
        with raises_code(ConfigurationError, "invalid-credential") as caught:
            keeper.import_credential("me", credential, account="ada")
        assert "canary" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        keeper.import_credential("me", evolve(good, source="variable"))
    with raises_code(ConfigurationError, "unknown-source"):
        keeper.import_credential("me", evolve(good, source="nothing"))
    assert keeper.accounts("me") == ()
    assert keeper.status("me", account="ada").generation == 0


def test_import_refuses_another_servers_credential(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.provider.binding = {"issuer": "https://here.example"}
    monkeypatch.setattr(OAuthToken, "binding", property(lambda _: {"issuer": "https://elsewhere.example"}))
    with raises_code(ConfigurationError, "invalid-credential") as caught:
        keeper_of(world).import_credential("me", imported(world))
    assert "issuer" in caught.value.message


def test_import_that_cannot_be_stored_changes_nothing(world: World) -> None:
    keeper = world.keeper()
    world.store.vanish()
    with pytest.raises(FreshkeyError):
        keeper.import_credential("me", imported(world), account="ada")
    assert keeper.accounts("me") == ()


def test_sign_in_asks_about_the_account(world: World) -> None:
    keeper = keeper_of(world)
    keeper.login("me", account="ada")
    user = User(agrees=False)
    assert token_of(keeper.login("me", account="ada", interaction=user)) == "at-1"
    assert user.questions[0].startswith("me/ada is already signed in")


def test_secret_of_an_import_is_in_no_error(world: World) -> None:
    keeper = keeper_of(world)
    secret = "canary-secret-0123456789"
    with raises_code(ConfigurationError, "invalid-credential") as caught:
        keeper.import_credential("me", imported(world, lifetime=-1.0, access_token=Secret(secret), refresh_token=None))
    assert secret not in repr(caught.value)


def test_two_processes_share_an_account_and_no_other(world: World) -> None:
    """The other process has its own interpreter: what it finds is what was stored."""
    keeper = keeper_of(world, "file")
    for account in ("ada", "ADA"):
        keeper.login("me", account=account)
    keeper.logout("me", account="ADA")
    program = """
import sys
from pathlib import Path
from example_provider import Provider
from freshkey import Configuration, FreshkeyError, Keeper
from freshkey._stores.records.codec import Codec

configuration = Configuration.of({"me": {"provider": "example", "store": "file"}}, state_dir=Path(sys.argv[1]))
with Keeper(configuration=configuration, providers={"example": Provider()}) as keeper:
    print(keeper.accounts("me"))
    for account in ("ada", "ADA", "grace"):
        print(keeper.status("me", account=account).sign_in_code)
"""
    listed, *codes = output_of(program, str(world.state_dir), support=True).splitlines()
    assert listed == "('ada',)"
    assert codes == ["sign-in-of-another-provider", "None", "None"]
