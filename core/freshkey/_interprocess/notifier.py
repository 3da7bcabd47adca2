"""A file that changes whenever any profile of a state directory does, so that every process looks."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freshkey._files.private import private_dir, write_private
from freshkey.errors import FreshkeyError


log = logging.getLogger("freshkey")

Stamp = tuple[int, int, int]


class ChangeNotifier:
    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / "changed"

    def stamp(self) -> Stamp | None:
        """Return what tells one ring from the next; one ``stat``, None while it never rang."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def notify(self) -> None:
        # A new inode each time: two rings within one tick of the file system's clock still differ.
        with harmless("the change notification"):
            private_dir(self._state_dir)
            write_private(self._path, secrets.token_hex(8).encode())


@contextmanager
def harmless(what: str) -> Iterator[None]:
    try:
        yield
    except (FreshkeyError, OSError) as error:
        log.debug("cannot write %s: %s", what, type(error).__name__)
