"""The exceptions from the proxy in the settings of Windows."""

from __future__ import annotations

import sys

import pytest

from freshkey._http import client
from freshkey._http.windows_proxy import is_direct, is_excepted


@pytest.mark.parametrize(
    ("host", "exceptions", "excepted"),
    [
        ("login.corp.example", "*.corp.example;10.*;<local>", True),
        ("login.corp.example", " *.CORP.example ", True),
        ("Login.Corp.example", "login.corp.example", True),
        ("login.corp.example", "10.* *.corp.example\t<local>", True),
        ("10.1.2.3", "*.corp.example;10.*;<local>", True),
        ("intranet", "<local>", True),
        ("intranet", "*.corp.example", False),
        ("id.example.com", "*.corp.example;10.*;<local>", False),
        ("corp.example.com", "*.corp.example", False),
        ("id.example.com", "", False),
        ("id.example.com", ";;", False),
        ("id.example.com", "id?example.com;[i]d.example.com;id.example.*:x", False),
        ("login.corp.example", "https://*.corp.example", True),
        ("login.corp.example", "http://*.corp.example", False),
        ("login.corp.example", "*.corp.example:443", True),
        ("login.corp.example:8443", "*.corp.example:443", False),
        ("login.corp.example:8443", "https://*.corp.example:8443/", True),
        ("[fd00::1]", "<local>", False),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fd00::1]", "fd00::*", True),
        ("[fd00::443]", "fd00::443", True),
        ("[fd00::1]", "[fd00::*]:443", True),
        ("[fd00::1]", "[fd00::2];https://;:443", False),
    ],
)
def test_entries(host: str, exceptions: str, excepted: bool) -> None:
    assert is_excepted(f"https://{host}/token", exceptions) is excepted


def test_client_asks_about_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://login.corp.example:8443/token"
    monkeypatch.setattr(client, "is_direct", lambda asked: asked == url)
    with client._client(url, "login.corp.example", 1.0) as made:
        assert not made.trust_env


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has such settings")
def test_other_systems_have_no_such_settings() -> None:
    assert is_direct("https://intranet") is False


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
    assert is_direct("https://login.corp.example") is direct
    assert is_direct("https://id.example.com") is False
