"""Validate a store's table in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from freshkey.errors import ConfigurationError, suggestion
from freshkey.model.profile import Profile
from freshkey.secret import quoted


FORGETFUL: Final = "memory"
"""The store that loses everything when the process ends."""

_WORDS: Final[dict[type, str]] = {str: "a string", float: "a number"}
"""The names of the TOML types of store settings, for messages."""


class StoreSettingWrong(ConfigurationError):
    """A store's table in the configuration is wrong; the code that loaded the configuration adds file and line.

    `keys` is the path of the setting, from the top level of the configuration.
    """

    code = "invalid-setting"

    def __init__(
        self,
        message: str,
        *,
        profile: Profile,
        keys: tuple[str, ...],
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, profile=profile.name, hint=hint, code=code)
        self.keys = keys


def store_options(profile: Profile, store: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the settings in ``[stores.…]``, after checking their names and types.

    Args:
        profile: The profile whose `Profile.store_settings` to check.
        store: Name of the store.
        kinds: Type of each setting that the store supports; ``float`` accepts integers too.

    Raises:
        StoreSettingWrong: A setting is misspelled or has the wrong type.
    """
    for name, value in profile.store_settings.items():
        keys = ("stores", store, name)
        if name not in kinds:
            message = f"unknown setting {quoted('.'.join(keys))}"
            hint = suggestion(name, kinds)
            raise StoreSettingWrong(message, profile=profile, keys=keys, hint=hint, code="unknown-setting")
        wanted = (int, float) if kinds[name] is float else (kinds[name],)
        if type(value) not in wanted:
            raise wrong_option(profile, store, name, _WORDS[kinds[name]])
    return dict(profile.store_settings)


def wrong_option(profile: Profile, store: str, name: str, expected: str) -> StoreSettingWrong:
    """Return the error for a store setting with an invalid value; `expected` completes "must be …"."""
    keys = ("stores", store, name)
    return StoreSettingWrong(f"{quoted('.'.join(keys))} must be {expected}", profile=profile, keys=keys)
