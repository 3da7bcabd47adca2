"""A named use of a provider with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from attrs import Factory, frozen

from freshkey.errors import ConfigurationError


S = TypeVar("S")


@frozen(kw_only=True)
class Profile:
    """A named use of a provider with its settings.

    Attributes:
        name: What people call it.
        provider: Id of the provider, as in its entry point.
        settings: An instance of the provider's settings class (`Description.settings`).
        state_dir: Where this keeper keeps locks and hints; another directory is another sign-in.
        store: Name of the store that configuration chose; None leaves it to the provider and the core.
        store_settings: The table of that store in configuration.
        source: Id of the only source to use; None walks the provider's sources in order.
        skip: Ids of sources not to use.
        bare: Only what is handed in is used (`Source.handed_in`); nothing is stored, nobody is asked.
        lead: Seconds before expiry at which to renew; None leaves it to the credential and the provider.
    """

    name: str
    provider: str
    settings: object
    state_dir: Path
    store: str | None = None
    store_settings: Mapping[str, object] = Factory(dict)
    source: str | None = None
    skip: tuple[str, ...] = ()
    bare: bool = False
    lead: float | None = None

    def settings_as(self, kind: type[S]) -> S:
        """Return the settings, typed for the provider that owns them.

        Raises:
            ConfigurationError: They are those of another provider.
        """
        if not isinstance(self.settings, kind):
            raise ConfigurationError(f"the settings are not those of provider {self.provider!r}", profile=self.name)
        return self.settings
