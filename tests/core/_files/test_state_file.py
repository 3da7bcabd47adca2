"""State files: one strict JSON object; anything else counts as missing, or is passed to a callback."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from freshkey._files.state_file import StateFile, moment
from freshkey.clock import Moment
from freshkey.errors import ProtocolError


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state", "below", "file.json")


def test_written_members_are_read_back(file: StateFile) -> None:
    assert file.read(dict) is None
    file.write({"a": 1})
    file.write({"b": ["\udc80", None]})
    assert file.read(dict) == {"b": ["\udc80", None]}


@pytest.mark.skipif(sys.platform == "win32", reason="file modes have no meaning there")
def test_file_and_directory_are_private(file: StateFile) -> None:
    file.write({})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_create_does_not_replace_an_existing_file(file: StateFile) -> None:
    assert file.create({"a": 1})
    assert not file.create({"a": 2})
    assert file.read(dict) == {"a": 1}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}'])
def test_invalid_content_counts_as_missing_and_is_passed_to_the_callback(file: StateFile, content: str) -> None:
    file.write({})
    file.path.write_text(content)
    errors: list[Exception] = []
    assert file.read(dict) is None
    assert file.read(dict, errors.append) is None
    assert [type(error) for error in errors] == [ProtocolError]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_callback_can_tell_unsafe_permissions_from_damage(file: StateFile) -> None:
    file.write({})
    file.path.chmod(0o644)
    errors: list[Exception] = []
    file.read(dict, errors.append)
    assert [getattr(error, "code", None) for error in errors] == ["unsafe-store-path"]


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError, AttributeError, OverflowError])
def test_conversion_errors_are_passed_to_the_callback(file: StateFile, error: type[Exception]) -> None:
    def build(members: dict[str, Any]) -> str:
        raise error

    file.write({})
    assert file.read(build, lambda error: type(error).__name__) == error.__name__


def test_moment_is_built_from_numbers_and_a_string() -> None:
    assert moment(wall=1, elapsed=2, boot_id="b") == Moment(wall=1.0, elapsed=2.0, boot_id="b")
    with pytest.raises(TypeError):
        moment(wall=None, elapsed=2, boot_id="b")  # type: ignore[arg-type]
