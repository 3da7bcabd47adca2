"""The intent to spend a refresh token of an Anthropic profile, written ahead, for whoever comes after a crash.

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


REPEAT_WINDOW: Final = 30.0
"""Seconds from the first sending within which servers with a grace period repeat their answer."""

MAX_SENDINGS_IN_WINDOW: Final = 3
MAX_SENDINGS_LATER: Final = 2


@frozen(kw_only=True)
class RefreshIntent:
    """One use of a refresh token.

    Attributes:
        token: Fingerprint of the refresh token.
        started_at: Unix seconds of the first use.
        pid: The process that used it first.
        attempts: How often it may have been sent, this one included.
    """

    token: str
    started_at: float
    pid: int
    attempts: int = 1

    @classmethod
    def of(cls, token: Secret, now: float) -> Self:
        """Return the intent of a first use, at `now` in Unix seconds."""
        return cls(token=token.fingerprint(), started_at=now, pid=os.getpid())

    def again(self) -> Self:
        """Return the intent of one more use of the same token."""
        return evolve(self, attempts=self.attempts + 1)

    def may_be_sent_again(self, now: float) -> bool:
        """Tell whether the token may be sent once more, at `now` in Unix seconds.

        Twice again within the window, and once again at any later time, as for freshkey's own sign-ins.
        """
        allowed = MAX_SENDINGS_IN_WINDOW if 0 <= now - self.started_at <= REPEAT_WINDOW else MAX_SENDINGS_LATER
        return self.attempts < allowed


@frozen
class IntentFile:
    """Where the intent about one credentials file is.

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

    def read(self, token: Secret) -> RefreshIntent | None:
        """Return the open intent about that very token, or None; a damaged one says nothing."""
        with suppress(StoreUnavailable, ProtocolError, KeyError, TypeError, ValueError):
            facts = parse_json_object(read_private(self._path) or b"{}")
            intent = RefreshIntent(
                token=str(facts["token"]),
                started_at=float(facts["started_at"]),
                pid=int(facts["pid"]),
                attempts=int(facts["attempts"]),
            )
            return intent if intent.token == token.fingerprint() else None
        return None

    def write(self, intent: RefreshIntent) -> None:
        """Keep an intent, on the disk when this returns.

        Raises:
            StoreUnavailable: It could not be written, and neither could what a renewal brings.
        """
        facts = {"token": intent.token, "started_at": intent.started_at, "pid": intent.pid, "attempts": intent.attempts}
        private_dir(self.directory)
        write_private(self._path, json.dumps(facts).encode())

    def restore(self, earlier: RefreshIntent | None) -> None:
        """Leave what was there before; failing at that only makes the next renewal more careful."""
        with suppress(StoreUnavailable):
            if earlier is None:
                remove_private(self._path)
            else:
                self.write(earlier)

    @property
    def _path(self) -> Path:
        return self.directory / f"{self.name}.intent.json"
