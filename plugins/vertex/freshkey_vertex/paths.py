"""Says what is wrong with a path that only a shell would read as it was meant; neither Google's tools nor AWS's do."""

from __future__ import annotations

from typing import Final


_QUOTES: Final = "'\"\N{LEFT SINGLE QUOTATION MARK}\N{LEFT DOUBLE QUOTATION MARK}"


def path_flaw(text: str) -> str | None:
    """Return what is wrong with the way a path is written, as a predicate that does not quote it; None if nothing."""
    if text != text.strip():
        return "begins or ends with a space or a line break"
    if text[:1] and text[0] in _QUOTES:
        return "is in quotes, which belong to no path"
    if text.startswith("~"):
        return "begins with ~, which only a shell replaces"
    if text.startswith(("$", "%")):
        return "begins with a variable, which only a shell replaces"
    return "is a URL, not a path" if text.startswith("file:") else None
