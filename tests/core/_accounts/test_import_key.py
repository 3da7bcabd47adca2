"""Importing another program's key: saved, read back, and only then deleted from the original item."""

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
from raises_code import raises_code


KEY = "sk-canary-77c1e0b2d4"
PASTED = Source(id="key", title="A key", owned=True, interactive=True, pasted=True)


@define(eq=False)
class KeyProvider(Provider):
    """A provider that prompts for a key."""

    refuses: bool = False
    as_code: bool = False

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> object:
        interaction.require_attended()
        if self.as_code:
            key = interaction.read_code("The key:", threading.Event())
        else:
            key = interaction.read_secret("The key:")
        if self.refuses:
            raise LoginRequired("invalid key", code="test-invalid-key")
        return ApiKey(obtained=SYSTEM.now(), key=key or Secret(""), header="X-Key")


class Steps:
    """A reporter that records."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress = self.notice = self.line = self.said.append


@define(kw_only=True)
class Bench:
    """A keychain with an item of an older program, and a keeper."""

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


def test_key_is_saved_and_then_the_original_is_deleted(bench: Bench) -> None:
    assert bench.take() == KEY

    assert bench.item() is None
    assert bench.keeper.get("me").token == Secret(KEY)
    assert bench.keeper.status("me").source == "key"
    assert bench.steps.said == [
        "Reading the keychain item 'Old Tool' (username 'ada')",
        "Saved the key in the keyring store and verified it",
        "Deleted the keychain item 'Old Tool' (username 'ada')",
    ]


def test_trailing_newline_is_removed(bench: Bench) -> None:
    bench.chain.set_password("Old Tool", "ada", f"{KEY}\n")
    assert bench.take() == KEY
    assert bench.item() is None


def test_items_of_other_programs_are_not_read_without_an_import(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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
    ("table", "code", "facts"),
    [
        ({"store": "memory"}, "store-not-persistent", ("'memory'", 'store = "keyring"')),
        ({"source": "sign-in"}, "no-key-source", ("'key'",)),
        ({"skip": ["key"]}, "no-key-source", ("'key'",)),
        ({"bare": True}, "bare-mode", ()),
        ({"sources": (SIGN_IN,)}, "no-key-source", ("provider",)),
    ],
)
def test_key_is_not_read_if_the_profile_cannot_store_it(
    make: Make, table: dict[str, Any], code: str, facts: tuple[str, ...]
) -> None:
    bench = make(**table)
    with raises_code(ConfigurationError, code) as caught:
        bench.take()
    assert caught.value.profile == "me"
    assert [fact for fact in facts if fact not in str(caught.value)] == []
    assert bench.item() == KEY
    assert bench.steps.said == []


def test_missing_item_is_an_error(bench: Bench) -> None:
    with raises_code(ConfigurationError, "nothing-to-import") as caught:
        bench.take(username="eve")
    assert caught.value.profile == "me"
    assert "'Old Tool' (username 'eve')" in str(caught.value)
    assert bench.item() == KEY


def test_freshkeys_own_items_are_refused(bench: Bench) -> None:
    with raises_code(ConfigurationError, "reserved-keychain-item") as caught:
        bench.take(service="freshkey:0123:me:a")
    assert "'freshkey:0123:me:a'" in str(caught.value)


def test_original_is_kept_if_the_provider_refuses_the_key(bench: Bench) -> None:
    bench.provider.refuses = True
    with raises_code(LoginRequired, "test-invalid-key"):
        bench.take()
    assert bench.item() == KEY


def fail(*_: object) -> None:
    raise OSError("the keychain is broken")


@pytest.mark.parametrize("operation", ["get_password", "set_password"])
def test_original_is_kept_if_the_keychain_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(fake_keychains.SmallItems, operation, fail)
        with raises_code(StoreUnavailable, "keychain-failed") as caught:
            bench.take()
    assert caught.value.profile == "me"
    assert "OSError" in str(caught.value)
    assert bench.item() == KEY


def test_error_if_the_original_cannot_be_deleted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake_keychains.SmallItems.delete_password

    def delete(self: fake_keychains.SmallItems, service: str, username: str) -> None:
        if service != "Old Tool":
            real(self, service, username)

    monkeypatch.setattr(fake_keychains.SmallItems, "delete_password", delete)
    with raises_code(StoreUnavailable, "original-not-deleted") as caught:
        bench.take()
    assert caught.value.profile == "me"
    assert "'Old Tool' (username 'ada')" in str(caught.value)
    assert "same name" in str(caught.value)
    assert bench.item() == KEY
    assert bench.keeper.get("me").token == Secret(KEY)


def test_original_is_kept_if_it_changed_during_the_import(bench: Bench) -> None:
    changed: list[str] = []

    def change(step: str) -> None:
        if step.startswith("Saved"):
            bench.chain.set_password("Old Tool", "ada", "a newer one")
            changed.append(step)

    bench.steps.progress = change
    with raises_code(StoreUnavailable, "original-not-deleted") as caught:
        bench.take()
    assert changed
    assert "changed" in str(caught.value)
    assert bench.item() == "a newer one"


def test_original_is_kept_if_the_store_does_not_have_the_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = ApiKey(obtained=SYSTEM.now(), key=Secret("an older one"))
    monkeypatch.setattr(reading, "stored_credential", lambda context: stored)
    with raises_code(StoreUnavailable, "import-not-saved") as caught:
        bench.take()
    assert caught.value.profile == "me"
    assert "'Old Tool' (username 'ada')" in str(caught.value)
    assert bench.item() == KEY


def test_tracebacks_with_locals_do_not_show_the_key(bench: Bench) -> None:
    bench.provider.refuses = True
    with pytest.raises(FreshkeyError) as caught:
        bench.take()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    for frame in shown.stack:
        if "freshkey" in Path(frame.filename).parts:
            assert KEY not in f"{frame.line}{frame.locals}"
