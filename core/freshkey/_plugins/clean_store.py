"""A store of a plugin, whose errors name it, and do not quote what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from freshkey._plugins.outgoing_text import clean_error, redactor
from freshkey._text.tracebacks import HINT, add_note, traceback_note
from freshkey.errors import FreshkeyError, StoreUnavailable, describe_raise
from freshkey.model.storage import CredentialStore, Intent, Record, Snapshot
from freshkey.secret import Secret, secrets_made


T = TypeVar("T")

_OWN: Final = "freshkey."
_LISTS: Final = "accounts"
"""The method that not every store has."""


class CleanStore:
    """Passes every call on to a plugin's store, and cleans its errors; what is none of freshkey's becomes one.

    Args:
        store: The plugin's store.
        called: What the plugin is called in messages, such as ``store vault of freshkey-vault 0.3.1``.
        given: What it was made with.
    """

    def __init__(self, store: CredentialStore, called: str, *given: object) -> None:
        self.inner = store
        self.kind = store.kind
        self._called = called
        self._given = given
        self._last: Snapshot | None = None

    def __getattr__(self, name: str) -> object:
        """Return whatever else the store has."""
        found = getattr(self.inner, name)
        if name != _LISTS or not callable(found):
            return found
        listing: Callable[[], Iterable[str]] = found
        return lambda: self._call(_LISTS, lambda: list(listing()))

    def __eq__(self, other: object) -> bool:
        return bool(self.inner == getattr(other, "inner", other))

    def __hash__(self) -> int:
        return hash(self.inner)

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Take the lock; errors of what is done with it are not the store's."""
        lock = self._call("lock", lambda: self.inner.lock(timeout))
        self._call("lock", lock.__enter__)
        try:
            yield
        except BaseException as error:
            raised = error
            if not self._call("lock", lambda: lock.__exit__(type(raised), raised, raised.__traceback__), passes=raised):
                raise
        else:
            self._call("lock", lambda: lock.__exit__(None, None, None))

    def probe(self) -> None:
        """Check that a credential can be stored."""
        self._call("probe", self.inner.probe)

    def load(self) -> Snapshot:
        """Read the newest complete record."""
        self._last = self._call("load", self.inner.load)
        return self._last

    def intend(self, intent: Intent) -> None:
        """Note that a single-use token is about to be sent."""
        self._call("intend", lambda: self.inner.intend(intent))

    def save(self, record: Record) -> None:
        """Save a record."""
        self._call("save", lambda: self.inner.save(record), record)

    def withdraw(self, intent: Intent) -> None:
        """Remove an intent."""
        self._call("withdraw", lambda: self.inner.withdraw(intent), intent)

    def _call(self, method: str, act: Callable[[], T], *given: object, passes: BaseException | None = None) -> T:
        made: list[Secret] = []
        with secrets_made(made):
            try:
                return act()
            except BaseException as error:
                if error is passes or isinstance(error, KeyboardInterrupt):
                    raise
                redact = redactor(self._given, given, made, self._last, error)
                note = traceback_note(error, redact)
                if isinstance(error, FreshkeyError):
                    failure = clean_error(error, redact)
                else:
                    failure = self._broken(
                        method, redact(describe_raise(error, by_plugin=True)), traced=note is not None
                    )
                add_note(failure, note)
        raise failure  # outside the handler: the plugin's exception does not become its context

    def _broken(self, method: str, raised: str, *, traced: bool) -> FreshkeyError:
        hint = "Report this to the author of the store, and use another one until then"
        return StoreUnavailable(
            f"{self._called} is broken: its {method}() raised {raised}",
            hint=hint if traced else f"{hint}. {HINT}",
            code="store-broken",
        )


def clean_store(store: CredentialStore, called: str, *given: object) -> CredentialStore:
    """Return a store whose errors are clean and name the plugin, as `CleanStore`; freshkey's own do that themselves."""
    if type(store).__module__.startswith(_OWN):
        return store
    return CleanStore(store, called, *given)
