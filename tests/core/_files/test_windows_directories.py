"""Directories on Windows: the user can use them whoever owns them, and others only where the user's own let them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


if sys.platform == "win32":
    from freshkey._files import windows_home
    from freshkey._files.windows_directories import access_list, create_directory
else:
    pytest.skip("other systems have modes", allow_module_level=True)

assert sys.platform == "win32"  # for mypy


@pytest.fixture(params=["in the profile", "elsewhere"])
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    inside = request.param == "in the profile"
    monkeypatch.setattr(windows_home, "profile_directory", lambda: tmp_path if inside else tmp_path / "other")
    return tmp_path / "state"


def test_directory_can_be_used(folder: Path) -> None:
    create_directory(folder)
    create_directory(folder / "below")
    (folder / "below" / "x").write_bytes(b"1")
    assert (folder / "below" / "x").read_bytes() == b"1"
    assert [path.name for path in folder.iterdir()] == ["below"]


def test_directory_that_exists_or_has_no_parent_is_an_error(folder: Path) -> None:
    create_directory(folder)
    with pytest.raises(FileExistsError):
        create_directory(folder)
    with pytest.raises(FileNotFoundError):
        create_directory(folder / "missing" / "x")
    with pytest.raises(ValueError, match="null"):
        create_directory(folder / "a\0b")


def test_list_of_a_directory_elsewhere_names_the_user_and_not_the_owner() -> None:
    sid = windows_home.user_sid()
    assert sid is not None
    assert re.fullmatch(r"S-1-5(-\d+)+", sid)
    assert access_list(sid) == f"D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{sid})"


def test_user_is_let_in_by_name(folder: Path) -> None:
    create_directory(folder)
    shown = subprocess.run(["icacls", str(folder)], check=True, capture_output=True, text=True).stdout
    if not shown.strip():
        pytest.skip("no icacls, as in Wine")
    entries = [line.replace(str(folder), "").strip() for line in shown.splitlines() if ":(" in line]
    inherited = ["(I)" in entry for entry in entries]
    if folder.parent == windows_home.profile_directory():
        assert all(inherited)
    else:
        assert not any(inherited)
        assert len(entries) == 3
        assert any(os.environ["USERNAME"].casefold() in entry.casefold() for entry in entries)


def test_profile_directory_is_still_known() -> None:
    profile = windows_home.profile_directory()
    assert profile is not None
    assert profile.is_dir()
