"""The intent to use an Anthropic profile's refresh token, written before it is used so that a crash can be detected.

Anthropic's tools neither read nor write it. It is stored next to the credentials file and contains no secrets.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from attrs import asdict, evolve, frozen

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
"""Seconds after the first request within which servers with a grace period repeat their response."""

MAX_SENDINGS_IN_WINDOW: Final = 3
MAX_SENDINGS_LATER: Final = 2

HOPELESS_PAUSE: Final = 3600.0
"""Seconds between two requests after that, which are made only if the access token has expired."""


@frozen(kw_only=True)
class RefreshIntent:
    """One use of a refresh token.

    Attributes:
        token: Fingerprint of the refresh token.
        started_at: Time of the first use, in Unix seconds.
        pid: ID of the process that used it first.
        attempts: How many times it may have been sent, including this one.
        sent_at: Time of the last use, in Unix seconds; None if an older version wrote the intent.
        lost: The response to the last use was lost; otherwise, the process may have ended before it arrived.
        refused: The server has rejected the token for good.
    """

    token: str
    started_at: float
    pid: int
    attempts: int = 1
    sent_at: float | None = None
    lost: bool = False
    refused: bool = False

    @classmethod
    def of(cls, token: Secret, now: float) -> Self:
        """Return the intent for a first use, at `now` in Unix seconds."""
        return cls(token=token.fingerprint(), started_at=now, pid=os.getpid(), sent_at=now)

    def again(self, now: float) -> Self:
        """Return the intent for one more use of the same token, at `now` in Unix seconds."""
        return evolve(self, attempts=self.attempts + 1, sent_at=now, lost=False)

    def may_be_sent_again(self, now: float, *, expired: bool) -> bool:
        """Return whether the token may be sent once more, at `now` in Unix seconds.

        It may be sent two more times within the window, or once more later, as for freshkey's own sign-ins; whenever a
        process has ended within the window; and hourly once the access token has `expired`.
        """
        if 0 <= now - self.started_at <= REPEAT_WINDOW:
            return self.attempts < MAX_SENDINGS_IN_WINDOW or not self.lost
        if self.attempts < MAX_SENDINGS_LATER:
            return True
        return expired and now - (self.sent_at or self.started_at) >= HOPELESS_PAUSE


@frozen
class IntentFile:
    """The file with the intent for one credentials file.

    Attributes:
        credentials: The credentials file.
    """

    credentials: Path

    @property
    def directory(self) -> Path:
        """Directory of freshkey next to the credentials file; it also contains the lock file."""
        return self.credentials.parent / ".freshkey"

    @property
    def name(self) -> str:
        """Base name of the intent and lock files for this credentials file."""
        return file_name(self.credentials.name)

    def read(self, token: Secret) -> RefreshIntent | None:
        """Return the open intent for exactly this token, or None; a damaged file is ignored."""
        with suppress(StoreUnavailable, ProtocolError, KeyError, TypeError, ValueError):
            facts = parse_json_object(read_private(self._path) or b"{}")
            intent = RefreshIntent(
                token=str(facts["token"]),
                started_at=float(facts["started_at"]),
                pid=int(facts["pid"]),
                attempts=int(facts["attempts"]),
                sent_at=None if facts.get("sent_at") is None else float(facts["sent_at"]),
                lost=facts.get("lost") is True,
                refused=facts.get("refused") is True,
            )
            return intent if intent.token == token.fingerprint() else None
        return None

    def write(self, intent: RefreshIntent) -> None:
        """Write the intent; it is on disk when this returns.

        Raises:
            StoreUnavailable: It could not be written, so the result of a renewal could not be written either.
        """
        private_dir(self.directory)
        write_private(self._path, json.dumps(asdict(intent)).encode())

    def record(self, intent: RefreshIntent) -> None:
        """Write what became of a use; if that fails, the next renewal is only more careful."""
        with suppress(StoreUnavailable):
            self.write(intent)

    def restore(self, earlier: RefreshIntent | None) -> None:
        """Restore the previous state; if that fails, the next renewal is only more careful."""
        if earlier is not None:
            self.record(earlier)
            return
        with suppress(StoreUnavailable):
            remove_private(self._path)

    @property
    def _path(self) -> Path:
        return self.directory / f"{self.name}.intent.json"
