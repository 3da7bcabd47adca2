"""A plugin's store that raises what is none of freshkey's errors is named, with its method and its own line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from example_provider import FakeStore, StorePlugin, StoringProvider, profile
from freshkey._plugins.clean_store import clean_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
from freshkey.clock import Moment
from freshkey.errors import StoreBusy, StoreUnavailable
from freshkey.model.storage import CredentialStore, Intent, Record
from freshkey.secret import Secret
from raises_code import raises_code


CALLED = "store vault of freshkey-vault 0.3.1"
PAYLOAD = "canary-5d0f7be1c2"
RECORD = Record(generation=1, payload=Secret(PAYLOAD), written_at=0.0)
INTENT = Intent(generation=2, token_hash="0", noted=Moment(0.0, 0.0, "boot"), pid=1)


class Raising(FakeStore):
    """Raises from each method."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def _raise(self, *_: object) -> Any:
        raise self.error

    lock = probe = load = intend = save = withdraw = accounts = _raise


def taken(store: CredentialStore) -> None:
    with store.lock(1.0):
        pass


CALLS: dict[str, Callable[[Any], object]] = {
    "lock": taken,
    "probe": lambda store: store.probe(),
    "load": lambda store: store.load(),
    "intend": lambda store: store.intend(INTENT),
    "save": lambda store: store.save(RECORD),
    "withdraw": lambda store: store.withdraw(INTENT),
    "accounts": lambda store: list(store.accounts()),
}


def cleaned(inner: object) -> CredentialStore:
    return clean_store(inner, CALLED)  # type: ignore[arg-type]  # a double


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("error", [ValueError(PAYLOAD), SystemExit(1)], ids=["ValueError", "SystemExit"])
def test_the_plugin_and_the_method_are_named(method: str, error: BaseException) -> None:
    with raises_code(StoreUnavailable, "store-broken") as caught:
        CALLS[method](cleaned(Raising(error)))

    kind = type(error).__name__
    assert caught.value.message.startswith(
        f"{CALLED} is broken: its {method}() raised {kind} in test_clean_store.py, line"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("Set FRESHKEY_DEBUG=1 to see the whole traceback")
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert PAYLOAD not in str(caught.value)


def test_the_whole_traceback_is_a_note_without_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_DEBUG", "1")
    with raises_code(StoreUnavailable, "store-broken") as caught:
        cleaned(Raising(ValueError(f"cannot write {PAYLOAD}"))).save(RECORD)

    (note,) = caught.value.__notes__
    assert note.startswith("What the plugin raised:")
    assert "ValueError: cannot write" in note
    assert "raise self.error" in note
    assert PAYLOAD not in note
    assert "FRESHKEY_DEBUG" not in (caught.value.hint or "")


def test_an_interrupt_is_one() -> None:
    with pytest.raises(KeyboardInterrupt):
        cleaned(Raising(KeyboardInterrupt())).load()


class Locking(FakeStore):
    """Has a lock whose exit does what the test says."""

    def __init__(self, leave: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self.leave = leave

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:  # type: ignore[override]
        raised: BaseException | None = None
        try:
            yield
        except BaseException as error:
            raised = error
            raise
        finally:
            self.leave(raised)


class Reraising(FakeStore):
    """Has a lock that raises again what was raised under it."""

    class Lock(AbstractContextManager[None]):
        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            if error is not None:
                raise error

    def lock(self, timeout: float) -> AbstractContextManager[None]:  # type: ignore[override]
        return self.Lock()


@pytest.mark.parametrize("inner", [Locking(lambda _: None), Reraising()], ids=["a generator", "a class"])
@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), StoreBusy("busy"), SystemExit()], ids=lambda each: type(each).__name__
)
def test_what_is_raised_under_the_lock_is_not_the_store_s(inner: object, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, cleaned(inner).lock(1.0):
        raise error
    assert caught.value is error


def test_a_lock_that_cannot_be_released_is_the_store_s() -> None:
    def leave(raised: BaseException | None) -> None:
        raise ValueError

    with raises_code(StoreUnavailable, "store-broken"), cleaned(Locking(leave)).lock(1.0):
        pass


def test_accounts_are_listed_where_the_store_can() -> None:
    class Listing(FakeStore):
        def accounts(self) -> Iterator[str]:
            yield from ("ada", "bob")

    assert list(cleaned(Listing()).accounts()) == ["ada", "bob"]  # type: ignore[attr-defined]
    assert getattr(cleaned(FakeStore()), "accounts", None) is None


@pytest.mark.parametrize(
    ("configured", "called"), [("vault", "store vault"), (None, "the store of provider 'example'")]
)
def test_the_plugin_is_called_as_in_other_errors(configured: str | None, called: str) -> None:
    manager = wire(
        "example",
        StoringProvider(),
        store=("store vault", StorePlugin()),
        store_is_configured=configured is not None,
        observers={},
    )
    assert HookCaller(manager, "example", lambda _: None).store_plugin(profile(store=configured)) == called
