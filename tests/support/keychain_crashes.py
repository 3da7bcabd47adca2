"""A process whose children renew with a keychain that deletes before it adds, and are killed at each step.

Prints one JSON line per child: the step at which it was killed, and what the next process finds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from attrs import evolve

import fake_keychains
from freshkey._stores.keychain.store import KeyringItems, store
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore
from freshkey.secret import Secret
from scripted_items import a_record, an_intent


MAX_STEPS = 200


def _opened(state: Path) -> CredentialStore:
    options = {"backend": "fake_keychains.DeleteThenAdd"}
    kept: CredentialStore = store(
        Profile(name="me", provider="x", settings=None, state_dir=state, store_settings=options)
    )
    return kept


def _in_child(work: Callable[[], object]) -> bool:
    """Run something in a child process; return whether it was killed."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
        sys.exit("a child failed")
    return os.WIFSIGNALED(status)


def _renew(state: Path, generation: int, steps: int | None) -> None:
    fake_keychains.steps_left = steps
    kept = _opened(state)
    kept.intend(an_intent(generation))
    payload = Secret(str(generation % 10) * 1500)
    kept.save(evolve(a_record(generation), payload=payload))


def _report(state: Path, steps: int) -> None:
    found = _opened(state).load()
    whole = found.record is not None and found.record.payload is not None
    assert found.record is not None
    body = found.record.payload.reveal() if found.record.payload is not None else ""
    told = {
        "steps": steps,
        "generation": found.generation,
        "whole": whole and body == str(found.generation % 10) * 1500,
        "warned": found.intent is not None or found.damaged,
    }
    os.write(1, json.dumps(told).encode() + b"\n")


def _crash(home: Path, steps: int) -> bool:
    """Kill the renewal of generation 3 at a step and report what is left; return whether it got that far."""
    os.environ["FAKE_KEYCHAIN"] = str(home / "keychain")
    (home / "keychain").mkdir(mode=0o700, parents=True)
    for generation in (1, 2):
        _in_child(partial(_renew, home / "state", generation, None))
    killed = _in_child(partial(_renew, home / "state", 3, steps))
    _in_child(partial(_report, home / "state", steps))
    return killed


def main(state: Path, limit: int | None) -> None:
    """Kill a renewal at its first step, its second, and so on until it completes."""
    KeyringItems.item_limit = limit
    steps = 0
    while steps < MAX_STEPS and _crash(state / str(steps), steps):
        steps += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) or None)
