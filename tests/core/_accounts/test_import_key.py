"""A key of another program changes hands: kept, read back, and only then deleted where it was."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define

import fake_keychains
from example_provider import SIGN_IN, Provider, description
from freshkey import Configuration, Keeper
from freshkey._renewal import reading
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, StoreUnavailable
from freshkey.hooks import hookimpl
from freshkey.model.credential import ApiKey
from freshkey.model.interaction import Interaction
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret


KEY = "sk-canary-77c1e0b2d4"
PASTED = Source(id="key", title="A key", owned=True, interactive=True, pasted=True)


@define(eq=False)
class KeyProvider(Provider):
    """A provider that asks for a key."""

    refuses: bool = False

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> object:
        key = interaction.read_code("The key:", threading.Event())
        if self.refuses:
            raise LoginRequired("that is no key")
        return ApiKey(obtained=SYSTEM.now(), key=key or Secret(""), header="X-Key")


class Steps:
    """A reporter that records."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress = self.notice = self.line = self.said.append


@define(kw_only=True)
class Bench:
    """A keychain with an item of an older program in it, and a keeper."""

    keeper: Keeper
    provider: KeyProvider
    chain: fake_keychains.SmallItems
    steps: Steps

    def item(self) -> str | None:
        return self.chain.get_password("Old Tool", "ada")

    def take(self, service: str = "Old Tool", username: str = "ada") -> str:
        credential = self.keeper.import_key("me", service, username, reporter=self.steps)
        assert credential.token is not None
        return credential.token.reveal()


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    (tmp_path / "keychain").mkdir()
    monkeypatch.setenv("FAKE_KEYCHAIN", str(tmp_path / "keychain"))
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    monkeypatch.setattr(keychain_store, "_opened", {})

    def make(*, sources: tuple[Source, ...] = (SIGN_IN, PASTED), bare: bool = False, **table: Any) -> Bench:
        provider = KeyProvider(on_describe=lambda: description(sources=sources, formats={"key": ApiKey}))
        configuration = Configuration.of(
            {"me": {"provider": "example", "store": "keyring", **table}},
            state_dir=tmp_path / "state",
            stores={"keyring": {"backend": "fake_keychains.SmallItems", "timeout": 20.0}},
        )
        keeper = Keeper(configuration=configuration, providers={"example": provider}, bare=bare)
        chain: fake_keychains.SmallItems = fake_keychains.SmallItems()  # type: ignore[no-untyped-call]
        chain.set_password("Old Tool", "ada", KEY)
        return Bench(keeper=keeper, provider=provider, chain=chain, steps=Steps())

    return make


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


def test_it_is_kept_and_then_deleted_where_it_was(bench: Bench) -> None:
    assert bench.take() == KEY

    assert bench.item() is None
    assert bench.keeper.get("me").token == Secret(KEY)
    assert bench.keeper.status("me").source == "key"
    assert bench.steps.said == [
        "Reading the keychain item 'Old Tool' of 'ada'",
        "The key is kept in the store keyring, and was read back",
        "Deleted the keychain item 'Old Tool' of 'ada'",
    ]


def test_a_line_end_is_not_part_of_it(bench: Bench) -> None:
    bench.chain.set_password("Old Tool", "ada", f"{KEY}\n")
    assert bench.take() == KEY
    assert bench.item() is None


def test_without_an_import_nothing_of_others_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = fake_keychains.SmallItems.get_password

    def watched(self: fake_keychains.SmallItems, service: str, username: str) -> str | None:
        asked.append(service)
        return real(self, service, username)

    monkeypatch.setattr(fake_keychains.SmallItems, "get_password", watched)
    with pytest.raises(LoginRequired):
        bench.keeper.get("me")
    with pytest.raises(LoginRequired):
        bench.keeper.login("me", pasted=True)
    assert asked
    assert all(service.startswith("freshkey:") for service in asked)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"store": "memory"}, "the store 'memory' forgets the key"),
        ({"source": "sign-in"}, "the profile does not use source 'key', so a key would be kept for nothing"),
        ({"skip": ["key"]}, "the profile does not use source 'key', so a key would be kept for nothing"),
        ({"bare": True}, "bare mode signs nobody in"),
        ({"sources": (SIGN_IN,)}, "this provider keeps no key that a person hands in"),
    ],
)
def test_where_it_would_not_be_kept_it_is_not_taken(make: Make, table: dict[str, Any], says: str) -> None:
    bench = make(**table)
    with pytest.raises(ConfigurationError, match=f"me: {says}"):
        bench.take()
    assert bench.item() == KEY
    assert bench.steps.said == []


def test_an_item_that_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="me: there is nothing in the keychain item 'Old Tool' of 'eve'"):
        bench.take(username="eve")
    assert bench.item() == KEY


def test_freshkeys_own_items_are_nobody_elses(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="is one of freshkey's own"):
        bench.take(service="freshkey:0123:me:a")


def test_a_key_that_the_provider_refuses_stays_where_it_is(bench: Bench) -> None:
    bench.provider.refuses = True
    with pytest.raises(LoginRequired, match="that is no key"):
        bench.take()
    assert bench.item() == KEY


def fail(*_: object) -> None:
    raise OSError("the keychain is broken")


@pytest.mark.parametrize("operation", ["get_password", "set_password"])
def test_a_keychain_that_fails_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(fake_keychains.SmallItems, operation, fail)
        with pytest.raises(StoreUnavailable, match=r"me: .*OSError"):
            bench.take()
    assert bench.item() == KEY


def test_what_cannot_be_deleted_is_told_after_the_key_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake_keychains.SmallItems.delete_password

    def delete(self: fake_keychains.SmallItems, service: str, username: str) -> None:
        if service != "Old Tool":
            real(self, service, username)

    monkeypatch.setattr(fake_keychains.SmallItems, "delete_password", delete)
    says = "me: the key is kept, but the keychain item 'Old Tool' of 'ada' could not be deleted: there is another one"
    with pytest.raises(StoreUnavailable, match=says):
        bench.take()
    assert bench.item() == KEY
    assert bench.keeper.get("me").token == Secret(KEY)


def test_an_item_that_its_program_changes_meanwhile_is_left_to_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(step: str) -> None:
        if "read back" in step:
            bench.chain.set_password("Old Tool", "ada", "a newer one")

    bench.steps.progress = change
    with pytest.raises(StoreUnavailable, match="could not be deleted: it was changed meanwhile"):
        bench.take()
    assert bench.item() == "a newer one"


def test_what_is_not_in_the_store_is_not_deleted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = ApiKey(obtained=SYSTEM.now(), key=Secret("an older one"))
    monkeypatch.setattr(reading, "stored_credential", lambda context: stored)
    with pytest.raises(StoreUnavailable, match=r"me: the key is not in the store yet; .* was left alone"):
        bench.take()
    assert bench.item() == KEY


def test_no_error_shows_it(bench: Bench) -> None:
    bench.provider.refuses = True
    with pytest.raises(FreshkeyError) as caught:
        bench.take()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    for frame in shown.stack:
        if "freshkey" in Path(frame.filename).parts:
            assert KEY not in f"{frame.line}{frame.locals}"
