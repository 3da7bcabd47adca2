"""A missing counterpart skips a test with the way to install it, and fails it in CI."""

from __future__ import annotations

import pytest

from counterparts import requires
from counterparts.requires import COUNTERPARTS, Counterpart, require


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COUNTERPARTS:
        monkeypatch.setitem(COUNTERPARTS, name, Counterpart(lambda: "it is not here", f"get {name}"))


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_missing_counterpart_skips(name: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=f"needs {name}: it is not here; install it with: get {name}"):
        require(name, {})


def test_a_missing_counterpart_fails_in_ci() -> None:
    with pytest.raises(pytest.fail.Exception, match="it is not here; install it with"):
        require("chromium", {"CI": "true"})


def test_a_present_counterpart_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTERPARTS, "chromium", Counterpart(lambda: None, ""))
    require("chromium", {"CI": "true"})


def test_programs_not_on_path_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = requires._programs("gnome-keyring-daemon", "dbus-daemon")
    assert missing() == "no gnome-keyring-daemon and no dbus-daemon on PATH"
