"""The memory store: shared within a process, per state directory and profile."""

from __future__ import annotations

from attrs import evolve

from freshkey._stores import memory
from freshkey.errors import StoreBusy
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from raises_code import raises_code


RECORD = Record(generation=1, payload=Secret("kept"), written_at=1.0)


def test_stores_of_one_profile_share_their_content(profile: Profile) -> None:
    memory.store(profile).save(RECORD)

    assert memory.store(profile).load().record == RECORD


def test_each_profile_and_state_directory_has_its_own_content(profile: Profile) -> None:
    memory.store(profile).save(RECORD)

    assert memory.store(evolve(profile, name="you")).load().record is None
    assert memory.store(evolve(profile, state_dir=profile.state_dir / "other")).load().record is None


def test_lock_is_shared_and_nothing_is_written_to_disk(profile: Profile) -> None:
    with (
        memory.store(profile).lock(0),
        raises_code(StoreBusy, "store-busy") as caught,
        memory.store(profile).lock(0.01),
    ):
        pass

    assert "another thread" in caught.value.message
    assert not profile.state_dir.exists()
