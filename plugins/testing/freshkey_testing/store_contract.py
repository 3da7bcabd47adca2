"""The store contract as tests, for any implementation of `freshkey.model.storage.CredentialStore`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import pytest
from attrs import evolve

from freshkey import Secret
from freshkey.errors import GenerationConflict, StoreBusy
from freshkey.plugin import SYSTEM, CredentialStore, Intent, Moment, Record, Snapshot
from freshkey_testing.contract import Contract
from freshkey_testing.secret_scan import assert_no_secret


MakeStore = Callable[[], CredentialStore]
Contents = Callable[[], Collection[str]]

_SECRET: Final = "canary-store-5d0f6a1b9c"  # noqa: S105  made up, to detect leaks
_SHORT: Final = 0.05
_LONG: Final = 30.0
_AGES: Final = 10.0


class StoreContract(Contract):
    """What every credential store must do.

    Subclass it, name the class ``Test…``, and provide the fixture `make_store`::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def make_store(self, tmp_path):
                return lambda: MyStore(tmp_path)

    Optional fixture: `contents`, for checks of what is actually stored.
    """

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Return a function that returns a new handle to the same storage location, which is empty at first.

        Two handles stand for two processes: they must share nothing but that location (except an in-process lock, which
        belongs to the location).
        """
        pytest.fail("override the fixture make_store to return a function that opens a new handle to an empty location")

    @pytest.fixture
    def contents(self) -> Contents | None:
        """Return a function that returns every string stored at the location, fully decoded."""
        return None

    # --- what the kit derives from it ------------------------------------------------------------------------

    @pytest.fixture
    def store(self, make_store: MakeStore) -> CredentialStore:
        """One handle."""
        return make_store()

    @pytest.fixture
    def sibling(self, make_store: MakeStore, store: CredentialStore) -> CredentialStore:  # noqa: ARG002  created after it
        """Another handle to the same location."""
        return make_store()

    # --- records ---------------------------------------------------------------------------------------------

    def test_it_has_a_name(self, store: CredentialStore) -> None:
        """`kind` is shown to users: set it to a short word."""
        assert isinstance(store.kind, str)
        assert store.kind, "kind is empty"

    def test_an_empty_place_holds_nothing(self, store: CredentialStore) -> None:
        """The first `load` returns ``Snapshot()``, not an error: no one has signed in yet."""
        assert store.load() == Snapshot(), "load() from an empty location must return Snapshot()"

    @pytest.mark.parametrize("text", ['{"a": "b"}', "no ASCII: é ☃ 𝄞", "lines\nand\ttabs\\", "x" * 20_000])
    def test_what_is_saved_is_loaded(self, store: CredentialStore, sibling: CredentialStore, text: str) -> None:
        """A record is loaded unchanged, by this handle and by another, whatever its characters and length.

        Encode the payload as base64 if the location cannot store every character; split it if the size is limited.
        """
        record = _record(1, text)
        _save(store, record)
        assert _same(store.load(), record), "load() by the same handle does not return what was saved"
        assert _same(sibling.load(), record), "load() by another handle does not return what was saved"

    def test_the_newest_record_is_loaded(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Handles see each other's saves immediately: never cache a snapshot."""
        for generation in range(1, 6):
            record = _record(generation)
            _save(store if generation % 2 else sibling, record)
            assert _same(store.load(), record), f"one handle does not see generation {generation}"
            assert _same(sibling.load(), record), f"the other handle does not see generation {generation}"

    @pytest.mark.parametrize("generation", [3, 2, 1])
    def test_no_older_generation_is_written(
        self, store: CredentialStore, sibling: CredentialStore, generation: int
    ) -> None:
        """`save` compares with what is stored now, and refuses a record that is not newer.

        Otherwise a process that slept through a renewal would overwrite a valid refresh token with a spent one. Read
        the location inside `save`, under the lock; do not compare with what this handle saw last.
        """
        newest = _record(3)
        _save(sibling, newest)
        with pytest.raises(GenerationConflict), store.lock(_LONG):
            store.save(_record(generation, "older"))
        assert _same(store.load(), newest), "the refused save changed the stored record"

    def test_generations_may_be_skipped(self, store: CredentialStore) -> None:
        """Newer means greater, not greater by one: a lost record must not block the next one."""
        _save(store, _record(1))
        _save(store, _record(7))
        assert store.load().generation == 7, "generation 7 must be saved after generation 1"  # noqa: PLR2004  as saved

    def test_the_newest_record_may_be_saved_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Saving the identical record is not a conflict: a `save` that failed or timed out may have written it.

        Its refresh token is the only one that still works, so the save is repeated until it succeeds.
        """
        record = _record(3)
        _save(store, record)
        _save(sibling, record)
        assert _same(store.load(), record), "saving the newest record again changed it"

    # --- signing out -----------------------------------------------------------------------------------------

    def test_a_tombstone_is_a_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """After a sign-out the generation is still known, so that the next sign-in is newer than everything before."""
        _save(store, _record(1))
        _save(store, Record(generation=2, payload=None, written_at=1.5))
        assert _same(sibling.load(), Record(generation=2, payload=None, written_at=1.5)), "the tombstone is not loaded"
        with pytest.raises(GenerationConflict), store.lock(_LONG):
            store.save(_record(2))
        _save(sibling, _record(3))
        assert store.load().generation == 3, "a sign-in after a sign-out must be saved"  # noqa: PLR2004  as saved

    def test_a_tombstone_removes_the_secrets(self, store: CredentialStore, contents: Contents | None) -> None:
        """Signing out leaves no payload behind, not even an older one.

        Delete what earlier generations left in every slot, chunk or version of the location.
        """
        if contents is None:
            pytest.skip("override the fixture contents to check what a sign-out leaves behind")
        for generation in (1, 2, 3):
            _save(store, _record(generation, _SECRET * 100))
        _save(store, Record(generation=4, payload=None, written_at=0.0))
        for text in contents():
            assert_no_secret(text, {_SECRET}, "the store after a sign-out")

    # --- intents ---------------------------------------------------------------------------------------------

    def test_an_intent_is_seen_by_everybody(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An intent says that a refresh token is about to be used; the current record remains valid."""
        record, intent = _record(1), _intent(2)
        _save(store, record)
        with store.lock(_LONG):
            store.intend(intent)
        for handle in (store, sibling):
            assert handle.load() == Snapshot(record=record, intent=intent), "intent and record are not both loaded"

    def test_an_intent_is_resolved_by_its_result(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Saving the result of a renewal removes its intent."""
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.save(_record(2))
        assert _same(sibling.load(), _record(2)), "the intent is still there after its result was saved"

    def test_an_intent_can_be_withdrawn(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """A renewal that certainly did not happen leaves no trace; withdrawing twice is not an error."""
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.withdraw(_intent(2))
            store.withdraw(_intent(2))
        assert _same(sibling.load(), _record(1)), "the withdrawn intent is still there"

    def test_an_intent_can_be_noted_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """What became of a request replaces its intent, and so does the intent to send the same token again."""
        now = Moment(1.7e9, 5.5, "another-boot")
        later = evolve(_intent(2), attempts=2, outcome="in-between", last_sent=now, answered_at=now)
        later = evolve(later, doubts=1, doubted_at=now, refused="sign-in-ended")
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.intend(later)
        assert sibling.load().intent == later, "the second intent did not replace the first, or not with every field"

    def test_an_intent_may_come_before_any_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An intent without a record is not corruption."""
        with store.lock(_LONG):
            store.intend(_intent(1))
        assert sibling.load() == Snapshot(intent=_intent(1)), "load() does not return an intent without a record"

    # --- the lock --------------------------------------------------------------------------------------------

    def test_the_lock_excludes_everybody_else(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """While the lock is held, other callers get `StoreBusy` after their timeout, through this handle and any other.

        A lock per handle is not enough: lock the location (a lock file, or an advisory lock of the database).
        """
        with store.lock(_LONG):
            for other in (store, sibling):
                began = time.monotonic()
                error = _on_thread(partial(_take, other, _SHORT))
                assert isinstance(error, StoreBusy), f"a second holder got {error!r} instead of StoreBusy"
                assert time.monotonic() - began < _AGES, f"StoreBusy came much later than after {_SHORT} s"
                assert str(error), "StoreBusy has an empty message"

    def test_the_lock_is_handed_on(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """A waiting caller gets the lock when it is released, well before the timeout."""
        outcome: list[BaseException | None] = []
        waiter = threading.Thread(target=lambda: outcome.append(_caught(lambda: _take(sibling, _LONG))), daemon=True)
        with store.lock(_LONG):
            waiter.start()
            waiter.join(_SHORT)
            assert not outcome, "the waiter did not wait"
        waiter.join(_AGES)
        assert outcome == [None], f"the waiter got {outcome or 'nothing'} after the release"

    def test_the_lock_is_released_after_an_error(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An error inside the ``with`` block releases the lock and propagates."""
        with pytest.raises(ZeroDivisionError), store.lock(_LONG):
            raise ZeroDivisionError
        _take(sibling, _SHORT)

    def test_reading_needs_no_lock(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """`load` works while another process renews, so that a valid credential is returned at once."""
        _save(store, _record(1))
        with store.lock(_LONG):
            loaded: list[Snapshot] = []
            error = _on_thread(lambda: loaded.append(sibling.load()))
        assert error is None, f"load() raised {error!r} while the lock was held"
        assert _same(loaded[0], _record(1)), "load() does not return the record while the lock is held"

    # --- secrets and leftovers -------------------------------------------------------------------------------

    def test_a_probe_leaves_nothing(self, store: CredentialStore, contents: Contents | None) -> None:
        """`probe` checks that the store can save: it uses a separate name and deletes it at the end."""
        _save(store, _record(1))
        before = sorted(contents()) if contents else []
        store.probe()
        assert _same(store.load(), _record(1)), "probe() changed the stored record"
        assert (sorted(contents()) if contents else []) == before, "probe() left something behind"

    def test_no_secret_shows(self, store: CredentialStore) -> None:
        """``repr(store)`` and the store's errors never quote a payload."""
        _save(store, _record(1, _SECRET))
        with pytest.raises(GenerationConflict) as caught, store.lock(_LONG):
            store.save(_record(1, _SECRET * 2))
        shown = f"{store!r} {store} {caught.value!r} {caught.value} {caught.value.__cause__!r} {store.load()!r}"
        assert_no_secret(shown, {_SECRET}, "the text of a store and its errors")


def _record(generation: int, text: str = "") -> Record:
    payload = Secret(text or json.dumps({"generation": generation}))
    return Record(generation=generation, payload=payload, written_at=1_767_225_600.25 + generation)


def _intent(generation: int) -> Intent:
    noted = evolve(SYSTEM.now(), wall=1_767_225_600.5, elapsed=12.25)
    return Intent(generation=generation, token_hash="0123456789abcdef", noted=noted, pid=4711)  # noqa: S106  a hash


def _same(snapshot: Snapshot, record: Record) -> bool:
    return snapshot == Snapshot(record=record)


def _save(store: CredentialStore, record: Record) -> None:
    with store.lock(_LONG):
        store.save(record)


def _take(store: CredentialStore, timeout: float) -> None:
    with store.lock(timeout):
        pass


def _caught(act: Callable[[], object]) -> BaseException | None:
    try:
        act()
    except BaseException as error:  # noqa: BLE001  the test looks at it
        return error
    return None


def _on_thread(act: Callable[[], object]) -> BaseException | None:
    """Run `act` on a separate thread and return what it raised, or a TimeoutError if it hangs."""
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(_caught(act)), daemon=True)
    thread.start()
    thread.join(_AGES)
    return outcome[0] if outcome else TimeoutError(f"still running after {_AGES:.0f} s")
