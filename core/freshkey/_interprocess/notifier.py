"""A file that changes whenever a profile in the state directory changes, so that other processes reload."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freshkey._files.private import private_dir, write_private
from freshkey.errors import FreshkeyError


log = logging.getLogger(__name__)

_warned_of: set[str] = set()

Stamp = tuple[int, int, int]


class ChangeNotifier:
    """Signals changes of a state directory to other processes."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        # One file for all profiles: watching it costs every process one `stat`.
        # See docs/decisions.md, "Changes are announced by one file, hints are one file per profile".
        self._path = state_dir / "changed"

    def stamp(self) -> Stamp | None:
        """Return a value that differs after each notification, at the cost of one ``stat``; None before the first."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def notify(self) -> None:
        """Notify other processes of a change."""
        # A new inode each time: two notifications within one tick of the file system's clock still differ.
        with harmless("the change notification"):
            private_dir(self._state_dir)
            write_private(self._path, secrets.token_hex(8).encode())


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Ignore and log a failure to write something that only saves other processes time."""
    try:
        yield
    except (FreshkeyError, OSError) as error:
        report(f"cannot write {what}", error)


def report(what: str, error: Exception) -> None:
    """Log a failure; as a warning, once, if modes are too loose, which only the user can mend."""
    if isinstance(error, FreshkeyError) and error.code == "unsafe-store-path":
        if error.message not in _warned_of:
            _warned_of.add(error.message)
            log.warning("%s: %s. %s", what, error.message, error.hint)
    else:
        log.debug("%s: %s", what, type(error).__name__)
