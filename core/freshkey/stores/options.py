"""The table of a store in configuration, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from freshkey.errors import ConfigurationError
from freshkey.model import Profile


def store_options(profile: Profile, store: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return ``[stores.…]`` as far as it is given.

    Args:
        profile: Whose `Profile.store_settings` they are.
        store: Name of the store.
        kinds: The settings that the store has, and the type of each; ``float`` takes whole numbers too.

    Raises:
        ConfigurationError: A setting is misspelt or has the wrong type.
    """
    for name, value in profile.store_settings.items():
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            raise ConfigurationError(
                f"[stores.{store}] has no setting {name!r}",
                profile=profile.name,
                hint=f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(kinds)}",
            )
        wanted = (int, float) if kinds[name] is float else (kinds[name],)
        if type(value) not in wanted:
            raise ConfigurationError(
                f"the setting {name!r} of [stores.{store}] must be a {kinds[name].__name__}", profile=profile.name
            )
    return dict(profile.store_settings)
