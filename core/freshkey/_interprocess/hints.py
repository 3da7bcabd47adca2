"""What the processes that share a profile know of its renewals; advice, without any secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import asdict, field, fields_dict, frozen
from attrs.validators import instance_of, optional

from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile, moment
from freshkey._interprocess.notifier import harmless
from freshkey.clock import Moment


MAX_PAUSE: Final = 3600.0
"""Seconds that processes leave each other waiting at the most, as any server may ask for."""

_WHOLE: Final = instance_of(int)
_NUMBER: Final = instance_of((int, float))
_TEXT: Final = instance_of(str)


@frozen(kw_only=True)
class Hints:
    """What the processes that share a profile know of its renewals.

    Attributes:
        generation: The highest generation anybody saved (the high-water mark).
        source: Id of the source that the last attempt asked; the pause is about that one.
        attempted: Both clocks at the last attempt to renew.
        pause: Seconds after that attempt before which nobody tries again.
        failures: Failed attempts in a row; 0 means that the last attempt succeeded.
        error: What the last failure was, without secrets.
        hint: What a person can do about it, or None.
        sign_in_needed: Why only a person can go on, or None.
        refused_generation: The generation that `sign_in_needed` is about.
    """

    generation: int = field(default=0, validator=_WHOLE)
    source: str = field(default="", validator=_TEXT)
    attempted: Moment | None = None
    pause: float = field(default=0.0, validator=_NUMBER)
    failures: int = field(default=0, validator=_WHOLE)
    error: str | None = field(default=None, validator=optional(_TEXT))
    hint: str | None = field(default=None, validator=optional(_TEXT))
    sign_in_needed: str | None = field(default=None, validator=optional(_TEXT))
    refused_generation: int = field(default=0, validator=_WHOLE)

    def seconds_to_wait(self, now: Moment) -> float:
        """Return the seconds until the next attempt is allowed; zero or less if it is, or if nobody can tell."""
        if self.attempted is None or self.attempted.boot_id != now.boot_id:
            return 0.0
        left = self.attempted.elapsed + self.pause - now.elapsed
        return min(left, self.pause, MAX_PAUSE)  # a damaged file must not stop renewals for good


class HintsFile:
    """The hints of one profile in a state directory."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self._file = StateFile(state_dir, "hints", f"{file_name(profile)}.json")

    def read(self) -> Hints:
        """Return what is known; a missing or damaged file means nothing is."""
        return self._file.read(_hints) or Hints()

    def write(self, hints: Hints) -> None:
        with harmless("hints"):
            self._file.write(asdict(hints))


def _hints(found: dict[str, Any]) -> Hints:
    known = {name: found[name] for name in fields_dict(Hints).keys() & found.keys()}  # a newer freshkey may know more
    attempted = known.pop("attempted", None)
    return Hints(**known, attempted=moment(**attempted) if attempted else None)
