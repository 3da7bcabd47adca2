"""A prompt that the user dismissed stays closed for a while, in all processes of a state directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey._stores.keychain.dismissals import FIRST_PAUSE, MAX_PAUSE, Dismissals
from freshkey_testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_pause_doubles_with_each_dismissal_up_to_an_hour(tmp_path: Path, clock: ManualClock) -> None:
    dismissals = Dismissals(tmp_path, clock)
    assert dismissals.pause()[0] == 0
    pauses = []
    for _ in range(10):
        dismissals.note()
        pauses.append(dismissals.pause()[0])
        clock.advance(pauses[-1])
        assert dismissals.pause()[0] <= 0
    assert pauses[:4] == pytest.approx([FIRST_PAUSE, 60, 120, 240])
    assert pauses[-1] == MAX_PAUSE


def test_other_processes_see_it_and_an_unlocked_keychain_ends_it(tmp_path: Path, clock: ManualClock) -> None:
    Dismissals(tmp_path, clock).note()
    clock.advance(10)
    other = Dismissals(tmp_path, clock)
    assert other.pause() == (20, 10)
    other.clear()
    assert Dismissals(tmp_path, clock).pause() == (0, 0)


def test_dismissals_long_ago_do_not_count(tmp_path: Path, clock: ManualClock) -> None:
    dismissals = Dismissals(tmp_path, clock)
    for _ in range(5):
        dismissals.note()
    clock.advance(3 * MAX_PAUSE)
    dismissals.note()
    assert dismissals.pause()[0] == FIRST_PAUSE


def test_state_directory_that_cannot_be_written_is_not_needed(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").touch()
    dismissals = Dismissals(tmp_path / "file", clock)
    dismissals.note()
    assert dismissals.pause()[0] == FIRST_PAUSE
    dismissals.clear()
    assert dismissals.pause()[0] == 0


@pytest.mark.parametrize(
    "text", ["", "{}", '{"last": 5, "in_a_row": 1}', '{"last": {"wall": "x"}, "in_a_row": []}', "[]"]
)
def test_damaged_file_counts_as_none(tmp_path: Path, clock: ManualClock, text: str) -> None:
    (tmp_path / "keychain").mkdir(mode=0o700)
    (tmp_path / "keychain" / "prompt.json").write_text(text)
    assert Dismissals(tmp_path, clock).pause() == (0, 0)


def test_clock_that_was_set_back_ends_the_pause(tmp_path: Path, clock: ManualClock) -> None:
    Dismissals(tmp_path, clock).note()
    clock.reboot()
    clock.step_wall(-1_000_000.0)
    assert Dismissals(tmp_path, clock).pause()[0] == 0
