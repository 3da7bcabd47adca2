"""A second copy of the open intent, beside the keychain, for keychains that replace an item by deleting it first.

Such a keychain can lose the intent of a renewal while its result is written: a process that dies between the two steps
leaves neither, and what is left looks as if the refresh token had never been sent. The copy is a small file in the
state directory. It holds no secret, and a missing, stale or unwritable one does no harm: whoever reads it compares its
keyed hash with the refresh token at hand.
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
    """Remembers the last intent of one profile; `name` is what to call the file, without its ending."""

    state_dir: Path
    name: str
    path: Path = field(
        init=False, default=Factory(lambda file: file.state_dir / "intents" / f"{file.name}.intent", takes_self=True)
    )

    def note(self, intent: Intent) -> None:
        """Remember an intent instead of the last one; a full disk does not stop a keychain from being used."""
        with suppress(StoreError):
            private_dir(self.state_dir, "intents")
            write_private(self.path, intent_item(intent).encode("ascii"))

    def read(self) -> Intent | None:
        """Return the last intent, or None if there is none or it cannot be read."""
        with suppress(StoreError, UnicodeDecodeError):
            text = (read_private(self.path) or b"").decode("ascii")
            return read_slot(lambda index: text if index == 0 else None).intent
        return None

    def clear(self) -> None:
        with suppress(StoreError):
            if self.path.exists():
                remove_private(self.path)
