"""Settings and variables that only choose a source: they are named if that does not help, or hides a sign-in.

See docs/decisions.md, "Settings that the chosen source ignores are named".
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from freshkey._sources.precedence import candidates
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.model.unused_settings import changed_settings


def chosen_by(profile: Profile, source: Source, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the settings that a profile sets, and the variables that are set, only to choose a source."""
    variables = tuple(name for name in source.chosen_by if name.isupper() and environ.get(name))
    return _settings(profile, source) + variables


def overruled(profile: Profile, description: Description, winner: Source | None) -> dict[str, str]:
    """Return the settings that choose a source after the one that is used, and the IDs of those sources.

    Empty if the profile names its source, or if another of its settings chooses the one that is used.
    """
    if winner is None or profile.source is not None or _settings(profile, winner):
        return {}
    sources = candidates(profile, description)
    later = sources[sources.index(winner) + 1 :] if winner in sources else []
    return {name: source.id for source in later for name in _settings(profile, source)}


def settled_on(profile: Profile, description: Description, winner: Source | None) -> Source | None:
    """Return the source that is used, or else the one that the profile names, whatever was found there."""
    return winner or (None if profile.source is None else description.source(profile.source))


def _settings(profile: Profile, source: Source) -> tuple[str, ...]:
    names = [name for name in source.chosen_by if not name.isupper()]
    changed = changed_settings(profile) if names else frozenset()
    return tuple(name for name in names if name in changed)
