"""The exceptions from the proxy in the settings of Windows."""

from __future__ import annotations

import sys

import pytest

from freshkey._http.windows_proxy import is_direct, is_excepted


@pytest.mark.parametrize(
    ("host", "exceptions", "excepted"),
    [
        ("login.corp.example", "*.corp.example;10.*;<local>", True),
        ("login.corp.example", " *.CORP.example ", True),
        ("10.1.2.3", "*.corp.example;10.*;<local>", True),
        ("intranet", "<local>", True),
        ("intranet", "*.corp.example", False),
        ("id.example.com", "*.corp.example;10.*;<local>", False),
        ("corp.example.com", "*.corp.example", False),
        ("id.example.com", "", False),
        ("id.example.com", ";;", False),
    ],
)
def test_patterns(host: str, exceptions: str, excepted: bool) -> None:
    assert is_excepted(host, exceptions) is excepted


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has such settings")
def test_other_systems_have_no_such_settings() -> None:
    assert is_direct("intranet") is False


@pytest.mark.skipif(sys.platform != "win32", reason="the settings of Windows")
@pytest.mark.parametrize(("variables", "direct"), [({}, True), ({"HTTPS_PROXY": "http://proxy.example"}, False)])
def test_variables_replace_the_settings(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], direct: bool
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if sys.platform == "win32":
        import winreg

        monkeypatch.setattr(winreg, "QueryValueEx", lambda *_: ("*.corp.example;<local>", winreg.REG_SZ))
    assert is_direct("login.corp.example") is direct
    assert is_direct("id.example.com") is False
