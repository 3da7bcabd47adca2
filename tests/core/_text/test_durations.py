"""Durations in words."""

from __future__ import annotations

import pytest

from freshkey._text.durations import duration


@pytest.mark.parametrize(
    ("seconds", "nearest", "up"),
    [
        (-3.0, "0 s", "0 s"),
        (0.2, "0 s", "1 s"),
        (17.5, "18 s", "18 s"),
        (119.4, "119 s", "120 s"),
        (120.0, "2 min", "2 min"),
        (398.0, "7 min", "7 min"),
        (421.0, "7 min", "8 min"),
        (7199.0, "120 min", "120 min"),
        (7200.0, "2 h", "2 h"),
        (100_000.0, "28 h", "28 h"),
    ],
)
def test_one_unit_without_false_precision(seconds: float, nearest: str, up: str) -> None:
    assert duration(seconds) == nearest
    assert duration(seconds, up=True) == up
