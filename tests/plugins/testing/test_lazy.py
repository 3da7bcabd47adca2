"""`freshkey demo` uses the server without pytest, and public names load on first use."""

from __future__ import annotations

import pytest

import freshkey_testing
from python_program import modules_after


def test_clock_user_and_server_load_neither_pytest_nor_heavy_libraries() -> None:
    code = (
        "from freshkey_testing import AuthorizationServer, ManualClock, ScriptedUser\nimport freshkey_testing.browser"
    )
    assert not modules_after(code) & {"pytest", "httpx", "cattrs", "keyring", "tenacity", "rich"}


def test_importing_the_package_loads_none_of_its_modules() -> None:
    assert not {name for name in modules_after("import freshkey_testing") if name.startswith("freshkey_testing.")}


def test_every_public_name_is_available() -> None:
    for name in freshkey_testing._HOMES:
        assert getattr(freshkey_testing, name).__name__ == name
        assert name in dir(freshkey_testing)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'Nonsense'"):
        freshkey_testing.Nonsense  # noqa: B018
