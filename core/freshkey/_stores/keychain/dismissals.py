"""Remembers that the user dismissed the keychain's prompt, so that the next caller does not open it again at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import asdict, frozen

from freshkey import expiry
from freshkey._files.sharing import remove
from freshkey._files.state_file import StateFile, moment
from freshkey._interprocess.notifier import harmless
from freshkey.clock import SYSTEM, Clock, Moment


FIRST_PAUSE: Final = 30.0
"""Seconds after a dismissed prompt until a caller may open another one; doubled for each one dismissed in a row."""

MAX_PAUSE: Final = 3600.0
"""Longest such pause in seconds."""


@frozen
class _Dismissal:
    last: Moment
    in_a_row: int

    @property
    def pause(self) -> float:
        return min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(self.in_a_row - 1, 10))


class Dismissals:
    """The prompts that the user dismissed, shared by all processes of a state directory."""

    def __init__(self, state_dir: Path, clock: Clock = SYSTEM) -> None:
        self._file = StateFile(state_dir, "keychain", "prompt.json")
        self._clock = clock
        # The state directory may not be writable.
        self._own: _Dismissal | None = None

    def pause(self) -> tuple[float, float]:
        """Return for how many more seconds no caller may open a prompt, and the seconds since the last dismissal."""
        last = self._read()
        if last is None:
            return 0.0, 0.0
        age = expiry.seconds_since(last.last, self._clock.now())
        # A damaged file or a clock that was set back must not keep the keychain locked.
        return (last.pause - age, age) if age >= 0 else (0.0, age)

    def note(self) -> None:
        """Remember that the user has just dismissed a prompt."""
        before, now = self._read(), self._clock.now()
        in_a_row = 1
        if before is not None and 0 <= expiry.seconds_since(before.last, now) < before.pause + MAX_PAUSE:
            in_a_row += before.in_a_row
        self._own = _Dismissal(now, in_a_row)
        with harmless("keychain prompts"):
            self._file.write(asdict(self._own))

    def clear(self) -> None:
        """Forget it: the keychain is unlocked."""
        self._own = None
        with harmless("keychain prompts"):
            remove(self._file.path)

    def _read(self) -> _Dismissal | None:
        return self._file.read(_dismissal) or self._own


def _dismissal(found: dict[str, Any]) -> _Dismissal:
    return _Dismissal(moment(**found["last"]), max(1, int(found["in_a_row"])))
