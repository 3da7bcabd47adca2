"""The store contract as tests, for any implementation of `freshkey.model.storage.CredentialStore`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from attrs import evolve

from freshkey.errors import GenerationConflict, StoreBusy
from freshkey.plugin import CredentialStore, Moment, Record, Snapshot
from freshkey_testing.deadline import DEADLINE, bounded
from freshkey_testing.not_applicable import leave_to
from freshkey_testing.secret_scan import assert_no_secret
from freshkey_testing.store_at_rest import Contents, StoreAtRest
from freshkey_testing.store_records import (
    AGES,
    LONG,
    SECRET,
    SHORT,
    caught,
    new_intent,
    new_record,
    on_thread,
    same,
    save,
    take,
    tombstone,
)


MakeStore = Callable[[], CredentialStore]


@bounded
class StoreContract(StoreAtRest):
    """What every credential store must do.

    Subclass it, name the class ``Test…``, and provide the fixture `make_store`::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def make_store(self, tmp_path):
                return lambda: MyStore(tmp_path, "profile")

            @pytest.fixture
            def open_profile(self, tmp_path):
                return lambda key: MyStore(tmp_path, key)

            @pytest.fixture
            def at_rest(self, tmp_path):
                return tmp_path

            @pytest.fixture
            def contents(self, tmp_path):
                return lambda: [decrypt(path.read_bytes()) for path in tmp_path.iterdir()]

    A store that keeps nothing in files also says how its writes fail, with `break_writes`::

            @pytest.fixture
            def break_writes(self, database):
                return database.read_only      # a context manager

    Attributes:
        deadline: Seconds that a check may take; one that takes longer fails, and says where it waits.
    """

    deadline: float = DEADLINE

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def make_store(self, request: pytest.FixtureRequest) -> MakeStore:
        """Return a function that returns a new handle to the same storage location, which is empty at first.

        Two handles stand for two processes: they must share nothing but that location (except an in-process lock, which
        belongs to the location).
        """
        leave_to(request, "test_it_is_a_store")
        pytest.fail("override the fixture make_store to return a function that opens a new handle to an empty location")

    # --- what the kit derives from it ------------------------------------------------------------------------

    @pytest.fixture
    def store(self, make_store: MakeStore, request: pytest.FixtureRequest) -> CredentialStore:
        """One handle."""
        store = make_store()
        if _missing(store):
            leave_to(request, "test_it_is_a_store")
        return store

    @pytest.fixture
    def sibling(self, make_store: MakeStore, store: CredentialStore) -> CredentialStore:  # noqa: ARG002  created after it
        """Another handle to the same location."""
        return make_store()

    # --- records ---------------------------------------------------------------------------------------------

    def test_it_is_a_store(self, store: CredentialStore) -> None:
        """It has every method of `freshkey.plugin.CredentialStore`."""
        missing = _missing(store)
        assert not missing, (
            f"make_store() returned {type(store).__name__}, which lacks {', '.join(missing)}: implement every method of"
            " freshkey.plugin.CredentialStore"
        )

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
        record = new_record(1, text)
        save(store, record)
        assert same(store.load(), record), "load() by the same handle does not return what was saved"
        assert same(sibling.load(), record), "load() by another handle does not return what was saved"

    def test_the_newest_record_is_loaded(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Handles see each other's saves immediately: never cache a snapshot."""
        for generation in range(1, 6):
            record = new_record(generation)
            save(store if generation % 2 else sibling, record)
            assert same(store.load(), record), f"one handle does not see generation {generation}"
            assert same(sibling.load(), record), f"the other handle does not see generation {generation}"

    @pytest.mark.parametrize("generation", [3, 2, 1])
    def test_no_older_generation_is_written(
        self, store: CredentialStore, sibling: CredentialStore, generation: int
    ) -> None:
        """`save` compares with what is stored now, and refuses a record that is not newer.

        Otherwise a process that slept through a renewal would overwrite a valid refresh token with a spent one. Read
        the location inside `save`, under the lock; do not compare with what this handle saw last.
        """
        newest = new_record(3)
        save(sibling, newest)
        _refused(store, new_record(generation, "older"))
        assert same(store.load(), newest), "the refused save changed the stored record"

    def test_generations_may_be_skipped(self, store: CredentialStore) -> None:
        """Newer means greater, not greater by one: a lost record must not block the next one."""
        save(store, new_record(1))
        _accepted(store, new_record(7), "generations may be skipped")
        assert store.load().generation == 7, "generation 7 must be saved after generation 1"  # noqa: PLR2004  as saved

    def test_the_newest_record_may_be_saved_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Saving the identical record is not a conflict: a `save` that failed or timed out may have written it.

        Its refresh token is the only one that still works, so the save is repeated until it succeeds.
        """
        record = new_record(3)
        save(store, record)
        _accepted(sibling, record, "the identical record may be saved again")
        assert same(store.load(), record), "saving the newest record again changed it"

    # --- signing out -----------------------------------------------------------------------------------------

    def test_a_tombstone_is_a_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """After a sign-out the generation is still known, so that the next sign-in is newer than everything before."""
        save(store, new_record(1))
        save(store, tombstone(2))
        assert same(sibling.load(), tombstone(2)), "the tombstone is not loaded"
        _refused(store, new_record(2))
        save(sibling, new_record(3))
        assert store.load().generation == 3, "a sign-in after a sign-out must be saved"  # noqa: PLR2004  as saved

    # --- intents ---------------------------------------------------------------------------------------------

    def test_an_intent_is_seen_by_everybody(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An intent says that a refresh token is about to be used; the current record remains valid."""
        record, intent = new_record(1), new_intent(2)
        save(store, record)
        with store.lock(LONG):
            store.intend(intent)
        for handle in (store, sibling):
            assert handle.load() == Snapshot(record=record, intent=intent), "intent and record are not both loaded"

    def test_an_intent_is_resolved_by_its_result(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Saving the result of a renewal removes its intent."""
        save(store, new_record(1))
        with store.lock(LONG):
            store.intend(new_intent(2))
            store.save(new_record(2))
        assert same(sibling.load(), new_record(2)), "the intent is still there after its result was saved"

    def test_an_intent_can_be_withdrawn(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """A renewal that certainly did not happen leaves no trace; withdrawing twice is not an error."""
        save(store, new_record(1))
        with store.lock(LONG):
            store.intend(new_intent(2))
            store.withdraw(new_intent(2))
            store.withdraw(new_intent(2))
        assert same(sibling.load(), new_record(1)), "the withdrawn intent is still there"

    def test_an_intent_can_be_noted_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """What became of a request replaces its intent, and so does the intent to send the same token again."""
        now = Moment(1.7e9, 5.5, "another-boot")
        later = evolve(new_intent(2), attempts=2, outcome="in-between", last_sent=now, answered_at=now)
        later = evolve(later, doubts=1, doubted_at=now, refused="sign-in-ended")
        save(store, new_record(1))
        with store.lock(LONG):
            store.intend(new_intent(2))
            store.intend(later)
        assert sibling.load().intent == later, "the second intent did not replace the first, or not with every field"

    def test_an_intent_may_come_before_any_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An intent without a record is not corruption."""
        with store.lock(LONG):
            store.intend(new_intent(1))
        assert sibling.load() == Snapshot(intent=new_intent(1)), "load() does not return an intent without a record"

    # --- the lock --------------------------------------------------------------------------------------------

    def test_the_lock_excludes_everybody_else(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """While the lock is held, other callers get `StoreBusy` after their timeout, through this handle and any other.

        A lock per handle is not enough: lock the location (a lock file, or an advisory lock of the database).
        """
        with store.lock(LONG):
            for other in (store, sibling):
                began = time.monotonic()
                error = on_thread(partial(take, other, SHORT))
                assert isinstance(error, StoreBusy), f"a second holder got {error!r} instead of StoreBusy"
                assert time.monotonic() - began < AGES, f"StoreBusy came much later than after {SHORT} s"
                assert str(error), "StoreBusy has an empty message"

    def test_the_lock_is_handed_on(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """A waiting caller gets the lock when it is released, well before the timeout."""
        outcome: list[BaseException | None] = []
        waiter = threading.Thread(target=lambda: outcome.append(caught(lambda: take(sibling, LONG))), daemon=True)
        with store.lock(LONG):
            waiter.start()
            waiter.join(SHORT)
            assert not outcome, "the waiter did not wait"
        waiter.join(AGES)
        assert outcome == [None], f"the waiter got {outcome or 'nothing'} after the release"

    def test_the_lock_is_released_after_an_error(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An error inside the ``with`` block releases the lock and propagates."""
        with pytest.raises(ZeroDivisionError), store.lock(LONG):
            raise ZeroDivisionError
        assert caught(partial(take, sibling, SHORT)) is None, "the lock is still held after an error inside of it"

    def test_reading_needs_no_lock(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """`load` works while another process renews, so that a valid credential is returned at once."""
        save(store, new_record(1))
        with store.lock(LONG):
            loaded: list[Snapshot] = []
            error = on_thread(lambda: loaded.append(sibling.load()))
        assert error is None, f"load() raised {error!r} while the lock was held"
        assert same(loaded[0], new_record(1)), "load() does not return the record while the lock is held"

    # --- secrets and leftovers -------------------------------------------------------------------------------

    def test_a_probe_leaves_nothing(self, store: CredentialStore, contents: Contents | None) -> None:
        """`probe` checks that the store can save: it uses a separate name and deletes it at the end."""
        save(store, new_record(1))
        before = sorted(contents()) if contents else []
        store.probe()
        assert same(store.load(), new_record(1)), "probe() changed the stored record"
        assert (sorted(contents()) if contents else []) == before, "probe() left something behind"

    def test_no_secret_shows(self, store: CredentialStore) -> None:
        """``repr(store)`` and the store's errors never quote a payload."""
        save(store, new_record(1, SECRET))
        error = _refused(store, new_record(1, SECRET * 2))
        shown = f"{store!r} {store} {error!r} {error} {error.__cause__!r} {store.load()!r}"
        assert_no_secret(shown, {SECRET}, "the text of a store and its errors")


def _refused(store: CredentialStore, record: Record) -> GenerationConflict:
    """Save a record that must be refused, and return the refusal."""
    error = caught(partial(save, store, record))
    did = "succeeded" if error is None else f"raised {type(error).__name__}"
    assert isinstance(error, GenerationConflict), (
        f"save() of generation {record.generation} {did}: raise GenerationConflict for a record that"
        " is not newer than the stored one"
    )
    return error


def _accepted(store: CredentialStore, record: Record, why: str) -> None:
    """Save a record that must be accepted."""
    error = caught(partial(save, store, record))
    assert error is None, f"save() of generation {record.generation} raised {type(error).__name__}: {why}"


def _missing(store: object) -> list[str]:
    """Return the methods of a store that an object does not have."""
    methods = ("lock", "probe", "load", "intend", "save", "withdraw")
    return [f"{name}()" for name in methods if not callable(getattr(store, name, None))]
