"""Which variables `explain` names, and whether they lead into the project (TRU-13)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from freshkey._config.env_vars import moved
from freshkey._files.project_place import LOADERS


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "AWS_DATA_PATH", "XDG_DATA_DIRS", "PATH", "LD_LIBRARY_PATH"])
def test_list_leads_into_the_project_with_any_of_its_paths(root: Path, name: str) -> None:
    """TRU-13: explain judges what is read, and shows each path."""
    value = os.pathsep.join(["/etc", str(root / "ca")])
    (one,) = moved(["AWS_DATA_PATH"], {name: value})
    assert (one.name, one.value, one.in_project) == (name, value, True)


@pytest.mark.parametrize("name", LOADERS)
def test_variable_that_loads_code_of_the_project_is_named(root: Path, name: str) -> None:
    """TRU-13: freshkey cannot prevent what runs before it, or in it."""
    assert [(one.name, one.in_project) for one in moved([], {name: str(root / "ca")})] == [(name, True)]


def test_variable_that_loads_code_by_a_url_is_named(root: Path) -> None:
    """TRU-13: as Node.js takes modules."""
    (root / "x.mjs").touch()
    (one,) = moved([], {"NODE_OPTIONS": f"--import={(root / 'x.mjs').as_uri()}"})
    assert one.in_project


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no D-Bus")
def test_variables_that_every_desktop_sets_are_not_named() -> None:
    usual = {"XDG_DATA_DIRS": "/usr/share:/usr/local/share", "PYTHONPATH": "/usr/lib", "LD_PRELOAD": "/l.so"}
    usual |= {"DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{os.getuid()}/bus,guid=1", "HOME": "/usr"}
    assert moved([], usual) == ()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no D-Bus")
@pytest.mark.parametrize(
    ("address", "in_project"),
    [("unix:path={}/bus", True), ("unix:path=/tmp/other", False), ("tcp:host=x,port=1", False)],
)
def test_bus_of_the_keychain_is_named_if_it_moved(root: Path, address: str, in_project: bool) -> None:
    """TRU-13: what listens there is given what is stored."""
    (one,) = moved([], {"DBUS_SESSION_BUS_ADDRESS": address.format(root)})
    assert one.in_project is in_project


@pytest.mark.parametrize("name", ["XDG_DATA_HOME", "OPENSSL_CONF", "OPENSSL_MODULES"])
def test_what_moves_programs_and_modules_is_named_wherever_it_leads(name: str) -> None:
    assert [(one.name, one.value, one.in_project) for one in moved([], {name: "/etc"})] == [(name, "/etc", False)]


def test_switch_is_shown() -> None:
    (one,) = moved(["AWS_USE_FIPS_ENDPOINT"], {"AWS_USE_FIPS_ENDPOINT": "true"})
    assert one.value == "true"


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has names without case")
@pytest.mark.parametrize("name", ["UserProfile", "APPDATA", "LocalAppData", "Path", "PythonPath", "FreshKey_State_Dir"])
def test_variable_is_named_in_any_case(root: Path, name: str) -> None:
    """TRU-13: as a dictionary of variables may have it."""
    (one,) = moved([], {name: str(root / "ca")})
    assert (one.name, one.value, one.in_project) == (name.upper(), str(root / "ca"), True)


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has drives")
def test_home_of_windows_is_not_named_where_it_usually_is(root: Path) -> None:
    usual = {"USERPROFILE": "C:\\users\\root", "APPDATA": "C:\\users\\root\\AppData\\Roaming", "HOMEDRIVE": "C:"}
    assert moved([], usual) == ()
    (one,) = moved([], {"WIN_PD_OVERRIDE_LOCAL_APPDATA": "C:\\windows"})
    assert (one.value, one.in_project) == ("C:\\windows", False)


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has these variables")
@pytest.mark.parametrize("name", ["ComSpec", "SystemRoot", "windir", "ProgramData", "PSModulePath"])
def test_variable_of_windows_that_leads_into_the_project_is_named(root: Path, name: str) -> None:
    """TRU-13: for helpers it is set right, but not for what starts freshkey."""
    assert moved([], {name: os.environ.get(name, "C:\\windows")}) == ()
    (one,) = moved([], {name: str(root / "ca")})
    assert (one.name, one.in_project) == (name.upper(), True)
