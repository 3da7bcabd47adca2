"""Information that processes share about the renewals of a profile; advisory, and without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import asdict, evolve, field, fields_dict, frozen
from attrs.validators import deep_iterable, deep_mapping, instance_of, optional

from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile, moment
from freshkey._interprocess.notifier import harmless, report
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

    Only codes and times, no texts: those may quote a server, a plugin or a secret.

    Attributes:
        generation: The highest generation that any process saved (the high-water mark) in `store`.
        store: The store that was last saved to; empty if an older version wrote the hints.
        elsewhere: The same of other stores that the profile used before: generation, and whether that is a sign-out.
        source: ID of the source that the last attempt used; the pause applies to that source.
        subject: Fingerprint of that source, the settings and what was found there; the pause ends if it differs.
        attempted: Reading of both clocks at the last attempt to renew.
        pause: Seconds after that attempt before which no process tries again.
        failures: Failed attempts in a row; 0 means that the last attempt succeeded.
        kind: Name of the class of the last failure; None if the last attempt succeeded.
        error_code: Its `FreshkeyError.code`.
        sign_in_code: Code of the `LoginRequired` that ended the sign-in of `refused_generation`; None if unknown.
        refused_generation: The generation whose renewal was refused for good.
        signed_out: Whether the last thing saved, `generation`, is a sign-out.
    """

    generation: int = field(default=0, validator=_WHOLE)
    store: str = field(default="", validator=_TEXT)
    elsewhere: dict[str, list[int]] = field(factory=dict, validator=deep_mapping(_TEXT, deep_iterable(_WHOLE)))
    source: str = field(default="", validator=_TEXT)
    subject: str | None = field(default=None, validator=optional(_TEXT))
    attempted: Moment | None = None
    pause: float = field(default=0.0, validator=_NUMBER)
    failures: int = field(default=0, validator=_WHOLE)
    kind: str | None = field(default=None, validator=optional(_TEXT))
    error_code: str | None = field(default=None, validator=optional(_TEXT))
    sign_in_code: str | None = field(default=None, validator=optional(_TEXT))
    refused_generation: int = field(default=0, validator=_WHOLE)
    signed_out: bool = field(default=False, validator=instance_of(bool))

    @property
    def may_be_signed_in(self) -> bool:
        """Whether some process saved a sign-in, and none has signed out since, as far as is known."""
        return self.generation > 0 and not self.signed_out

    def saved_in(self, store: str) -> tuple[int, bool]:
        """Return the highest generation that any process saved in a store, and whether that is a sign-out."""
        if self.store in ("", store):
            return self.generation, self.signed_out
        generation, signed_out, *_ = [*self.elsewhere.get(store, []), 0, 0]
        return generation, bool(signed_out)

    def with_saved(self, store: str, generation: int, *, signed_out: bool) -> Hints:
        """Return the hints after a record was saved in a store."""
        others = {name: mark for name, mark in self.elsewhere.items() if name != store}
        if self.store not in ("", store) and self.generation:
            others[self.store] = [self.generation, int(self.signed_out)]
        return evolve(self, store=store, generation=generation, signed_out=signed_out, elsewhere=others)

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
        return self._file.read(_hints, lambda error: report("cannot read the hints", error)) or Hints()

    def write(self, hints: Hints) -> None:
        """Replace the file; if that fails, log it and continue."""
        with harmless("hints"):
            self._file.write(asdict(hints))


class ProcessHints(HintsFile):
    """The hints of a profile whose sign-in ends with the process: what is about that sign-in is not shared.

    Pauses and failures are: they protect a server, whoever asks it.
    """

    def __init__(self, state_dir: Path, profile: str) -> None:
        super().__init__(state_dir, profile)
        self._key = str(state_dir.resolve()), profile

    def read(self) -> Hints:
        """Return the hints; without those about the sign-in of another process."""
        return evolve(super().read(), **_OF_PROCESS.get(self._key, _NO_SIGN_IN))

    def write(self, hints: Hints) -> None:
        """Keep what is about the sign-in, and write the rest."""
        _OF_PROCESS[self._key] = {name: getattr(hints, name) for name in _NO_SIGN_IN}
        there = super().read()  # another store of this profile may have a sign-in
        super().write(evolve(hints, **{name: getattr(there, name) for name in _NO_SIGN_IN}))


_OF_SIGN_IN: Final = ("generation", "store", "elsewhere", "refused_generation", "sign_in_code", "signed_out")
_NO_SIGN_IN: Final[dict[str, Any]] = {name: getattr(Hints(), name) for name in _OF_SIGN_IN}
_OF_PROCESS: Final[dict[tuple[str, str], dict[str, Any]]] = {}
"""By state directory and profile, like the contents of the memory store: all keepers of the process share them."""


def _hints(found: dict[str, Any]) -> Hints:
    # A newer version may add fields, and an older one wrote texts, which are ignored.
    known = {name: found[name] for name in fields_dict(Hints).keys() & found.keys()}
    # Codes go to logs and error output. One that is not a code is dropped alone: the rest may say "never send again".
    known |= {name: None for name in ("error_code", "sign_in_code") if not is_code(known.get(name))}
    attempted = known.pop("attempted", None)
    return Hints(**known, attempted=moment(**attempted) if attempted else None)
