"""The table of a store in configuration, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from freshkey.errors import ConfigurationError, suggestion
from freshkey.model.profile import Profile


_WORDS: Final[dict[type, str]] = {str: "a string", float: "a number"}
"""What a person writes in TOML for each type that settings of stores have."""


class StoreSettingWrong(ConfigurationError):
    """The table of a store says something wrong; whoever has the configuration can say where.

    `keys` name the place, from the top level of the configuration down.
    """

    def __init__(self, message: str, *, profile: Profile, keys: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, profile=profile.name, hint=hint)
        self.keys = keys


def store_options(profile: Profile, store: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return ``[stores.…]`` as far as it is given.

    Args:
        profile: Whose `Profile.store_settings` they are.
        store: Name of the store.
        kinds: The settings that the store has, and the type of each; ``float`` takes whole numbers too.

    Raises:
        StoreSettingWrong: A setting is misspelt or has the wrong type.
    """
    for name, value in profile.store_settings.items():
        keys = ("stores", store, name)
        if name not in kinds:
            message = f"there is no setting {'.'.join(keys)!r}"
            raise StoreSettingWrong(message, profile=profile, keys=keys, hint=suggestion(name, kinds))
        wanted = (int, float) if kinds[name] is float else (kinds[name],)
        if type(value) not in wanted:
            raise wrong_option(profile, store, name, _WORDS[kinds[name]])
    return dict(profile.store_settings)


def wrong_option(profile: Profile, store: str, name: str, expected: str) -> StoreSettingWrong:
    """Return the error for a setting of a store that must be something else."""
    keys = ("stores", store, name)
    return StoreSettingWrong(f"{'.'.join(keys)!r} must be {expected}", profile=profile, keys=keys)
