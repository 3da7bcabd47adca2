"""Why a credential is renewed."""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """Why ``refresh`` is called.

    A provider that only extends what it has, such as a lease, must not extend a credential that was `REFUSED`: it gets
    another one instead.
    """

    DUE = "due"
    """It ends soon, or has ended."""

    REFUSED = "refused"
    """A server rejected it (`Credential.judge`), however long it has left, and nothing has replaced it since."""

    ASKED = "asked"
    """The user wants a newer one now (`Keeper.refresh`), or the application one that lasts longer (``min_ttl``)."""
