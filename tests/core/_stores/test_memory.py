"""The memory store: shared within a process per state directory and profile."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey._stores import memory
from freshkey.errors import StoreBusy
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret


RECORD = Record(generation=1, payload=Secret("kept"), written_at=1.0)


def test_all_stores_of_one_profile_hold_the_same(profile: Profile) -> None:
    memory.store(profile).save(RECORD)

    assert memory.store(profile).load().record == RECORD


def test_another_profile_or_state_directory_is_another_sign_in(profile: Profile) -> None:
    memory.store(profile).save(RECORD)

    assert memory.store(evolve(profile, name="you")).load().record is None
    assert memory.store(evolve(profile, state_dir=profile.state_dir / "other")).load().record is None


def test_the_lock_is_shared_too_and_nothing_is_written_to_disk(profile: Profile) -> None:
    with (
        memory.store(profile).lock(0),
        pytest.raises(StoreBusy, match="another thread"),
        memory.store(profile).lock(0.01),
    ):
        pass

    assert not profile.state_dir.exists()
