"""A credential store over anything that holds named strings: two slots, so that a torn write never costs a credential.

A record of generation *g* lives in slot *g* modulo 2. Writing one leaves the other slot, and so the generation
before, alone until the new one is complete and was read back. Item 0 is written last and is the commit. An intent
is item 0 of the slot that its result will use. Damaged remains are copied to other names of the same store before they
are overwritten, so that they can be looked into and no secret leaves the store; signing out removes them as well.
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


log = logging.getLogger("freshkey")

SLOTS: Final = (0, 1)
ASIDE: Final = "aside"
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


@define(eq=False, repr=False)
class SlottedStore:
    """The `CredentialStore` over `items`.

    Attributes:
        when_idle: Runs the lock's release once no call of `items` is under way any more. A call that was given up
            at its deadline may still write; until it has returned, nobody else may get the lock. The default is for
            items whose calls never outlive their caller.
        confirm: Raises `StoreBusy` if the lock was taken and does not exclude others any more.
        outwait: Called under the lock with what tells whether somebody seems to be at work, and with seconds to wait;
            raises `StoreBusy` if the lock does not exclude everybody yet.
        intent_file: Keeps a copy of the intent where `items` may lose it while they replace it.
        copy: Copies a string, corrupt or not, to another name and returns where people find it; None reads and writes.
    """

    _items: Items
    _lock: Lock
    _when_idle: Callable[[Callable[[], None]], None] = field(default=lambda release: release(), kw_only=True)
    _confirm: Callable[[], None] = field(default=lambda: None, kw_only=True)
    _outwait: Callable[[Callable[[], bool], float], None] = field(default=lambda _, __: None, kw_only=True)
    _intent_file: IntentFile | None = field(default=None, kw_only=True)
    _copy: Callable[[str, str], str] | None = field(default=None, kw_only=True)
    kind: str = field(init=False, default=Factory(lambda store: store._items.name, takes_self=True))  # noqa: SLF001  its own

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Exclude everybody else who renews this profile, `timeout` seconds of waiting at the most."""
        deadline = time.monotonic() + timeout
        release = self._lock.acquire(timeout)
        try:
            self._outwait(self._is_at_work, deadline - time.monotonic())
            yield
        finally:
            self._when_idle(release)

    def probe(self) -> None:
        """Write, read back and delete a random string under a name of its own; refuse what a newer freshkey wrote."""
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
        # Without the lock, a writer at work looks like damage for a moment.
        for _ in range(READS_UNTIL_BELIEVED):
            snapshot = newest(self._slots())
            if not snapshot.damaged:
                break
        return self._with_lost_intent(snapshot)

    def intend(self, intent: Intent) -> None:
        """Write an intent where its result will go, and read it back."""
        self._confirm()
        self._claim(intent.generation, self._slots())
        slot = intent.generation % 2
        self._items.set(_name(slot, 0), intent_item(intent))
        if self._slot(slot).intent != intent:
            raise self._forgetful()
        if self._intent_file is not None:
            self._intent_file.note(intent)
        # Whoever locks another file from now on sees the intent. Who did so before may not: then nothing is sent.
        self._confirm()

    def save(self, record: Record) -> None:
        """Make `record` the newest and read it back; a tombstone also removes the secrets of older ones.

        Saving the same record again is no conflict: an attempt that failed may have written it, or a call that was
        given up may have finished it since.
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
            # The record is kept; remains of an older, longer one are swept again by the next save.
            with suppress(StoreError):
                self._sweep(slot, len(record_items(record, self._items.item_limit)))

    def withdraw(self, intent: Intent) -> None:
        """Remove an intent, and with it what is left of the slot that it replaced."""
        if self._intent_file is not None:
            self._intent_file.clear()
        slot = intent.generation % 2
        found = self._slot(slot).intent
        if found is not None and found.generation == intent.generation:
            self._sweep(slot, 0)

    def forget(self) -> None:
        """Under the lock: remove everything, the tombstone too; only for a profile that nobody will use again."""
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
        if self._slot(slot).record != record:
            raise self._forgetful()

    def _is_at_work(self) -> bool:
        snapshot = self.load()
        return snapshot.intent is not None or snapshot.damaged

    def _slots(self) -> list[Slot]:
        return [self._slot(slot) for slot in SLOTS]

    def _slot(self, slot: int) -> Slot:
        return read_slot(lambda index: self._get(_name(slot, index)))

    def _get(self, name: str) -> str | None:
        try:
            return self._items.get(name)
        except RecordUnreadable:
            return ""  # no item reads like this: the slot counts as torn

    def _with_lost_intent(self, snapshot: Snapshot) -> Snapshot:
        """Add the intent that a crash took from the items, if the next generation has left no other trace."""
        if self._intent_file is None or snapshot.intent is not None or snapshot.damaged or snapshot.record is None:
            return snapshot
        noted = self._intent_file.read()
        lost = noted is not None and noted.generation == snapshot.generation + 1
        return evolve(snapshot, intent=noted) if lost else snapshot

    def _claim(self, generation: int, slots: list[Slot]) -> None:
        """Refuse a generation that is not the newest, and set aside damaged remains that are in its slot.

        Where copying them fails, a renewal is worth more than they are.
        """
        kept = newest(slots).generation
        if generation <= kept:
            raise GenerationConflict(
                f"the store already holds generation {kept}, so generation {generation} was not written"
            )
        slot = generation % 2
        if slots[slot].torn:
            self._set_aside(slot, slots[slot].count)

    def _set_aside(self, slot: int, count: int) -> None:
        """Copy what is in a slot to other names, and clear the way for what will be there."""
        try:
            self._sweep(ASIDE, 0)
            indices = self._existing(slot, 0, count)
            copy = self._copy or self._read_and_write
            places = [copy(_name(slot, index), _name(ASIDE, at)) for at, index in enumerate(indices)]
            # Item 0 stays: without it the slot would look empty, and a spent refresh token unspent.
            for index in reversed(indices[1:]):
                self._items.delete(_name(slot, index))
        except StoreError as error:
            log.warning("a damaged record in the %s store cannot be set aside: %s", self.kind, error.message)
            return
        log.warning(
            "a damaged record in the %s store is replaced; what is left of it is kept in %s", self.kind, places[0]
        )

    def _read_and_write(self, name: str, other: str) -> str:
        self._items.set(other, self._get(name) or "")
        return f"{other!r} of the same store"

    def _sweep(self, slot: int | str, first: int, count: int = 0) -> None:
        """Remove the items of a slot from `first` on."""
        for index in reversed(self._existing(slot, first, count)):
            self._items.delete(_name(slot, index))

    def _existing(self, slot: int | str, first: int, count: int) -> list[int]:
        """Return the indices from `first` on that the items of a slot have; only below `count` may some be missing."""
        # Items are written upwards and removed downwards: a crash leaves no gap but item 0, a damaged store any.
        found: list[int] = []
        for index in range(first, MAX_ITEMS):
            if self._get(_name(slot, index)) is not None:
                found.append(index)
            elif index >= max(count, 1):
                break
        return found

    def _forgetful(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the {self.kind} store did not keep what was written to it",
            hint='Check the keychain, or choose another store, such as store = "file"',
        )


def _name(slot: int | str, index: int) -> str:
    return f"{slot}.{index}"
