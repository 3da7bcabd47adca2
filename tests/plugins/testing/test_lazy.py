"""`freshkey demo` uses the server without pytest, and names load on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import freshkey_testing


def imported_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_clock_person_and_server_need_no_pytest_and_no_heavy_library() -> None:
    code = (
        "from freshkey_testing import AuthorizationServer, ManualClock, ScriptedUser\nimport freshkey_testing.browser"
    )
    assert not imported_by(code) & {"pytest", "httpx", "cattrs", "keyring", "tenacity", "rich"}


def test_importing_the_package_loads_none_of_its_modules() -> None:
    assert not {name for name in imported_by("import freshkey_testing") if name.startswith("freshkey_testing.")}


def test_every_public_name_is_there() -> None:
    for name in freshkey_testing._HOMES:
        assert getattr(freshkey_testing, name).__name__ == name
        assert name in dir(freshkey_testing)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        freshkey_testing.Nonsense  # noqa: B018
