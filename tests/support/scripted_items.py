"""A store of items that can crash at any step, and records to put into it."""

from __future__ import annotations

from collections.abc import Callable

from freshkey.clock import Moment
from freshkey.errors import StoreUnavailable
from freshkey.model.storage import Intent, Record
from freshkey.secret import Secret


class Crashed(BaseException):
    """The simulated death of the process."""


class ScriptedItems:
    """Items that can be lost in the ways keychains lose them.

    Attributes:
        values: The stored items.
        item_limit: Maximum number of characters in one item.
        replaces: Whether writing replaces in one step; otherwise it deletes first and then adds, in two steps.
        steps_left: Number of further changes before the process dies; None for no limit.
        forgets: Whether writes are accepted but not stored.
    """

    name = "scripted"

    def __init__(self, item_limit: int | None = None, *, replaces: bool = True) -> None:
        self.values: dict[str, str] = {}
        self.item_limit = item_limit
        self.replaces = replaces
        self.steps_left: int | None = None
        self.forgets = False
        self.refuses_to_read = False

    def get(self, name: str) -> str | None:
        if self.refuses_to_read:
            raise StoreUnavailable("locked")
        return self.values.get(name)

    def set(self, name: str, value: str) -> None:
        assert value.isascii()
        assert self.item_limit is None or len(value) <= self.item_limit
        if self.forgets:
            return
        if not self.replaces and name in self.values:
            self._step()
            del self.values[name]
        self._step()
        self.values[name] = value

    def delete(self, name: str) -> None:
        self._step()
        self.values.pop(name, None)

    def _step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crashed
            self.steps_left -= 1


class OpenLock:
    """A lock without contention."""

    def acquire(self, timeout: float) -> Callable[[], None]:
        return lambda: None


def a_record(generation: int, payload: str | None = "secret") -> Record:
    secret = None if payload is None else Secret(f"{payload} of {generation}")
    return Record(generation=generation, payload=secret, written_at=1.5e9 + generation)


def an_intent(generation: int, attempts: int = 1) -> Intent:
    noted = Moment(1.5e9, 77.25, "boot")
    return Intent(generation=generation, token_hash="00ff", noted=noted, pid=4711, attempts=attempts)
