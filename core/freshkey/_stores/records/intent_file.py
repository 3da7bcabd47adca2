"""A second copy of the open intent, outside the keychain, for keychains that replace an item by deleting it first.

Such a keychain can lose the intent of a renewal while its result is written: a process that dies between the two steps
leaves neither, and the remaining record looks as if its refresh token had never been sent. The copy is a small file in
the state directory. It contains no secret, and a missing, stale or unwritable copy does no harm: readers compare its
keyed hash with the current refresh token.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from attrs import Factory, field, frozen

from freshkey._files.private import private_dir, read_private, remove_private, write_private
from freshkey._stores.records.chunks import intent_item, read_slot
from freshkey.errors import StoreError
from freshkey.model.storage import Intent


@frozen
class IntentFile:
    """Stores the last intent of one profile; `name` is the file name without its extension."""

    state_dir: Path
    name: str
    path: Path = field(
        init=False, default=Factory(lambda file: file.state_dir / "intents" / f"{file.name}.intent", takes_self=True)
    )

    def note(self, intent: Intent) -> None:
        """Replace the stored intent; errors such as a full disk are ignored, as the keychain still has it."""
        with suppress(StoreError):
            private_dir(self.state_dir, "intents")
            write_private(self.path, intent_item(intent).encode("ascii"))

    def read(self) -> Intent | None:
        """Return the last intent, or None if it is missing or cannot be read."""
        with suppress(StoreError, UnicodeDecodeError):
            text = (read_private(self.path) or b"").decode("ascii")
            return read_slot(lambda index: text if index == 0 else None).intent
        return None

    def clear(self) -> None:
        with suppress(StoreError):
            if self.path.exists():
                remove_private(self.path)
