"""Checks of what a store leaves at rest, of writes that fail, and of profiles that must never meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from freshkey.errors import StoreError
from freshkey.plugin import CredentialStore, Snapshot
from freshkey_testing.contract import Contract
from freshkey_testing.deadline import bounded
from freshkey_testing.guard import read_only
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.secret_scan import assert_no_secret
from freshkey_testing.store_records import LONG, SECRET, caught, new_intent, new_record, same, save, tombstone


Contents = Callable[[], Collection[str]]
AtRest = Path | Callable[[], Collection[bytes]] | None
OpenProfile = Callable[[str], CredentialStore]
BreakWrites = Callable[[], AbstractContextManager[object]] | None

_OTHERS: Final = 0o077
"""Permissions of everybody but the owner."""

ODD_KEYS: Final = (
    *("work", "Work", "work@0123456789abcdef", "work/ada", "work/ada/", "work/Ada", "work.ada", "work_ada", "work:ada"),
    *("../work", "work ", " work", "con", "work*", "%work", "work\\ada", "\u00e9", "e\u0301", "\u0438\u043c\u044f"),
    *("\u540d\u524d", "\U0001d11e", "x" * 511 + "y", "x" * 512),
)
"""Keys of profiles: of another project (``@``), of accounts, of other cases and scripts, up to 512 characters."""


@bounded
class StoreAtRest(Contract):
    """What a store keeps, where it keeps it, and what it says if it cannot."""

    @pytest.fixture
    def contents(self) -> Contents | None:
        """Return a function that returns every string stored at the location, fully decoded and decrypted."""
        return None

    @pytest.fixture
    def at_rest(self) -> AtRest:
        """Return where the store writes: a directory, or a function that returns all bytes that it wrote.

        None means that it keeps nothing outside of this process. What an operating system's keychain or a database
        encrypts by itself does not count, but the store's own files beside it do.
        """
        pytest.fail(
            "override the fixture at_rest to return the directory in which the store writes, or a function that returns"
            " the bytes it wrote; return None if it keeps nothing outside of this process"
        )

    @pytest.fixture
    def open_profile(self) -> OpenProfile:
        """Return a function that takes the key of any profile and returns its store at the location of `make_store`."""
        pytest.fail(
            "override the fixture open_profile to return a function that takes a profile's key (any text of up to 512"
            " characters) and returns its store"
        )

    @pytest.fixture
    def break_writes(self) -> BreakWrites:
        """Return a function whose context manager keeps the store from writing; by default, no file can be changed.

        Override it for a store that keeps nothing in files, such as by closing the connection to a database. None means
        that its writes cannot fail.
        """
        return read_only

    def test_a_tombstone_removes_the_secrets(self, store: CredentialStore, contents: Contents | None) -> None:
        """Signing out leaves no payload behind, not even an older one; the tombstone stays.

        Delete what earlier generations left in every slot, chunk or version of the location.
        """
        if contents is None:
            pytest.fail("override the fixture contents to return every string that is stored, decoded and decrypted")
        for generation in (1, 2, 3):
            save(store, new_record(generation, SECRET * 100))
        assert any(SECRET in text for text in contents()), "contents() does not return what is stored: decode it fully"
        save(store, tombstone(4))
        for text in contents():
            assert_no_secret(text, {SECRET}, "after a sign-out the store still")
        assert same(store.load(), tombstone(4)), "the sign-out is not remembered: keep the tombstone and its generation"

    def test_nothing_lies_at_rest_in_clear(self, store: CredentialStore, at_rest: AtRest) -> None:
        """Encrypt payloads, and bind each to its name; encoding is not encryption."""
        save(store, new_record(1, SECRET))
        with store.lock(LONG):
            store.intend(new_intent(2))
            store.save(new_record(2, SECRET * 100))
        for where, data in _found(at_rest):
            assert_no_secret(data.decode("latin-1"), {SECRET}, f"{where} is not encrypted: it")

    def test_files_are_only_the_user_s(self, store: CredentialStore, at_rest: AtRest) -> None:
        """Create files with mode 0600 and directories with 0700: others could read them between creation and chmod."""
        if os.name == "nt":
            not_applicable("file modes have no meaning on Windows")
        save(store, new_record(1))
        for path in _paths(at_rest):
            mode = path.lstat().st_mode & 0o777
            assert not mode & _OTHERS or path.is_symlink(), (
                f"others may use {path.name} (mode {mode:04o}): create files with 0600 and directories with 0700"
            )

    def test_a_write_that_fails_is_reported(self, store: CredentialStore, break_writes: BreakWrites) -> None:
        """`save` and `intend` raise `StoreUnavailable` if nothing was written, and the last record stays.

        An intent that only seems to be written lets a refresh token be sent twice; a credential that only seems to be
        saved is lost with the process.
        """
        if break_writes is None:
            not_applicable("writes of the store cannot fail")
        save(store, new_record(1))
        writes = {"intend": partial(store.intend, new_intent(2)), "save": partial(store.save, new_record(2))}
        unbroken = []
        for name, write in writes.items():
            with store.lock(LONG):
                with break_writes():
                    error = caught(write)
                found = store.load()
            written = found.intent == new_intent(2) if name == "intend" else found.generation == 2  # noqa: PLR2004
            if error is None and written:
                unbroken.append(f"{name}()")
                continue
            assert error is not None, f"{name}() could not write, but reported no error: let it raise StoreUnavailable"
            assert isinstance(error, StoreError), (
                f"{name}() could not write and raised {type(error).__name__}: raise StoreUnavailable"
            )
            assert written or found.record == new_record(1), f"after {name}() failed, load() loses the last record"
        assert not unbroken, (
            f"{' and '.join(unbroken)} wrote although no file could be changed: override the fixture break_writes to"
            " return a context manager within which the store cannot write, or None if its writes cannot fail"
        )

    def test_profiles_never_meet(self, store: CredentialStore, open_profile: OpenProfile) -> None:
        """A profile's key is opaque: compare it byte by byte, and hash it if the location allows fewer names.

        No case folding, no Unicode normalization, no trimming, no characters that separate.
        """
        assert store.load() == Snapshot(), "make_store() must return a store of an empty location"
        stores = {key: open_profile(key) for key in ODD_KEYS}
        for number, (key, mine) in enumerate(stores.items(), 1):
            found = mine.load()
            assert found == Snapshot(), f"profile {_short(key)} finds what another one saved: {_meets(found)}"
            save(mine, new_record(number, f"payload of {key}"))
        for number, (key, mine) in enumerate(stores.items(), 1):
            found = mine.load()
            assert same(found, new_record(number, f"payload of {key}")), (
                f"profile {_short(key)} does not load what it saved, but {_meets(found)}"
            )
        first, *others = stores.values()
        save(first, tombstone(1000))
        assert all(other.load().payload is not None for other in others), "signing one profile out signs another out"


def _meets(found: Snapshot) -> str:
    key = ODD_KEYS[found.generation - 1] if 0 < found.generation <= len(ODD_KEYS) else ""
    return f"the record of profile {_short(key)}" if key else "nothing"


def _short(key: str) -> str:
    return repr(key if len(key) < 40 else f"{key[:3]}…{key[-3:]}")  # noqa: PLR2004  fits on a line


def _paths(at_rest: AtRest) -> list[Path]:
    return sorted(at_rest.rglob("*")) if isinstance(at_rest, Path) else []


def _found(at_rest: AtRest) -> list[tuple[str, bytes]]:
    """Return all that was written, with the place of each."""
    if at_rest is None:
        return []
    if isinstance(at_rest, Path):
        files = [(path.name, path.read_bytes()) for path in _paths(at_rest) if path.is_file()]
        found = [*files, *((name, name.encode()) for name, _ in files)]
    else:
        found = [("what the store wrote", data) for data in at_rest()]
    assert found, "at_rest shows nothing, although a record was saved: return the place where the store writes"
    return found
