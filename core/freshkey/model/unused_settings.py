"""Settings of a profile that its source ignores: no one should believe that they have an effect."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import attrs

from freshkey.model.profile import Profile


def unused_settings(profile: Profile, source_id: str, used_by: Mapping[str, Container[str]]) -> tuple[str, ...]:
    """Return the settings that a profile sets but its source ignores, in alphabetical order, for `Source.ignores`.

    None if the profile does not choose the source: its settings may then be for several sources.

    Args:
        profile: The profile.
        source_id: The source that is used.
        used_by: For each setting that only some sources use, their IDs.
    """
    if profile.source is None:
        return ()
    return tuple(sorted(name for name in changed_settings(profile) & used_by.keys() if source_id not in used_by[name]))


def changed_settings(profile: Profile) -> frozenset[str]:
    """Return the names of the provider's settings that differ from their defaults."""
    settings: Any = profile.settings
    return frozenset(
        each.name for each in attrs.fields(type(settings)) if getattr(settings, each.name) != _default(each)
    )


def named(unused: Iterable[str]) -> str:
    """Return these settings in words."""
    return f"not used: {', '.join(unused)}"


def _default(attribute: attrs.Attribute[Any]) -> object:
    default: Any = attribute.default
    return default.factory() if hasattr(default, "factory") else default
