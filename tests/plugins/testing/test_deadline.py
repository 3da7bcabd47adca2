"""Where a check hangs is found without hanging there, too."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from freshkey_testing.deadline import frames_of_threads


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_frames_are_looked_at(collects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = sys._current_frames, list[bool]()

    def frames() -> object:
        seen.append(gc.isenabled())
        return real()

    monkeypatch.setattr(sys, "_current_frames", frames)
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        assert threading.get_ident() in frames_of_threads()
        assert (seen, gc.isenabled()) == ([False], collects)
    finally:
        (gc.enable if before else gc.disable)()
