"""The accounts of a profile that someone is signed in to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from freshkey._renewal.context import ProfileContext
from freshkey._sources.precedence import first_owned


def accounts(context: ProfileContext) -> tuple[str, ...]:
    """Return them sorted: from the store, if it can list, or else from the index in the state directory.

    Args:
        context: The profile, without an account.

    Raises:
        StoreError: The store lists them, and cannot be read.
    """
    if first_owned(context.profile, context.description) is None:
        return ()  # nothing is stored for this profile, so its store is not opened
    listing: Callable[[], Iterable[str]] | None = getattr(context.store, "accounts", None)
    if listing is not None:
        return tuple(sorted(listing()))
    return () if context.index is None else tuple(sorted(context.index.accounts()))
