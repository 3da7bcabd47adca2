"""One JSON object in a private file of the state directory, read strictly and written as a whole."""

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
"""What reading a file that may be damaged, and making something of it, may raise."""


class StateFile:
    """A file that is mode 0600; the directories below the state directory that it is in are made when it is written."""

    def __init__(self, state_dir: Path, *below: str) -> None:
        self.path = state_dir.joinpath(*below)
        self._directories = below[:-1]
        self._state_dir = state_dir

    def read(
        self, build: Callable[[dict[str, Any]], T], unreadable: Callable[[Exception], T | None] | None = None
    ) -> T | None:
        """Return what `build` makes of the object's members; None if there is no file.

        Args:
            build: May raise as conversions do, where a member is missing or of another type.
            unreadable: Called with the reason if the file cannot be read, or not as what it should be, and gives the
                result then, or raises; without it, such a file counts as none.
        """
        try:
            data = read_private(self.path)
            return None if data is None else build(parse_json_object(data))
        except _UNREADABLE as error:
            return None if unreadable is None else unreadable(error)

    def write(self, members: Mapping[str, object]) -> None:
        """Replace the file, and make it where there is none.

        Raises:
            StoreUnavailable: The old content is still there, untouched.
        """
        private_dir(self._state_dir, *self._directories)
        write_private(self.path, json.dumps(members).encode())

    def create(self, members: Mapping[str, object]) -> bool:
        """Write the file unless there is one; return whether this call did.

        Raises:
            StoreUnavailable: Nothing was written.
        """
        private_dir(self._state_dir, *self._directories)
        return create_private(self.path, json.dumps(members).encode())


def moment(*, wall: float, elapsed: float, boot_id: str) -> Moment:
    """Return the moment of which a file has the members; may raise as conversions do."""
    return Moment(wall=float(wall), elapsed=float(elapsed), boot_id=str(boot_id))
