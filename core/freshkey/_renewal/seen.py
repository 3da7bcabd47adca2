"""What one process saw in the stores of a profile."""

from __future__ import annotations

from attrs import define, field, frozen

from freshkey.model.storage import Record


@frozen
class Mark:
    """The newest record that is known to have been saved in one store."""

    generation: int = 0
    signed_out: bool = False
    written_at: float = 0.0


@define
class Seen:
    """What this process saw in the stores of one profile."""

    _marks: dict[str, Mark] = field(factory=dict)

    def note(self, store: str, record: Record) -> None:
        """Remember a record that was read or saved."""
        seen = self._marks.get(store, Mark())
        # Numbered from the beginning, but written later: another process signed in after all was deleted.
        if record.generation >= seen.generation or record.written_at > seen.written_at:
            self._marks[store] = Mark(record.generation, record.payload is None, record.written_at)

    def mark(self, store: str) -> Mark:
        """Return the newest record that was seen."""
        return self._marks.get(store, Mark())
