"""A store of a plugin, whose errors do not quote what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from freshkey._plugins.outgoing_text import clean_error, redactor
from freshkey._text.tracebacks import add_note, traceback_note
from freshkey.errors import FreshkeyError
from freshkey.model.storage import CredentialStore, Intent, Record, Snapshot
from freshkey.secret import Secret, secrets_made


T = TypeVar("T")

_OWN: Final = "freshkey."


class CleanStore:
    """Passes every call on to a plugin's store, and cleans its errors.

    Args:
        store: The plugin's store.
        given: What it was made with.
    """

    def __init__(self, store: CredentialStore, *given: object) -> None:
        self.inner = store
        self.kind = store.kind
        self._given = given
        self._last: Snapshot | None = None

    def __getattr__(self, name: str) -> object:
        """Return whatever else the store has."""
        return getattr(self.inner, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.inner == getattr(other, "inner", other))

    def __hash__(self) -> int:
        return hash(self.inner)

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Take the lock; errors of what is done with it are not the store's."""
        lock = self._call(lambda: self.inner.lock(timeout))
        self._call(lock.__enter__)
        try:
            yield
        except BaseException as error:
            raised = error
            if not self._call(lambda: lock.__exit__(type(raised), raised, raised.__traceback__)):
                raise
        else:
            self._call(lambda: lock.__exit__(None, None, None))

    def probe(self) -> None:
        """Check that a credential can be stored."""
        self._call(self.inner.probe)

    def load(self) -> Snapshot:
        """Read the newest complete record."""
        self._last = self._call(self.inner.load)
        return self._last

    def intend(self, intent: Intent) -> None:
        """Note that a single-use token is about to be sent."""
        self._call(lambda: self.inner.intend(intent))

    def save(self, record: Record) -> None:
        """Save a record."""
        self._call(lambda: self.inner.save(record), record)

    def withdraw(self, intent: Intent) -> None:
        """Remove an intent."""
        self._call(lambda: self.inner.withdraw(intent), intent)

    def _call(self, act: Callable[[], T], *given: object) -> T:
        made: list[Secret] = []
        with secrets_made(made):
            try:
                return act()
            except FreshkeyError as error:
                redact = redactor(self._given, given, made, self._last, error)
                note = traceback_note(error, redact)
                failure = clean_error(error, redact)
                add_note(failure, note)
            except Exception as error:
                redact = redactor(self._given, given, made, self._last, error)
                add_note(error, traceback_note(error, redact))
                raise
        raise failure


def clean_store(store: CredentialStore, *given: object) -> CredentialStore:
    """Return a store whose errors are clean: freshkey's own quote nothing."""
    if type(store).__module__.startswith(_OWN):
        return store
    return CleanStore(store, *given)
