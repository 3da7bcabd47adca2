"""What processes tell each other besides the store: it may be missing, stale or damaged without harm."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey.clock import Moment


NOW = Moment(wall=1_000.0, elapsed=50.0, boot_id="this boot")
SOME = Hints(
    generation=3,
    source="login",
    attempted=NOW,
    pause=30.0,
    failures=2,
    error="no route",
    error_code="connection-failed",
    hint="Wait",
    sign_in_needed="revoked",
    sign_in_code="sign-in-ended",
    sign_in_hint="Run it",
)


@pytest.fixture
def hints(tmp_path: Path) -> HintsFile:
    return HintsFile(tmp_path / "state", "me")


def test_no_notification_means_no_stamp(tmp_path: Path) -> None:
    assert ChangeNotifier(tmp_path / "state").stamp() is None


def test_each_notification_changes_the_stamp_for_every_process(tmp_path: Path) -> None:
    mine, other = ChangeNotifier(tmp_path / "state"), ChangeNotifier(tmp_path / "state")
    stamps = []
    for _ in range(5):
        mine.notify()
        stamps.append(other.stamp())
        assert other.stamp() == stamps[-1]
    assert None not in stamps
    assert all(one != next_one for one, next_one in itertools.pairwise(stamps))


def test_hints_are_read_as_they_were_written(hints: HintsFile, tmp_path: Path) -> None:
    assert hints.read() == Hints()
    hints.write(SOME)
    assert hints.read() == SOME
    assert HintsFile(tmp_path / "state", "me").read() == SOME
    assert HintsFile(tmp_path / "state", "another").read() == Hints()


def test_unwritable_state_directory_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    ChangeNotifier(tmp_path / "state").notify()
    HintsFile(tmp_path / "state", "me").write(SOME)
    assert HintsFile(tmp_path / "state", "me").read() == Hints()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"generation": "three"}',
        b'{"error": 5}',
        b'{"pause": null}',
        b'{"attempted": "yesterday"}',
        b'{"attempted": {"wall": "x", "elapsed": 1, "boot_id": "b"}}',
        b'{"attempted": {"wall": 1}}',
    ],
)
def test_damaged_hints_count_as_empty(hints: HintsFile, tmp_path: Path, damaged: bytes) -> None:
    hints.write(SOME)
    (path,) = (tmp_path / "state" / "hints").iterdir()
    path.write_bytes(damaged)
    assert hints.read() == Hints()


@pytest.mark.parametrize("code", [5, ["sign-in-ended"], "Not a code", "a" * 65, "line\nbreak", None])
def test_code_that_is_not_one_is_dropped_without_the_refusal(hints: HintsFile, tmp_path: Path, code: object) -> None:
    hints.write(SOME)
    file = next((tmp_path / "state" / "hints").iterdir())
    file.write_text(json.dumps({**json.loads(file.read_text()), "error_code": code, "sign_in_code": code}))

    assert hints.read() == evolve(SOME, error_code=None, sign_in_code=None)


def test_hints_of_an_older_version_are_read_without_codes(hints: HintsFile, tmp_path: Path) -> None:
    hints.write(SOME)
    (path,) = (tmp_path / "state" / "hints").iterdir()
    path.write_text('{"generation": 3, "error": "no route", "hint": "Wait", "sign_in_needed": "revoked"}')
    assert hints.read() == Hints(generation=3, error="no route", hint="Wait", sign_in_needed="revoked")


def test_hints_contain_only_the_listed_fields(hints: HintsFile, tmp_path: Path) -> None:
    hints.write(SOME)
    (path,) = (tmp_path / "state" / "hints").iterdir()
    assert set(json.loads(path.read_bytes())) == {
        "generation",
        "source",
        "attempted",
        "pause",
        "failures",
        "error",
        "error_code",
        "hint",
        "sign_in_needed",
        "sign_in_code",
        "sign_in_hint",
        "refused_generation",
    }
    assert path.stat().st_mode & 0o077 == 0


def test_a_pause_counts_only_under_the_boot_it_belongs_to() -> None:
    later = Moment(wall=1_010.0, elapsed=60.0, boot_id="this boot")
    assert SOME.seconds_to_wait(later) == 20.0
    assert SOME.seconds_to_wait(Moment(wall=1_010.0, elapsed=60.0, boot_id="another boot")) == 0.0
    assert Hints().seconds_to_wait(later) == 0.0
