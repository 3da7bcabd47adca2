"""The copy of an intent outside a keychain that may lose it."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey._stores.records.intent_file import IntentFile
from freshkey._stores.records.slots import SlottedStore
from freshkey.model.storage import Snapshot
from promises import proves
from scripted_items import Crashed, OpenLock, ScriptedItems, a_record, an_intent


@pytest.fixture
def intent_file(tmp_path: Path) -> IntentFile:
    return IntentFile(tmp_path / "state", "me")


def opened(items: ScriptedItems, intent_file: IntentFile) -> SlottedStore:
    return SlottedStore(items, OpenLock(), intent_file=intent_file)


@proves("FAULT-11", "STO-5", "ROT-7")
def test_intent_survives_a_crash_while_it_is_replaced(intent_file: IntentFile) -> None:
    items = ScriptedItems(replaces=False)
    store = opened(items, intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    items.steps_left = 1
    with pytest.raises(Crashed):
        store.save(a_record(2))
    items.steps_left = None
    assert list(items.values) == ["1.0"]

    assert opened(items, intent_file).load() == Snapshot(record=a_record(1), intent=an_intent(2))


def test_intent_is_ignored_once_its_result_is_saved(intent_file: IntentFile) -> None:
    store = opened(ScriptedItems(), intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    store.save(a_record(2))
    assert store.load() == Snapshot(record=a_record(2))

    store.save(a_record(3))
    assert store.load() == Snapshot(record=a_record(3))


def test_withdrawn_intent_is_deleted(intent_file: IntentFile) -> None:
    store = opened(ScriptedItems(), intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    store.withdraw(an_intent(2))

    assert store.load() == Snapshot(record=a_record(1))
    assert not intent_file.path.exists()


def test_intent_in_the_store_takes_precedence(intent_file: IntentFile) -> None:
    store = opened(ScriptedItems(), intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    intent_file.note(an_intent(2, attempts=7))

    assert store.load().intent == an_intent(2)


def test_forgetting_a_profile_deletes_its_intent(intent_file: IntentFile) -> None:
    store = opened(ScriptedItems(), intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    store.forget()

    assert not intent_file.path.exists()
    assert store.load() == Snapshot()


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff", b"fk2.f60d4a57.of a newer freshkey"])
def test_unreadable_intent_file_is_ignored(intent_file: IntentFile, content: bytes) -> None:
    intent_file.note(an_intent(2))
    intent_file.path.write_bytes(content)

    assert intent_file.read() is None


def test_unwritable_state_directory_is_ignored(intent_file: IntentFile, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file instead of a directory", "ascii")
    store = opened(ScriptedItems(), intent_file)
    store.save(a_record(1))
    store.intend(an_intent(2))
    assert store.load().intent == an_intent(2)

    store.withdraw(an_intent(2))
    assert store.load() == Snapshot(record=a_record(1))
