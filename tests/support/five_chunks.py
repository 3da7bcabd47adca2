"""A process that saves a record of five chunks in Credential Manager and may be ended between any two changes.

On Windows, it is the real one, as `credential_manager` explains. The arguments are what to do, the folder of the
profiles, their number, and for ``crash`` which of them. Profile number *n* is ended after *n* changes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from attrs import evolve

import credential_manager
from freshkey._stores.keychain import backends, choice
from freshkey._stores.keychain.session import CREDENTIAL_MANAGER
from freshkey._stores.keychain.store import WINDOWS_ITEM_LIMIT, KeyringItems, service_prefix, store
from freshkey._stores.records.chunks import record_items
from freshkey._stores.records.slots import SlottedStore
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from scripted_items import a_record, an_intent


SIZE = 3600
"""Characters of a payload of five chunks."""


def a_large_record(generation: int, *, longer: int = 0) -> Record:
    return evolve(a_record(generation), payload=Secret(str(generation % 10) * (SIZE + longer)))


def _profile(folder: Path, number: int) -> Profile:
    return Profile(
        name="me",
        provider="x",
        settings=None,
        state_dir=folder / f"state-{number}",
        store_settings={"timeout": 60.0},
    )


def _opened(profile: Profile) -> SlottedStore:
    kept = store(profile)
    assert isinstance(kept, SlottedStore)
    return kept


def _renew(kept: SlottedStore, record: Record) -> None:
    with kept.lock(30):
        kept.intend(an_intent(record.generation))
        kept.save(record)


def prepare(folder: Path, count: int) -> None:
    """Sign each profile in, with an older record of six chunks in the slot that generation 3 will use."""
    assert len(record_items(a_large_record(1, longer=800), WINDOWS_ITEM_LIMIT)) == 6
    for number in range(count):
        for generation in (1, 2):
            _renew(_opened(_profile(folder, number)), a_large_record(generation, longer=800))


def crash(folder: Path, number: int) -> None:
    """Save a record of five chunks; the process is ended at one of the changes, or there are fewer."""
    assert len(record_items(a_large_record(3), WINDOWS_ITEM_LIMIT)) == 5
    _renew(_opened(_profile(folder, number)), a_large_record(3))


def report(folder: Path, number: int) -> dict[str, Any]:
    """Return what the next process finds; it renews, reads, and signs out."""
    profile = _profile(folder, number)
    kept = _opened(profile)
    found = kept.load()
    whole = found.record == a_large_record(3) or found.record == a_large_record(2, longer=800)
    told: dict[str, Any] = {
        "generation": found.generation,
        "whole": whole,
        "warned": found.intent is not None or found.damaged,
    }
    further = a_large_record(found.generation + 1)
    _renew(kept, further)
    told["renewed"] = _opened(profile).load().record == further
    tombstone = a_record(further.generation + 1, None)
    with kept.lock(30):
        kept.save(tombstone)
    scope = service_prefix(profile).split(":")[1]
    told["left"] = [each.rpartition(":")[2] for each in credential_manager.entries(scope)]
    told["expected"] = [f"{tombstone.generation % 2}.0"]
    kept.forget()
    told["forgotten"] = credential_manager.entries(scope) == []
    return told


def main(verb: str, folder: Path, count: int, steps: int | None) -> None:
    credential_manager.attach(folder / "entries", steps=steps)
    KeyringItems.item_limit = WINDOWS_ITEM_LIMIT
    setattr(backends, "allowed", lambda: (CREDENTIAL_MANAGER,))  # noqa: B010  as on Windows
    setattr(choice, "in_order", tuple)  # noqa: B010
    if verb == "prepare":
        prepare(folder, count)
    elif verb == "crash" and steps is not None:
        crash(folder, steps)
    else:
        for number in range(count):
            sys.stdout.write(json.dumps(report(folder, number)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None)
