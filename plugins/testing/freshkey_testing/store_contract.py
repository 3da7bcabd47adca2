"""The contract of a credential store as tests, for any implementation of `freshkey.model.storage.CredentialStore`."""

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
from freshkey.plugin import SYSTEM, CredentialStore, Intent, Record, Snapshot
from freshkey_testing.contract import Contract
from freshkey_testing.secret_scan import assert_no_secret


MakeStore = Callable[[], CredentialStore]
Contents = Callable[[], Collection[str]]

_SECRET: Final = "canary-store-5d0f6a1b9c"  # noqa: S105  made up, to be looked for in the wrong places
_SHORT: Final = 0.05
_LONG: Final = 30.0
_AGES: Final = 10.0


class StoreContract(Contract):
    """What every store of credentials must do.

    Subclass it, name the class ``Test…``, and provide the fixture `make_store`::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def make_store(self, tmp_path):
                return lambda: MyStore(tmp_path)

    Optional fixture: `contents`, for checks of what is really kept.
    """

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Provide a function that returns a new handle onto one and the same place, empty at first.

        Two handles stand for two processes: they must share nothing but that place (a lock within the process may be
        shared, as locks go by place).
        """
        pytest.fail("override the fixture make_store: a function that returns a new handle onto one empty place")

    @pytest.fixture
    def contents(self) -> Contents | None:
        """Provide a function that returns every string the place holds now, decoded as far as anybody could."""
        return None

    # --- what the kit makes of it ----------------------------------------------------------------------------

    @pytest.fixture
    def store(self, make_store: MakeStore) -> CredentialStore:
        """One handle."""
        return make_store()

    @pytest.fixture
    def sibling(self, make_store: MakeStore, store: CredentialStore) -> CredentialStore:  # noqa: ARG002  made after it
        """Another handle onto the same place."""
        return make_store()

    # --- records ---------------------------------------------------------------------------------------------

    def test_it_has_a_name(self, store: CredentialStore) -> None:
        """`kind` is shown to people: set it to a short word."""
        assert isinstance(store.kind, str)
        assert store.kind, "kind is empty"

    def test_an_empty_place_holds_nothing(self, store: CredentialStore) -> None:
        """A first `load` returns ``Snapshot()``, not an error: nobody has signed in yet."""
        assert store.load() == Snapshot(), "an empty place must load as Snapshot()"

    @pytest.mark.parametrize("text", ['{"a": "b"}', "no ASCII: é ☃ 𝄞", "lines\nand\ttabs\\", "x" * 20_000])
    def test_what_is_saved_is_loaded(self, store: CredentialStore, sibling: CredentialStore, text: str) -> None:
        """A record comes back equal, in this handle and in another, whatever characters and length it has.

        Keep the payload as base64 where the place cannot hold every character; split it where it holds little.
        """
        record = _record(1, text)
        _save(store, record)
        assert _same(store.load(), record), "load() in the same handle returns something else than was saved"
        assert _same(sibling.load(), record), "load() in another handle returns something else than was saved"

    def test_the_newest_record_is_loaded(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Handles see each other's saves at once: never cache a snapshot."""
        for generation in range(1, 6):
            record = _record(generation)
            _save(store if generation % 2 else sibling, record)
            assert _same(store.load(), record), f"generation {generation} is not seen by one handle"
            assert _same(sibling.load(), record), f"generation {generation} is not seen by the other handle"

    @pytest.mark.parametrize("generation", [3, 2, 1])
    def test_no_older_generation_is_written(
        self, store: CredentialStore, sibling: CredentialStore, generation: int
    ) -> None:
        """`save` compares with what the place holds now, and refuses what is not newer.

        Without this a process that slept through a renewal would put a spent refresh token over a live one. Read the
        place within `save`, under the lock; do not compare with what this handle saw last.
        """
        newest = _record(3)
        _save(sibling, newest)
        with pytest.raises(GenerationConflict), store.lock(_LONG):
            store.save(_record(generation, "older"))
        assert _same(store.load(), newest), "the refused save changed what is kept"

    def test_generations_may_be_skipped(self, store: CredentialStore) -> None:
        """Newer means greater, not greater by one: a record that was lost elsewhere must not block the next one."""
        _save(store, _record(1))
        _save(store, _record(7))
        assert store.load().generation == 7, "generation 7 after generation 1 must be kept"  # noqa: PLR2004  as saved

    def test_the_newest_record_may_be_saved_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """The identical record is no conflict: a `save` that failed, or came too late, may have written it.

        The refresh token in it is the only one that still works, so the save is repeated until it succeeds.
        """
        record = _record(3)
        _save(store, record)
        _save(sibling, record)
        assert _same(store.load(), record), "saving the newest record again changed what is kept"

    # --- signing out -----------------------------------------------------------------------------------------

    def test_a_tombstone_is_a_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """After a sign-out the generation is still known, so that the next sign-in is newer than all before."""
        _save(store, _record(1))
        _save(store, Record(generation=2, payload=None, written_at=1.5))
        assert _same(sibling.load(), Record(generation=2, payload=None, written_at=1.5)), "the tombstone is not loaded"
        with pytest.raises(GenerationConflict), store.lock(_LONG):
            store.save(_record(2))
        _save(sibling, _record(3))
        assert store.load().generation == 3, "a sign-in after a sign-out must be kept"  # noqa: PLR2004  as saved

    def test_a_tombstone_removes_the_secrets(self, store: CredentialStore, contents: Contents | None) -> None:
        """Signing out leaves no payload behind, nor an older one.

        Delete what earlier generations left, in every slot, chunk or version that the place has.
        """
        if contents is None:
            pytest.skip("override the fixture contents to check what a sign-out leaves behind")
        for generation in (1, 2, 3):
            _save(store, _record(generation, _SECRET * 100))
        _save(store, Record(generation=4, payload=None, written_at=0.0))
        for text in contents():
            assert_no_secret(text, {_SECRET}, "what the store keeps after a sign-out")

    # --- intents ---------------------------------------------------------------------------------------------

    def test_an_intent_is_seen_by_everybody(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An intent says that a refresh token is about to be spent; it leaves the current record in force."""
        record, intent = _record(1), _intent(2)
        _save(store, record)
        with store.lock(_LONG):
            store.intend(intent)
        for handle in (store, sibling):
            assert handle.load() == Snapshot(record=record, intent=intent), "intent and record are not both loaded"

    def test_an_intent_is_resolved_by_its_result(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Once the result of a renewal is saved, its intent is gone."""
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.save(_record(2))
        assert _same(sibling.load(), _record(2)), "the intent is still there beside its result"

    def test_an_intent_can_be_withdrawn(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """A renewal that certainly did not happen leaves no trace; withdrawing twice is no error."""
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.withdraw(_intent(2))
            store.withdraw(_intent(2))
        assert _same(sibling.load(), _record(1)), "the withdrawn intent is still there"

    def test_an_intent_can_be_noted_again(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """The same token may be sent once more after a lost answer: the intent is replaced, with its new count."""
        _save(store, _record(1))
        with store.lock(_LONG):
            store.intend(_intent(2))
            store.intend(evolve(_intent(2), attempts=2))
        assert sibling.load().intent == evolve(_intent(2), attempts=2), "the second intent did not replace the first"

    def test_an_intent_may_come_before_any_record(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """There is none to fall back to, and still it is no damage."""
        with store.lock(_LONG):
            store.intend(_intent(1))
        assert sibling.load() == Snapshot(intent=_intent(1)), "an intent without a record is not loaded as such"

    # --- the lock --------------------------------------------------------------------------------------------

    def test_the_lock_excludes_everybody_else(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """While one holds the lock, others get `StoreBusy` after their timeout, in this handle and in another.

        A lock per handle is not enough: lock the place (a lock file, an advisory lock of the database).
        """
        with store.lock(_LONG):
            for other in (store, sibling):
                began = time.monotonic()
                error = _on_thread(partial(_take, other, _SHORT))
                assert isinstance(error, StoreBusy), f"a second holder got {error!r} instead of StoreBusy"
                assert time.monotonic() - began < _AGES, f"StoreBusy came much later than after {_SHORT} s"
                assert str(error), "StoreBusy says nothing"

    def test_the_lock_is_handed_on(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """Who waits gets the lock when it is released, well before the timeout."""
        outcome: list[BaseException | None] = []
        waiter = threading.Thread(target=lambda: outcome.append(_caught(lambda: _take(sibling, _LONG))), daemon=True)
        with store.lock(_LONG):
            waiter.start()
            waiter.join(_SHORT)
            assert not outcome, "the waiter did not wait"
        waiter.join(_AGES)
        assert outcome == [None], f"after the release the waiter got {outcome or 'nothing'}"

    def test_the_lock_is_released_after_an_error(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """An error inside the ``with`` block releases the lock, and is not swallowed."""
        with pytest.raises(ZeroDivisionError), store.lock(_LONG):
            raise ZeroDivisionError
        _take(sibling, _SHORT)

    def test_reading_needs_no_lock(self, store: CredentialStore, sibling: CredentialStore) -> None:
        """`load` works while another process renews: whoever has a valid credential is served at once."""
        _save(store, _record(1))
        with store.lock(_LONG):
            loaded: list[Snapshot] = []
            error = _on_thread(lambda: loaded.append(sibling.load()))
        assert error is None, f"load() under somebody else's lock raised {error!r}"
        assert _same(loaded[0], _record(1)), "load() under somebody else's lock returns something else"

    # --- secrets and leftovers -------------------------------------------------------------------------------

    def test_a_probe_leaves_nothing(self, store: CredentialStore, contents: Contents | None) -> None:
        """`probe` proves that something can be kept, and tidies up: under a name of its own, deleted at the end."""
        _save(store, _record(1))
        before = sorted(contents()) if contents else []
        store.probe()
        assert _same(store.load(), _record(1)), "probe() changed what is kept"
        assert (sorted(contents()) if contents else []) == before, "probe() left something behind"

    def test_no_secret_shows(self, store: CredentialStore) -> None:
        """``repr(store)`` and the errors of a store never quote a payload."""
        _save(store, _record(1, _SECRET))
        with pytest.raises(GenerationConflict) as caught, store.lock(_LONG):
            store.save(_record(1, _SECRET * 2))
        shown = f"{store!r} {store} {caught.value!r} {caught.value} {caught.value.__cause__!r} {store.load()!r}"
        assert_no_secret(shown, {_SECRET}, "what a store shows of itself")


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
    """Run `act` on a thread of its own and return what it raised; a thread that hangs is a TimeoutError."""
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(_caught(act)), daemon=True)
    thread.start()
    thread.join(_AGES)
    return outcome[0] if outcome else TimeoutError(f"nothing happened within {_AGES:.0f} s")
