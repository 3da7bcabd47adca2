"""A state file is one strict JSON object: anything else counts as none, or is told to whoever wants to know."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from freshkey._files.state_file import StateFile, moment
from freshkey.clock import Moment
from freshkey.errors import ProtocolError, StoreUnavailable


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state", "below", "file.json")


def test_what_is_written_is_read_back(file: StateFile) -> None:
    assert file.read(dict) is None
    file.write({"a": 1})
    file.write({"b": ["\udc80", None]})
    assert file.read(dict) == {"b": ["\udc80", None]}


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
def test_it_is_private_and_so_is_its_directory(file: StateFile) -> None:
    file.write({})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_only_the_first_creates_it(file: StateFile) -> None:
    assert file.create({"a": 1})
    assert not file.create({"a": 2})
    assert file.read(dict) == {"a": 1}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}'])
def test_what_is_no_object_counts_as_none_or_is_told(file: StateFile, content: str) -> None:
    file.write({})
    file.path.write_text(content)
    told: list[Exception] = []
    assert file.read(dict) is None
    assert file.read(dict, told.append) is None
    assert [type(error) for error in told] == [ProtocolError]


def test_what_others_may_read_is_told_apart_from_what_is_damaged(file: StateFile) -> None:
    file.write({})
    file.path.chmod(0o644)
    told: list[Exception] = []
    file.read(dict, told.append)
    assert [type(error) for error in told] == [StoreUnavailable]


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError, AttributeError, OverflowError])
def test_members_that_do_not_fit_are_damage_too(file: StateFile, error: type[Exception]) -> None:
    def build(members: dict[str, Any]) -> str:
        raise error

    file.write({})
    assert file.read(build, lambda error: type(error).__name__) == error.__name__


def test_a_moment_has_numbers_and_a_text() -> None:
    assert moment(wall=1, elapsed=2, boot_id="b") == Moment(wall=1.0, elapsed=2.0, boot_id="b")
    with pytest.raises(TypeError):
        moment(wall=None, elapsed=2, boot_id="b")  # type: ignore[arg-type]
