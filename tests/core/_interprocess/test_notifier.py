"""What processes tell each other besides the store: it may be missing, stale or damaged without harm."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._interprocess.hints import Hints, HintsFile, ProcessHints
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey.clock import Moment
from promises import proves
from second_user import SecondUser


NOW = Moment(wall=1_000.0, elapsed=50.0, boot_id="this boot")
SOME = Hints(
    generation=3,
    source="login",
    attempted=NOW,
    pause=30.0,
    failures=2,
    subject="a fingerprint",
    kind="TransientError",
    error_code="connection-failed",
    sign_in_code="sign-in-ended",
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


def test_other_processes_learn_nothing_of_a_sign_in_that_ends_with_its_process(tmp_path: Path) -> None:
    said = evolve(SOME, generation=3, refused_generation=3, sign_in_code="sign-in-ended", signed_out=True)
    ProcessHints(tmp_path / "state", "me").write(said)

    assert ProcessHints(tmp_path / "state", "me").read() == said
    in_file = evolve(said, generation=0, refused_generation=0, sign_in_code=None, signed_out=False)
    assert HintsFile(tmp_path / "state", "me").read() == in_file
    HintsFile(tmp_path / "state", "you").write(said)
    assert ProcessHints(tmp_path / "state", "you").read() == in_file, "written by another process"


def test_sign_in_of_another_store_is_still_known_after_a_process_without_it(tmp_path: Path) -> None:
    known = evolve(SOME, generation=3, refused_generation=2, sign_in_code="sign-in-ended", signed_out=False)
    HintsFile(tmp_path / "state", "me").write(known)
    mine = ProcessHints(tmp_path / "state", "me")
    mine.write(evolve(mine.read(), generation=1, failures=5))
    assert HintsFile(tmp_path / "state", "me").read() == evolve(known, failures=5)


def test_unwritable_state_directory_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    ChangeNotifier(tmp_path / "state").notify()
    HintsFile(tmp_path / "state", "me").write(SOME)
    assert HintsFile(tmp_path / "state", "me").read() == Hints()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@proves("STO-7")
@pytest.mark.parametrize("place", ["hints", "hints/*"])
def test_hints_with_loose_modes_are_not_used_and_the_user_is_told_once(
    hints: HintsFile, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    hints.write(SOME)
    (loose,) = (tmp_path / "state").glob(place)
    loose.chmod(0o755)
    for _ in range(3):
        hints.write(hints.read())

    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]
    assert f"{loose}. Run: chmod {'600' if '*' in place else '700'} {loose}" in caplog.text


@proves("STO-7")
def test_another_user_reaches_nothing_in_the_state_directory_whatever_the_modes_in_it(
    open_tmp_path: Path, second_user: SecondUser
) -> None:
    state = open_tmp_path / "state"
    HintsFile(state, "me").write(SOME)
    ChangeNotifier(state).notify()
    inside = [state / "changed", state / "hints", *(state / "hints").iterdir()]
    for each in inside:
        each.chmod(0o777)

    code = """
for each in sys.argv[1:]:
    try:
        os.stat(each)
        print("reached")
    except PermissionError:
        print("refused")
"""
    assert second_user.run(code, *inside).split() == ["refused"] * len(inside)
    ChangeNotifier(state).notify()
    assert (state / "changed").stat().st_mode & 0o077 == 0


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


def test_texts_and_missing_codes_of_an_older_version_are_ignored(hints: HintsFile, tmp_path: Path) -> None:
    hints.write(SOME)
    (path,) = (tmp_path / "state" / "hints").iterdir()
    path.write_text('{"generation": 3, "error": "no route", "hint": ["Wait"], "sign_in_needed": 7, "sign_in_hint": ""}')
    assert hints.read() == Hints(generation=3)


def test_hints_contain_only_the_listed_fields(hints: HintsFile, tmp_path: Path) -> None:
    hints.write(SOME)
    (path,) = (tmp_path / "state" / "hints").iterdir()
    assert set(json.loads(path.read_bytes())) == {
        "elsewhere",
        "store",
        "generation",
        "source",
        "subject",
        "attempted",
        "pause",
        "failures",
        "kind",
        "error_code",
        "sign_in_code",
        "signed_out",
        "refused_generation",
    }
    assert sys.platform == "win32" or path.stat().st_mode & 0o077 == 0


def test_a_pause_counts_only_under_the_boot_it_belongs_to() -> None:
    later = Moment(wall=1_010.0, elapsed=60.0, boot_id="this boot")
    assert SOME.seconds_to_wait(later) == 20.0
    assert SOME.seconds_to_wait(Moment(wall=1_010.0, elapsed=60.0, boot_id="another boot")) == 0.0
    assert Hints().seconds_to_wait(later) == 0.0
