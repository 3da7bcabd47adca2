"""A credential store on top of named strings, with two slots, so that a torn write never loses a credential.

Slots alternate: a record of generation *g* is stored in slot *g* modulo 2. The previous generation, in the other slot,
stays untouched until the new one is complete and has been read back. Item 0 is written last and commits the record. An
intent is item 0 of the slot that its result will use. Damaged items are copied to other names in the same store before
they are overwritten: they can be examined, and no secret leaves the store. Signing out deletes these copies too.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from attrs import Factory, define, evolve, field

from freshkey import _failpoints
from freshkey._stores.records.chunks import MAX_ITEMS, Slot, intent_item, newest, read_slot, record_items
from freshkey._stores.records.intent_file import IntentFile
from freshkey.errors import GenerationConflict, RecordUnreadable, StoreError, StoreUnavailable
from freshkey.model.storage import Intent, Record, Snapshot


log = logging.getLogger(__name__)

SLOTS: Final = (0, 1)
ASIDE: Final = "aside"
READS_UNTIL_BELIEVED: Final = 3


# All that keychain, file and memory implement; slots, generations and intents exist once, in `SlottedStore`.
# See docs/decisions.md, "A store is strings in slots".
class Items(Protocol):
    """Named ASCII strings that outlive the process; every method may raise `StoreUnavailable`."""

    name: str
    """The name of the store in configuration and messages."""

    item_limit: int | None
    """Maximum length of one string in characters; None if there is no practical limit."""

    def get(self, name: str) -> str | None:
        """Return the string of that name; None if there is none.

        Raises:
            RecordUnreadable: This item is corrupt.
        """

    def set(self, name: str, value: str) -> None:
        """Write the string of that name."""

    def delete(self, name: str) -> None:
        """Delete the string of that name, if it exists."""


class Lock(Protocol):
    """An exclusive lock."""

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return a function that releases it, from any thread.

        Raises:
            StoreBusy: Another caller held the lock all that time.
        """


@define(eq=False, repr=False)
class SlottedStore:
    """The `CredentialStore` over `items`.

    Attributes:
        when_idle: Runs the lock's release once no call of `items` is in progress. A call that missed its deadline may
            still write, so no other process may take the lock until it returns. The default is for items whose calls
            never outlive their caller.
        confirm: Raises `StoreBusy` if this process holds the lock but the lock no longer excludes others.
        outwait: Called under the lock with a function that returns whether anything is stored, and the seconds to
            wait; raises `StoreBusy` if the lock does not exclude everyone yet.
        intent_file: Keeps a copy of the intent, for `items` that may lose it while replacing it.
        copy: Copies a string, even a corrupt one, to another name, and returns its location for messages; None to
            read and write it.
    """

    _items: Items
    _lock: Lock
    _when_idle: Callable[[Callable[[], None]], None] = field(default=lambda release: release(), kw_only=True)
    _confirm: Callable[[], None] = field(default=lambda: None, kw_only=True)
    _outwait: Callable[[Callable[[], bool], float], None] = field(default=lambda _, __: None, kw_only=True)
    _intent_file: IntentFile | None = field(default=None, kw_only=True)
    _copy: Callable[[str, str], str] | None = field(default=None, kw_only=True)
    kind: str = field(init=False, default=Factory(lambda store: store._items.name, takes_self=True))  # noqa: SLF001  its own

    @property
    def identity(self) -> str:
        """What tells the place of the items, as of the last call, from others; empty if there is only one."""
        return str(getattr(self._items, "identity", ""))

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the profile's lock; wait for it `timeout` seconds at most."""
        deadline = time.monotonic() + timeout
        release = self._lock.acquire(timeout)
        try:
            self._outwait(self._has_data, deadline - time.monotonic())
            yield
        finally:
            # Not released while an abandoned call may still write; its caller has its error already.
            # See docs/decisions.md, "A late keychain call holds the lock, not the caller".
            self._when_idle(release)

    def probe(self) -> None:
        """Write, read back and delete a random string under a unique name; refuse a newer version's store."""
        self._slots()
        name = f"probe-{secrets.token_hex(8)}"
        canary = secrets.token_hex(16)
        self._items.set(name, canary)
        kept = self._items.get(name)
        self._items.delete(name)
        if kept != canary or self._items.get(name) is not None:
            raise self._forgetful()

    def load(self) -> Snapshot:
        """Read the highest complete record."""
        # Without the lock, a write in progress briefly looks like damage.
        for _ in range(READS_UNTIL_BELIEVED):
            snapshot = newest(self._slots())
            if not snapshot.damaged:
                break
        return self._with_lost_intent(snapshot)

    def intend(self, intent: Intent) -> None:
        """Write an intent to the slot that its result will use, and read it back."""
        self._confirm()
        self._claim(intent.generation, self._slots())
        slot = intent.generation % 2
        self._items.set(_name(slot, 0), intent_item(intent))
        if self._slot(slot).intent != intent:
            raise self._forgetful()
        if self._intent_file is not None:
            # macOS replaces an item by deleting it first, so a crash could lose the intent.
            # See docs/decisions.md, "A copy of the intent is stored beside the keychain".
            self._intent_file.note(intent)
        # A process that took a new lock file since the first check waits for this one, except where directories cannot
        # be locked: check again, and do not send the token in that case.
        self._confirm()

    def save(self, record: Record) -> None:
        """Make `record` the newest and read it back; a tombstone also deletes the secrets of older records.

        Saving the same record again is not a conflict: an attempt that failed may have written it, or an abandoned
        call may have finished since. See docs/decisions.md, "Saving the same record twice is not a conflict".
        """
        slots = self._slots()
        if newest(slots).record != record:
            self._claim(record.generation, slots)
            self._write(record)
        slot = record.generation % 2
        if record.payload is None:
            self._sweep(slot, 1)
            self._sweep(1 - slot, 0, self._slot(1 - slot).count)
            self._sweep(ASIDE, 0)
        else:
            # The record is saved; if this fails, the next save sweeps the leftovers of an older, longer record again.
            with suppress(StoreError):
                self._sweep(slot, len(record_items(record, self._items.item_limit)))

    def withdraw(self, intent: Intent) -> None:
        """Delete an intent, and the leftovers of the slot that it replaced."""
        if self._intent_file is not None:
            self._intent_file.clear()
        slot = intent.generation % 2
        found = self._slot(slot).intent
        if found is not None and found.generation == intent.generation:
            self._sweep(slot, 0)

    def forget(self) -> None:
        """Delete everything, including the tombstone, under the lock; only for a profile that is never used again."""
        for slot in SLOTS:
            self._sweep(slot, 0, self._slot(slot).count)
        self._sweep(ASIDE, 0)
        if self._intent_file is not None:
            self._intent_file.clear()

    def _write(self, record: Record) -> None:
        slot = record.generation % 2
        items = record_items(record, self._items.item_limit)
        for index in range(1, len(items)):
            self._items.set(_name(slot, index), items[index])
            _failpoints.hit("item_written")
        # The commit: before this write the slot holds an intent, after it the newest record.
        self._items.set(_name(slot, 0), items[0])
        _failpoints.hit("committed")
        # Some keychains report success but store nothing or a truncated value, so read the record back.
        if self._slot(slot).record != record:
            raise self._forgetful()

    def _has_data(self) -> bool:
        return self.load() != Snapshot()

    def _slots(self) -> list[Slot]:
        return [self._slot(slot) for slot in SLOTS]

    def _slot(self, slot: int) -> Slot:
        return read_slot(lambda index: self._get(_name(slot, index)))

    def _get(self, name: str) -> str | None:
        try:
            return self._items.get(name)
        except RecordUnreadable:
            return ""  # never a valid item: the slot counts as torn

    def _with_lost_intent(self, snapshot: Snapshot) -> Snapshot:
        """Add an intent that a crash deleted from the items, unless the next generation left any other trace."""
        if self._intent_file is None or snapshot.intent is not None or snapshot.damaged or snapshot.record is None:
            return snapshot
        noted = self._intent_file.read()
        lost = noted is not None and noted.generation == snapshot.generation + 1
        return evolve(snapshot, intent=noted) if lost else snapshot

    def _claim(self, generation: int, slots: list[Slot]) -> None:
        """Refuse a generation that is not the newest, and set aside damaged items in its slot.

        If they cannot be copied, they are overwritten anyway: the renewal is more important.
        """
        kept = newest(slots).generation
        if generation <= kept:
            raise GenerationConflict(
                f"the store already contains generation {kept}, so generation {generation} was not written"
            )
        slot = generation % 2
        if slots[slot].torn:
            self._set_aside(slot, slots[slot].count)

    def _set_aside(self, slot: int, count: int) -> None:
        """Copy the items of a slot to other names, and delete all but item 0."""
        try:
            self._sweep(ASIDE, 0)
            indices = self._existing(slot, 0, count)
            copy = self._copy or self._read_and_write
            # Within the store, because the items may contain a secret in plain text.
            # See docs/decisions.md, "Damaged records stay within their store".
            places = [copy(_name(slot, index), _name(ASIDE, at)) for at, index in enumerate(indices)]
            # Keep item 0: without it the slot would look empty, and a spent refresh token would look unused.
            for index in reversed(indices[1:]):
                self._items.delete(_name(slot, index))
        except StoreError as error:
            log.warning("cannot back up a damaged record in the %s store: %s", self.kind, error.message)
            return
        log.warning("replacing a damaged record in the %s store; its data was copied to %s", self.kind, places[0])

    def _read_and_write(self, name: str, other: str) -> str:
        self._items.set(other, self._get(name) or "")
        return f"{other!r} in the same store"

    def _sweep(self, slot: int | str, first: int, count: int = 0) -> None:
        """Delete the items of a slot from `first` on."""
        for index in reversed(self._existing(slot, first, count)):
            self._items.delete(_name(slot, index))

    def _existing(self, slot: int | str, first: int, count: int) -> list[int]:
        """Return the indices of a slot's items from `first` on; only those below `count` may have gaps."""
        # Items are written upwards and deleted downwards: a crash leaves no gap except item 0; damage leaves any.
        found: list[int] = []
        for index in range(first, MAX_ITEMS):
            if self._get(_name(slot, index)) is not None:
                found.append(index)
            elif index >= max(count, 1):
                break
        return found

    def _forgetful(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the {self.kind} store did not return what was written to it",
            hint="Check that store, or set another store for the profile in config.toml",
            code="write-not-kept",
        )


def _name(slot: int | str, index: int) -> str:
    return f"{slot}.{index}"
