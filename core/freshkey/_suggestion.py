"""The word that somebody probably meant who wrote another one."""

from __future__ import annotations

from collections.abc import Collection


def closest(word: str, known: Collection[str]) -> str | None:
    """Return the word among `known` that was probably meant, or None."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a sentence that offers the word that was probably meant, or else all there are."""
    best = closest(word, known)
    return f"Did you mean {best!r}?" if best else f"Known names: {', '.join(sorted(known)) or 'none'}"
