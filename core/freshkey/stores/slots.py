"""A credential store over anything that holds named strings: two slots, so that a torn write never costs a credential.

A record of generation *g* lives in slot *g* modulo 2. Writing one leaves the other slot, and so the generation
before, alone until the new one is complete and was read back. Item 0 is written last and is the commit. An intent
is item 0 of the slot that its result will use.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from freshkey import faults
from freshkey.errors import GenerationConflict, RecordUnreadable, StoreError, StoreUnavailable
from freshkey.model import Intent, Record, Snapshot
from freshkey.stores.items import MOST_ITEMS, Slot, intent_item, newest, read_slot, record_items


SLOTS: Final = (0, 1)
READS_UNTIL_BELIEVED: Final = 3


class Items(Protocol):
    """Named ASCII strings that outlive the process; every method raises `StoreUnavailable`."""

    name: str
    """What a person calls this kind of store."""

    item_limit: int | None
    """Characters that one string may have; None where there is no limit worth knowing."""

    def get(self, name: str) -> str | None:
        """Return the string of that name.

        Raises:
            RecordUnreadable: This one is corrupt.
        """

    def set(self, name: str, value: str) -> None:
        """Write the string of that name."""

    def delete(self, name: str) -> None:
        """Remove the string of that name; it may be gone already."""


class Lock(Protocol):
    """Excludes every other holder of the same lock."""

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return what releases it, from any thread.

        Raises:
            StoreBusy: Somebody else holds it.
        """


def at_once(action: Callable[[], None]) -> None:
    """Run `action` now: no call of these items outlives its caller."""
    action()


class SlottedStore:
    """The `CredentialStore` over `items`.

    Args:
        items: Where the strings are.
        lock: Excludes other writers of the same items.
        when_idle: Runs the lock's release once no call of `items` is under way any more. A call that was given up
            at its deadline may still write; until it has returned, nobody else may get the lock.
    """

    def __init__(self, items: Items, lock: Lock, *, when_idle: Callable[[Callable[[], None]], None] = at_once) -> None:
        self.kind = items.name
        self._items = items
        self._lock = lock
        self._when_idle = when_idle

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Exclude everybody else who renews this profile, `timeout` seconds of waiting at the most."""
        release = self._lock.acquire(timeout)
        try:
            yield
        finally:
            self._when_idle(release)

    def probe(self) -> None:
        """Write, read back and delete a random string under a name of its own."""
        name = f"probe-{secrets.token_hex(8)}"
        canary = secrets.token_hex(16)
        self._items.set(name, canary)
        kept = self._items.get(name)
        self._items.delete(name)
        if kept != canary or self._items.get(name) is not None:
            raise self._forgetful()

    def load(self) -> Snapshot:
        """Read the highest complete record."""
        snapshot = self._read()
        # Without the lock, a writer at work looks like damage for a moment.
        for _ in range(READS_UNTIL_BELIEVED - 1):
            if not snapshot.damaged:
                break
            snapshot = self._read()
        return snapshot

    def intend(self, intent: Intent) -> None:
        """Write an intent where its result will go, and read it back."""
        _refuse_unless_newer(intent.generation, self._read().generation)
        slot = intent.generation % 2
        self._items.set(_name(slot, 0), intent_item(intent))
        if self._slot(slot).intent != intent:
            raise self._forgetful()

    def save(self, record: Record) -> None:
        """Make `record` the newest and read it back; a tombstone also removes the secrets of older ones.

        Saving the same record again is no conflict: an attempt that failed may have written it, or a call that was
        given up may have finished it since.
        """
        kept = self._read()
        if kept.record != record:
            _refuse_unless_newer(record.generation, kept.generation)
            self._write(record)
        slot = record.generation % 2
        if record.payload is None:
            self._sweep(slot, 1)
            self._sweep(1 - slot, 0)
        else:
            # The record is kept; remains of an older, longer one are swept again by the next save.
            with suppress(StoreError):
                self._sweep(slot, len(record_items(record, self._items.item_limit)))

    def withdraw(self, intent: Intent) -> None:
        """Remove an intent, and with it what is left of the slot that it replaced."""
        slot = intent.generation % 2
        found = self._slot(slot).intent
        if found is not None and found.generation == intent.generation:
            self._sweep(slot, 0)

    def forget(self) -> None:
        """Under the lock: remove everything, the tombstone too; only for a profile that nobody will use again."""
        for slot in SLOTS:
            self._sweep(slot, 0)

    def _write(self, record: Record) -> None:
        slot = record.generation % 2
        items = record_items(record, self._items.item_limit)
        for index in range(1, len(items)):
            self._items.set(_name(slot, index), items[index])
            faults.hit("P6")
        # The commit: before this write the slot holds an intent, after it the newest record.
        self._items.set(_name(slot, 0), items[0])
        faults.hit("P7")
        if self._slot(slot).record != record:
            raise self._forgetful()

    def _read(self) -> Snapshot:
        return newest(self._slot(slot) for slot in SLOTS)

    def _slot(self, slot: int) -> Slot:
        return read_slot(lambda index: self._get(_name(slot, index)))

    def _get(self, name: str) -> str | None:
        try:
            return self._items.get(name)
        except RecordUnreadable:
            return ""  # no item reads like this: the slot counts as torn

    def _sweep(self, slot: int, first: int) -> None:
        """Remove the items of a slot from `first` on."""
        # Items are written upwards and removed downwards, so they have no gap even after a crash.
        last = max(first, 1)
        while last < MOST_ITEMS and self._get(_name(slot, last)) is not None:
            last += 1
        for index in reversed(range(first, last)):
            self._items.delete(_name(slot, index))

    def _forgetful(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the {self.kind} store did not keep what was written to it",
            hint='Check the keychain, or choose another store, such as store = "file"',
        )


def _refuse_unless_newer(generation: int, kept: int) -> None:
    if generation <= kept:
        raise GenerationConflict(
            f"the store already holds generation {kept}, so generation {generation} was not written"
        )


def _name(slot: int, index: int) -> str:
    return f"{slot}.{index}"
