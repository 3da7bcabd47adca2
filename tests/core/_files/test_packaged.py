"""What a packaged program creates in AppData: everything of a profile has the scope of its lock (CON-1)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest

from freshkey._config import configuration as configurations
from freshkey._config.configuration import Configuration
from freshkey._files.packaged import is_common, kept_at, kept_for_all, own_place, private_folder
from freshkey._files.private import file_name
from freshkey._interprocess.lock import ProfileLock
from freshkey._stores.keychain.store import service_prefix
from freshkey.model.profile import Profile


APPDATA = PureWindowsPath(r"C:\Users\me\AppData")
PACKAGE = APPDATA / r"Local\Packages\PythonSoftwareFoundation.Python.3.13_qbz5n2kfra8p0\LocalCache"


def private(folder: PureWindowsPath) -> PureWindowsPath | None:
    """Return what Windows does with new files of Store Python."""
    return PACKAGE / folder.name


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (APPDATA / r"Local\freshkey", PACKAGE / r"Local\freshkey"),
        (APPDATA / r"Roaming\a\b", PACKAGE / r"Roaming\a\b"),
        (PureWindowsPath(r"c:\users\ME\appdata\local\freshkey"), PACKAGE / r"local\freshkey"),
        (PACKAGE / r"Local\freshkey", PACKAGE / r"Local\freshkey"),
        (APPDATA, APPDATA),
        (
            PureWindowsPath(r"C:\Users\me\AppData2\Local\freshkey"),
            PureWindowsPath(r"C:\Users\me\AppData2\Local\freshkey"),
        ),
        (PureWindowsPath(r"C:\Users\me\.freshkey"), PureWindowsPath(r"C:\Users\me\.freshkey")),
        (PureWindowsPath(r"D:\state"), PureWindowsPath(r"D:\state")),
    ],
)
def test_state_directory_of_a_packaged_program_is_that_of_its_package(
    given: PureWindowsPath, found: PureWindowsPath
) -> None:
    assert kept_at(given, APPDATA, private) == found
    assert kept_at(given, APPDATA, lambda _: None) is given


@pytest.fixture
def appdata(tmp_path: Path) -> Path:
    private_folder.cache_clear()
    (tmp_path / "AppData" / "Local" / "Packages").mkdir(parents=True)
    return tmp_path / "AppData"


def redirect(appdata: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let what is created in AppData be in a package's folder; of a folder, that shows only once it is there."""
    package = appdata / "Local" / "Packages" / "a_1" / "LocalCache"
    real = os.path.realpath

    def realpath(path: Path, *, strict: bool = False) -> str:
        found = Path(real(path, strict=strict))
        if not found.is_relative_to(appdata) or found.is_relative_to(package):
            return str(found)
        own = package / found.relative_to(appdata)
        return str(own if found.is_file() or own.exists() else found)

    monkeypatch.setattr(os.path, "realpath", realpath)
    return package


def test_only_a_new_file_tells_where_files_go(appdata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = appdata / "Local"
    assert private_folder(local) is None
    assert list(local.iterdir()) == [local / "Packages"]

    private_folder.cache_clear()
    package = redirect(appdata, monkeypatch)
    assert private_folder(local) == package / "Local"
    assert private_folder(appdata / "missing") is None
    assert list(local.iterdir()) == [local / "Packages"]


def test_nothing_is_tried_where_there_are_no_packages(appdata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (appdata / "Local" / "Packages").rmdir()
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("a file was created"))

    assert private_folder(appdata / "Local") is None


def test_files_for_other_programs_are_not_written_where_they_would_not_find_them(
    appdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = appdata / "Roaming" / "Vendor"
    vendor.mkdir(parents=True)
    assert is_common(vendor, appdata)

    package = redirect(appdata, monkeypatch)
    assert not is_common(vendor, appdata)
    package.mkdir(parents=True)
    assert is_common(package, appdata)
    assert is_common(appdata.parent, appdata)
    assert is_common(appdata / "missing", appdata)
    assert list(vendor.iterdir()) == []


@pytest.fixture
def at_appdata(appdata: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Profile]:
    """Return a function that returns a profile with its state in AppData."""
    monkeypatch.setattr(configurations, "own_place", lambda path: kept_at(path, appdata, private_folder))

    def profile() -> Profile:
        state_dir = Configuration.load({"FRESHKEY_STATE_DIR": str(appdata / "Local" / "freshkey")}).state_dir
        return Profile(name="me", provider="p", settings=None, state_dir=state_dir)

    return profile


def test_entries_in_the_keychain_have_the_scope_of_the_lock(
    at_appdata: Callable[[], Profile], appdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = at_appdata()
    package = redirect(appdata, monkeypatch)
    private_folder.cache_clear()
    own = at_appdata()

    assert own.state_dir == package / "Local" / "freshkey"
    assert ProfileLock(own.state_dir, file_name(own.key)).path.is_relative_to(package)
    assert service_prefix(own) != service_prefix(shared)


def test_entries_have_the_same_names_before_and_after_the_first_run(
    at_appdata: Callable[[], Profile], appdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = redirect(appdata, monkeypatch)
    (package / "Local").mkdir(parents=True)
    before = service_prefix(at_appdata())
    (package / "Local" / "freshkey").mkdir()

    assert service_prefix(at_appdata()) == before
    assert service_prefix(Profile(name="me", provider="p", settings=None, state_dir=at_appdata().state_dir)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has packaged programs")
def test_other_systems_have_no_packaged_programs(tmp_path: Path) -> None:
    assert own_place(tmp_path) is tmp_path
    assert kept_for_all(tmp_path)


if sys.platform == "win32":
    from freshkey._files.windows_home import profile_directory

    def test_a_program_without_a_package_has_the_usual_directory() -> None:
        home = profile_directory()
        assert home is not None
        assert own_place(home / "AppData" / "Local" / "freshkey") == home / "AppData" / "Local" / "freshkey"
        assert kept_for_all(home / "AppData" / "Local")
