"""The note that a refresh token of an Anthropic profile is about to be spent, for whoever comes after a crash.

The vendor's tools neither read nor write it. It is kept beside the credentials file, and holds no secret.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from attrs import evolve, frozen

from freshkey.errors import ProtocolError, StoreUnavailable
from freshkey.plugin import (
    Secret,
    file_name,
    parse_json_object,
    private_dir,
    read_private,
    remove_private,
    write_private,
)


WINDOW: Final = 30.0
"""Seconds from the first sending within which servers with a grace period repeat their answer."""

SENDINGS_IN_WINDOW: Final = 3
SENDINGS_LATER: Final = 2


@frozen(kw_only=True)
class Note:
    """One use of a refresh token.

    Attributes:
        token: Fingerprint of the refresh token.
        noted: Unix seconds of the first use.
        pid: The process that used it first.
        attempts: How often it may have been sent, this one included.
    """

    token: str
    noted: float
    pid: int
    attempts: int = 1

    @classmethod
    def of(cls, token: Secret, now: float) -> Self:
        """Return the note of a first use, at `now` in Unix seconds."""
        return cls(token=token.fingerprint(), noted=now, pid=os.getpid())

    def again(self) -> Self:
        """Return the note of one more use of the same token."""
        return evolve(self, attempts=self.attempts + 1)

    def may_be_sent_again(self, now: float) -> bool:
        """Tell whether the token may be sent once more, at `now` in Unix seconds.

        Twice again within the window, and once again at any later time, as for freshkey's own sign-ins.
        """
        allowed = SENDINGS_IN_WINDOW if 0 <= now - self.noted <= WINDOW else SENDINGS_LATER
        return self.attempts < allowed


@frozen
class Notebook:
    """Where the note about one credentials file is.

    Attributes:
        credentials: The credentials file.
    """

    credentials: Path

    @property
    def directory(self) -> Path:
        """Freshkey's own directory beside the credentials file; its lock is here, too."""
        return self.credentials.parent / ".freshkey"

    @property
    def name(self) -> str:
        """What the files of this credentials file are called."""
        return file_name(self.credentials.name)

    def read(self, token: Secret) -> Note | None:
        """Return the open note about that very token, or None; a damaged one says nothing."""
        with suppress(StoreUnavailable, ProtocolError, KeyError, TypeError, ValueError):
            facts = parse_json_object(read_private(self._path) or b"{}")
            note = Note(
                token=str(facts["token"]),
                noted=float(facts["noted"]),
                pid=int(facts["pid"]),
                attempts=int(facts["attempts"]),
            )
            return note if note.token == token.fingerprint() else None
        return None

    def write(self, note: Note) -> None:
        """Keep a note, on the disk when this returns.

        Raises:
            StoreUnavailable: It could not be written, and neither could what a renewal brings.
        """
        facts = {"token": note.token, "noted": note.noted, "pid": note.pid, "attempts": note.attempts}
        private_dir(self.directory)
        write_private(self._path, json.dumps(facts).encode())

    def put_back(self, earlier: Note | None) -> None:
        """Leave what was there before; failing at that only makes the next renewal more careful."""
        with suppress(StoreUnavailable):
            if earlier is None:
                remove_private(self._path)
            else:
                self.write(earlier)

    @property
    def _path(self) -> Path:
        return self.directory / f"{self.name}.spending.json"
