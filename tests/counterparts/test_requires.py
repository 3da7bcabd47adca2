"""A missing counterpart skips a test and says how to install it; in CI the test fails."""

from __future__ import annotations

import pytest

from counterparts import requires
from counterparts.requires import COUNTERPARTS, Counterpart, require


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COUNTERPARTS:
        monkeypatch.setitem(COUNTERPARTS, name, Counterpart(lambda: "it is not installed", f"get {name}"))


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_missing_counterpart_skips(name: str) -> None:
    with pytest.raises(pytest.skip.Exception) as caught:
        require(name, {})
    assert f"get {name}" in str(caught.value)


def test_a_missing_counterpart_fails_in_ci() -> None:
    with pytest.raises(pytest.fail.Exception):
        require("chromium", {"CI": "true"})


def test_a_present_counterpart_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTERPARTS, "chromium", Counterpart(lambda: None, ""))
    require("chromium", {"CI": "true"})


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = requires._programs("gnome-keyring-daemon", "dbus-daemon")
    assert missing() == "gnome-keyring-daemon and dbus-daemon not found on PATH"
