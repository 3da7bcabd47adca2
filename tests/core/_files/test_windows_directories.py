"""Directories on Windows: the user can use them whoever owns them, and others only where the user's own let them."""

from __future__ import annotations

import ctypes
import re
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


def test_user_is_let_in_by_name_and_others_only_where_the_profile_directory_passes_that_on(folder: Path) -> None:
    create_directory(folder)
    create_directory(folder / "below")
    sid = windows_home.user_sid()
    for path in (folder, folder / "below"):
        shown = entries(path)
        assert sid in shown
        assert "OW" not in shown  # the owner, who is the group Administrators if an elevated process creates it
        if windows_home.profile_directory() != folder.parent:
            assert shown <= {"SY", "BA", sid}


def entries(path: Path) -> set[str | None]:
    """Return who is named in a directory's access list, as Microsoft's SDDL abbreviates them."""
    advapi32, kernel32 = ctypes.WinDLL("advapi32"), ctypes.WinDLL("kernel32")
    kernel32.LocalFree.argtypes = (ctypes.c_void_p,)
    descriptor, text = ctypes.c_void_p(), ctypes.c_void_p()
    nothing, found, as_text = ctypes.c_void_p(), ctypes.byref(descriptor), ctypes.byref(text)
    of_file, access_lists, revision = 1, 4, 1
    assert advapi32.GetNamedSecurityInfoW(str(path), of_file, access_lists, *[nothing] * 4, found) == 0
    convert = advapi32.ConvertSecurityDescriptorToStringSecurityDescriptorW
    assert convert(descriptor, revision, access_lists, as_text, nothing)
    assert text.value is not None
    try:
        return set(re.findall(r";([^;()]+)\)", ctypes.wstring_at(text.value)))
    finally:
        kernel32.LocalFree(text)
        kernel32.LocalFree(descriptor)


def test_profile_directory_is_still_known() -> None:
    profile = windows_home.profile_directory()
    assert profile is not None
    assert profile.is_dir()
