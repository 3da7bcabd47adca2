"""Lets manual time pass while something waits for the user, such as for a code to be entered."""

from __future__ import annotations

import threading
from typing import Self

from freshkey_testing import ManualClock


class Patience:
    """Advances a clock whenever a thread waits for it; a context manager.

    Attributes:
        waited: The seconds of each wait.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.waited: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.01):
            for seconds in self._clock.waiters()[:1]:
                self.waited.append(seconds)
                self._clock.advance(seconds)
