"""Secrets in what a plugin holds, which other threads may be changing, and which may be broken."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping

import pytest

from freshkey import Secret
from freshkey._text.held import secrets_in


class Holder:
    def __init__(self, **members: object) -> None:
        self.__dict__.update(members)


class Growing(Mapping[str, object]):
    """A mapping whose size changes while it is read, as it does if another thread adds to it."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.inner = {"first": Secret("value-1"), "second": Secret("value-2")}

    def __getitem__(self, name: str) -> object:
        return self.inner[name]

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[str]:
        for name in self.inner:
            if self.changes:
                self.changes -= 1
                self.inner[f"more-{self.changes}"] = Secret("value-3")
            yield name


class Broken(Mapping[str, object]):
    def __getitem__(self, name: str) -> object:
        raise KeyError(name)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise ValueError("no")


def test_secrets_are_found_however_deep() -> None:
    deep = Holder(a=[{"b": ({"password": "text-1"}, {Secret("value-1")})}], public="text-2")
    assert sorted(secrets_in(deep)) == ["text-1", "value-1"]


def test_mapping_that_changes_while_it_is_read_is_read_again() -> None:
    assert {"value-1", "value-2", "value-3"} <= set(secrets_in(Holder(it=Growing(3))))


@pytest.mark.parametrize("broken", [Broken(), Growing(10**9)], ids=["raises", "always changes"])
def test_mapping_that_cannot_be_read_does_not_hide_other_secrets(broken: Mapping[str, object]) -> None:
    assert [*secrets_in(Holder(it=broken, other=Secret("value")))] == ["value"]


def test_other_threads_may_change_what_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: dict[str, object] = {f"name-{number}": number for number in range(300)}
    names, over = set(shared), threading.Event()

    def change() -> None:
        while not over.is_set():
            for number in range(300, 330):
                shared[f"name-{number}"] = number
                names.add(f"name-{number}")
            for number in range(300, 330):
                del shared[f"name-{number}"]
                names.discard(f"name-{number}")

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=change)
    thread.start()
    try:
        sys.setswitchinterval(1e-6)
        for _ in range(300):
            assert [*secrets_in(Holder(shared=shared, secret=Secret("value"), names=names))] == ["value"]
    finally:
        sys.setswitchinterval(interval)
        over.set()
        thread.join()
