"""One JSON object in a private file of the state directory, parsed strictly and replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from freshkey._files.private import create_private, private_dir, read_private, write_private
from freshkey._json import parse_json_object
from freshkey.clock import Moment
from freshkey.errors import FreshkeyError


T = TypeVar("T")

_UNREADABLE: Final = (FreshkeyError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What reading and converting a damaged file may raise."""


class StateFile:
    """A file with mode 0600; its directories below the state directory are created when it is written."""

    def __init__(self, state_dir: Path, *below: str) -> None:
        self.path = state_dir.joinpath(*below)
        self._directories = below[:-1]
        self._state_dir = state_dir

    def read(
        self, build: Callable[[dict[str, Any]], T], unreadable: Callable[[Exception], T | None] | None = None
    ) -> T | None:
        """Return the result of `build` for the object's members; None if the file does not exist.

        Args:
            build: Converts the members; may raise conversion errors for a missing member or a wrong type.
            unreadable: Called with the error if the file cannot be read or converted; returns the result to use
                instead, or raises. Without it, an unreadable file is treated as missing.
        """
        try:
            data = read_private(self.path)
            return None if data is None else build(parse_json_object(data))
        except _UNREADABLE as error:
            return None if unreadable is None else unreadable(error)

    def write(self, members: Mapping[str, object]) -> None:
        """Create or replace the file.

        Raises:
            StoreUnavailable: The file could not be written; the old content is unchanged.
        """
        private_dir(self._state_dir, *self._directories)
        write_private(self.path, json.dumps(members).encode())

    def create(self, members: Mapping[str, object]) -> bool:
        """Create the file unless it exists; return whether this call created it.

        Raises:
            StoreUnavailable: The file could not be created.
        """
        private_dir(self._state_dir, *self._directories)
        return create_private(self.path, json.dumps(members).encode())


def moment(*, wall: float, elapsed: float, boot_id: str) -> Moment:
    """Build a moment from the members of a JSON object; may raise `TypeError` or `ValueError`."""
    return Moment(wall=float(wall), elapsed=float(elapsed), boot_id=str(boot_id))
