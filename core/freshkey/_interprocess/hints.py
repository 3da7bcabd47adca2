"""Information that processes share about the renewals of a profile; advisory, and without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import asdict, field, fields_dict, frozen
from attrs.validators import instance_of, optional

from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile, moment
from freshkey._interprocess.notifier import harmless
from freshkey.clock import Moment
from freshkey.errors import is_code


MAX_PAUSE: Final = 3600.0
"""Longest pause in seconds that processes impose on each other, whatever a server requests."""

_WHOLE: Final = instance_of(int)
_NUMBER: Final = instance_of((int, float))
_TEXT: Final = instance_of(str)


@frozen(kw_only=True)
class Hints:
    """Information that processes share about the renewals of a profile.

    Attributes:
        generation: The highest generation that any process saved (the high-water mark).
        source: ID of the source that the last attempt used; the pause applies to that source.
        attempted: Reading of both clocks at the last attempt to renew.
        pause: Seconds after that attempt before which no process tries again.
        failures: Failed attempts in a row; 0 means that the last attempt succeeded.
        error: Message of the last failure, without secrets.
        error_code: Its `FreshkeyError.code`; None if an older version wrote the file.
        hint: What the user can do about it, or None.
        sign_in_needed: Why the user must act, or None: message of the last `LoginRequired`.
        sign_in_code: Its `FreshkeyError.code`; None if an older version wrote the file.
        sign_in_hint: Its hint, or None.
        refused_generation: The generation that `sign_in_needed` refers to.
    """

    generation: int = field(default=0, validator=_WHOLE)
    source: str = field(default="", validator=_TEXT)
    attempted: Moment | None = None
    pause: float = field(default=0.0, validator=_NUMBER)
    failures: int = field(default=0, validator=_WHOLE)
    error: str | None = field(default=None, validator=optional(_TEXT))
    error_code: str | None = field(default=None, validator=optional(_TEXT))
    hint: str | None = field(default=None, validator=optional(_TEXT))
    sign_in_needed: str | None = field(default=None, validator=optional(_TEXT))
    sign_in_code: str | None = field(default=None, validator=optional(_TEXT))
    sign_in_hint: str | None = field(default=None, validator=optional(_TEXT))
    refused_generation: int = field(default=0, validator=_WHOLE)

    def seconds_to_wait(self, now: Moment) -> float:
        """Return the seconds until the next attempt is allowed; zero or less if it is allowed now, or if unknown."""
        if self.attempted is None or self.attempted.boot_id != now.boot_id:
            return 0.0
        left = self.attempted.elapsed + self.pause - now.elapsed
        return min(left, self.pause, MAX_PAUSE)  # a damaged file must not stop renewals for good


class HintsFile:
    """The hints of one profile in a state directory."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self._file = StateFile(state_dir, "hints", f"{file_name(profile)}.json")

    def read(self) -> Hints:
        """Return the hints; a missing or damaged file counts as empty."""
        return self._file.read(_hints) or Hints()

    def write(self, hints: Hints) -> None:
        """Replace the file; if that fails, log it and continue."""
        with harmless("hints"):
            self._file.write(asdict(hints))


def _hints(found: dict[str, Any]) -> Hints:
    known = {name: found[name] for name in fields_dict(Hints).keys() & found.keys()}  # a newer version may add fields
    # Codes go to logs and error output. One that is not a code is dropped alone: the rest may say "never send again".
    known |= {name: None for name in ("error_code", "sign_in_code") if not is_code(known.get(name))}
    attempted = known.pop("attempted", None)
    return Hints(**known, attempted=moment(**attempted) if attempted else None)
