"""Whether the sources that a provider describes can work: checked when it is loaded, and for each profile."""

from __future__ import annotations

from freshkey.model.source import Source, finds_nothing


def flaw_of_source(source: Source) -> str | None:
    """Return why a source cannot work as described, as a fragment to follow its ID, or None."""
    if not source.automatic:
        return None
    if not source.owned:
        return "is automatic, but not owned: set owned=True if freshkey is to store what it gets there"
    if source.interactive or source.pasted:
        return "is automatic and needs the user: remove one of automatic, interactive and pasted"
    if source.detect is finds_nothing:
        return "is automatic, but has no detect: without one it would never be used"
    return None
