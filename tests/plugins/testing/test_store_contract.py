"""The kit passes a store that meets the contract, and fails one that violates any part of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._stores import memory
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore
from freshkey_testing import StoreContract
from freshkey_testing.store_at_rest import AtRest, BreakWrites, Contents, OpenProfile
from kit_runs import failed, failures, run


pytest_plugins = ["pytester"]


class TestMemory(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], CredentialStore]:
        profile = Profile(name="contract", provider="none", settings=None, state_dir=tmp_path)
        return lambda: memory.store(profile)

    @pytest.fixture
    def at_rest(self) -> AtRest:
        return None

    @pytest.fixture
    def break_writes(self) -> BreakWrites:
        return None

    @pytest.fixture
    def open_profile(self, tmp_path: Path) -> OpenProfile:
        return lambda key: memory.store(Profile(name=key, provider="none", settings=None, state_dir=tmp_path))

    @pytest.fixture
    def contents(self, tmp_path: Path) -> Contents:
        items = memory._KEPT[str(tmp_path.resolve()), "contract"]
        return lambda: [decoded(text) for text in items._values.values()]


def decoded(item: str) -> str:
    head, _, body = item.rpartition(".")
    return f"{head} {base64.urlsafe_b64decode(body).decode()}"


SMALL_STORE = """
import contextlib, os, threading
import pytest
from attrs import evolve
from freshkey.errors import GenerationConflict, StoreBusy, StoreUnavailable
from freshkey.model.storage import Record, Snapshot
from freshkey_testing import StoreContract


class Place:
    def __init__(self):
        self.snapshot = Snapshot()
        self.older = []
        self.mutex = threading.Lock()
        self.folder = None


class SmallStore:
    kind = "small"
    key = staticmethod(lambda key: key)

    def __init__(self, place):
        self.place = place

    @contextlib.contextmanager
    def lock(self, timeout):
        if not self.place.mutex.acquire(timeout=timeout):
            raise StoreBusy(f"busy for {timeout} s")
        try:
            yield
        finally:
            self.place.mutex.release()

    def probe(self):
        pass

    def load(self):
        return self.place.snapshot

    def intend(self, intent):
        self.write(b"intent")
        self.place.snapshot = evolve(self.place.snapshot, intent=intent)

    def withdraw(self, intent):
        self.place.snapshot = evolve(self.place.snapshot, intent=None)

    def write(self, data):
        try:
            descriptor = os.open(self.place.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            raise StoreUnavailable("cannot write") from None
        os.write(descriptor, data)
        os.close(descriptor)

    def save(self, record):
        self.compare(record)
        self.write(b"sealed")
        if record.payload is None:
            self.forget()
        else:
            self.place.older.append(record.payload.reveal())
        self.place.snapshot = Snapshot(record=record)

    def compare(self, record):
        if record != self.place.snapshot.record and record.generation <= self.place.snapshot.generation:
            raise GenerationConflict("not newer")

    def forget(self):
        self.place.older.clear()


class Broken(SmallStore):
{broken}

class TestSmall(StoreContract):
    deadline = 2.0

    @pytest.fixture
    def places(self, tmp_path):
        def place(key):
            if key not in places:
                places[key] = Place()
                places[key].folder = tmp_path
            return places[key]

        places = {}
        return place

    @pytest.fixture
    def place(self, places):
        return places("me")

    @pytest.fixture
    def open_profile(self, places):
        return lambda key: Broken(places(Broken.key(key)))

    @pytest.fixture
    def at_rest(self, tmp_path):
        return tmp_path

    @pytest.fixture
    def make_store(self, place):
        return lambda: Broken(place)

    @pytest.fixture
    def contents(self, place):
        return lambda: [repr(place.snapshot), *place.older]
"""


BREAKS: dict[str, tuple[str, str]] = {
    "no name": (
        """
    kind = ""
""",
        "test_it_has_a_name",
    ),
    "empty is None": (
        """
    def load(self):
        return self.place.snapshot if self.place.snapshot.record else None
""",
        "test_an_empty_place_holds_nothing",
    ),
    "refuses the identical record": (
        """
    def compare(self, record):
        if record.generation <= self.place.snapshot.generation:
            raise GenerationConflict("not newer")
""",
        "test_the_newest_record_may_be_saved_again",
    ),
    "compares nothing": (
        """
    def compare(self, record):
        pass
""",
        "test_no_older_generation_is_written test_a_tombstone_is_a_record",
    ),
    "refuses a gap": (
        """
    def compare(self, record):
        if record.generation != self.place.snapshot.generation + 1:
            raise GenerationConflict("not next")
""",
        "test_generations_may_be_skipped",
    ),
    "a separate place per handle": (
        """
    def __init__(self, place):
        self.place = Place()
        self.place.mutex, self.place.folder = place.mutex, place.folder
""",
        "test_the_newest_record_is_loaded test_what_is_saved_is_loaded",
    ),
    "forgets nothing": (
        """
    def forget(self):
        pass
""",
        "test_a_tombstone_removes_the_secrets",
    ),
    "intent replaces record": (
        """
    def intend(self, intent):
        self.place.snapshot = Snapshot(intent=intent)
""",
        "test_an_intent_is_seen_by_everybody test_an_intent_can_be_withdrawn",
    ),
    "no intent": (
        """
    def intend(self, intent):
        pass
""",
        "test_an_intent_may_come_before_any_record",
    ),
    "intent stays": (
        """
    def save(self, record):
        intent = self.place.snapshot.intent
        super().save(record)
        self.place.snapshot = evolve(self.place.snapshot, intent=intent)
""",
        "test_an_intent_is_resolved_by_its_result",
    ),
    "withdraws nothing": (
        """
    def withdraw(self, intent):
        pass
""",
        "test_an_intent_can_be_withdrawn",
    ),
    "first intent wins": (
        """
    def intend(self, intent):
        if not self.place.snapshot.intent:
            super().intend(intent)
""",
        "test_an_intent_can_be_noted_again",
    ),
    "a lock per handle": (
        """
    def __init__(self, place):
        super().__init__(place)
        self.mine = threading.Lock()

    @contextlib.contextmanager
    def lock(self, timeout):
        if not self.mine.acquire(timeout=timeout):
            raise StoreBusy("busy")
        with contextlib.ExitStack() as stack:
            stack.callback(self.mine.release)
            yield
""",
        "test_the_lock_excludes_everybody_else test_the_lock_is_handed_on",
    ),
    "never waits": (
        """
    def lock(self, timeout):
        return super().lock(0)
""",
        "test_the_lock_is_handed_on",
    ),
    "keeps the lock after an error": (
        """
    @contextlib.contextmanager
    def lock(self, timeout):
        if not self.place.mutex.acquire(timeout=timeout):
            raise StoreBusy("busy")
        yield
        self.place.mutex.release()
""",
        "test_the_lock_is_released_after_an_error",
    ),
    "reading takes the lock": (
        """
    def load(self):
        with self.lock(0.01):
            return super().load()
""",
        "test_reading_needs_no_lock",
    ),
    "probe leaves something": (
        """
    def probe(self):
        self.place.older.append("probe")
""",
        "test_a_probe_leaves_nothing",
    ),
    "shows secrets": (
        """
    def compare(self, record):
        if record.generation <= self.place.snapshot.generation:
            raise GenerationConflict(record.payload.reveal())
""",
        "test_no_secret_shows",
    ),
    "lacks a method": (
        """
    withdraw = None
""",
        "test_it_is_a_store",
    ),
    "encodes instead of encrypting": (
        """
    def save(self, record):
        super().save(record)
        self.write(record.payload.reveal().encode().hex().encode())
""",
        "test_nothing_lies_at_rest_in_clear",
    ),
    "a key in a file name": (
        """
    def save(self, record):
        super().save(record)
        (self.place.folder / record.payload.reveal()[:200]).touch(mode=0o600)
""",
        "test_nothing_lies_at_rest_in_clear",
    ),
    "files for everybody": (
        """
    def save(self, record):
        super().save(record)
        (self.place.folder / "log").chmod(0o644)
""",
        "test_files_are_only_the_user_s",
    ),
    "swallows failing writes": (
        """
    def write(self, data):
        with contextlib.suppress(StoreUnavailable):
            super().write(data)

    def save(self, record):
        try:
            (self.place.folder / "log").open("ab").close()
        except OSError:
            return
        super().save(record)
""",
        "test_a_write_that_fails_is_reported",
    ),
    "any error for failing writes": (
        """
    def write(self, data):
        (self.place.folder / "log").open("ab").close()
""",
        "test_a_write_that_fails_is_reported",
    ),
    "folds the case of keys": (
        """
    key = staticmethod(str.lower)
""",
        "test_profiles_never_meet",
    ),
    "cuts keys off": (
        """
    key = staticmethod(lambda key: key[:255])
""",
        "test_profiles_never_meet",
    ),
    "hangs": (
        """
    def probe(self):
        threading.Event().wait(60)
""",
        "test_a_probe_leaves_nothing",
    ),
}

SENTENCES = {
    "no name": "*kind is empty*",
    "empty is None": "*load() from an empty location must return Snapshot()*",
    "refuses the identical record": "*generation 3 raised GenerationConflict: the identical record may be saved again*",
    "compares nothing": "*save() of generation 3 succeeded: raise GenerationConflict for a record that is not newer*",
    "refuses a gap": "*save() of generation 7 raised GenerationConflict: generations may be skipped*",
    "a separate place per handle": "*load() by another handle does not return what was saved*",
    "intent replaces record": "*intent and record are not both loaded*",
    "no intent": "*load() does not return an intent without a record*",
    "intent stays": "*the intent is still there after its result was saved*",
    "withdraws nothing": "*the withdrawn intent is still there*",
    "first intent wins": "*the second intent did not replace the first*",
    "a lock per handle": "*a second holder got None instead of StoreBusy*",
    "never waits": "*the waiter did not wait*",
    "keeps the lock after an error": "*the lock is still held after an error inside of it*",
    "reading takes the lock": "*raised StoreBusy*while the lock was held*",
    "probe leaves something": "*probe() left something behind*",
    "shows secrets": "*the text of a store and its errors holds a secret*",
    "a key in a file name": "*is not encrypted: it*",
    "lacks a method": "*lacks withdraw()*implement every method*",
    "forgets nothing": "*after a sign-out the store still*",
    "encodes instead of encrypting": "*log is not encrypted*",
    "files for everybody": "*others may use log (mode 0644): create files with 0600*",
    "swallows failing writes": "*save() could not write, but reported no error: let it raise StoreUnavailable*",
    "any error for failing writes": "*could not write and raised OSError: raise StoreUnavailable*",
    "folds the case of keys": "*profile 'Work' finds what another one saved: the record of profile 'work'*",
    "cuts keys off": "*finds what another one saved: the record of profile 'xxx…xxy'*",
    "hangs": "*still running after 2 s, in probe (*give each wait there a time limit*",
}


def test_a_small_store_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failures(pytester, monkeypatch, SMALL_STORE.replace("{broken}", "    pass\n")) == set()


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_store_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    code, caught_by = BREAKS[broken]
    only = ("-k", " or ".join(caught_by.split()))
    result = run(pytester, monkeypatch, SMALL_STORE.replace("{broken}", code), *only)
    assert failed(result) == set(caught_by.split())
    result.stdout.fnmatch_lines([SENTENCES[broken]])


def test_every_check_fails_for_some_store() -> None:
    checks = {name for name in dir(StoreContract) if name.startswith("test_")}
    assert checks == {name for _, caught_by in BREAKS.values() for name in caught_by.split()}


def test_without_a_store_the_kit_names_the_fixture(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from freshkey_testing import StoreContract\nclass TestMine(StoreContract): pass\n"
    result = run(pytester, monkeypatch, source)
    result.stdout.fnmatch_lines(["*fixture make_store*"])
    assert failed(result) == {"test_it_is_a_store"}


def test_what_is_no_store_fails_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SMALL_STORE.replace("{broken}", "    load = save = None\n")
    assert failures(pytester, monkeypatch, source) == {"test_it_is_a_store"}


@pytest.mark.parametrize(
    ("fixture", "check"),
    [
        ("at_rest", "test_nothing_lies_at_rest_in_clear"),
        ("contents", "test_a_tombstone_removes_the_secrets"),
        ("open_profile", "test_profiles_never_meet"),
    ],
)
def test_a_missing_fixture_fails_and_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fixture: str, check: str
) -> None:
    source = SMALL_STORE.replace("{broken}", "    pass\n").replace(f"def {fixture}(", f"def no_{fixture}(")
    result = run(pytester, monkeypatch, source, "-k", check)
    assert failed(result) == {check}
    result.stdout.fnmatch_lines([f"*override the fixture {fixture} to return*"])


NOT_IN_FILES = """
    def write(self, data):
        if self.place.closed:
            raise self.closed_error("the connection is closed")

    closed_error = {closed_error}
"""
CLOSES = """

    @pytest.fixture
    def break_writes(self, place):
        @contextlib.contextmanager
        def closed():
            place.closed = True
            yield
            place.closed = False

        return closed
"""


@pytest.mark.parametrize(
    ("closes", "closed_error", "sentence"),
    [
        (CLOSES, "StoreUnavailable", None),
        (CLOSES, "ValueError", "*intend() could not write and raised ValueError: raise StoreUnavailable*"),
        (
            "",
            "ValueError",
            "*intend() and save() wrote although no file could be changed: override the fixture break_writes*",
        ),
    ],
    ids=["reported", "another error", "left out"],
)
def test_a_store_that_is_no_file_says_how_its_writes_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, closes: str, closed_error: str, sentence: str | None
) -> None:
    source = SMALL_STORE.replace("{broken}", NOT_IN_FILES.replace("{closed_error}", closed_error))
    source = source.replace("self.folder = None", "self.folder, self.closed = None, False")
    result = run(pytester, monkeypatch, source + closes, "-k", "a_write_that_fails")

    assert failed(result) == ({"test_a_write_that_fails_is_reported"} if sentence else set())
    if sentence:
        result.stdout.fnmatch_lines([sentence])
