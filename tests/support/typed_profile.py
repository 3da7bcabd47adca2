"""Opens a profile like the core: first its table, then its settings."""

from __future__ import annotations

from freshkey import Configuration, Description, Profile
from freshkey._config.project import Trusted


def typed(configuration: Configuration, name: str, description: Description, trusted: Trusted | None = None) -> Profile:
    """Return a profile with the settings of a provider with this description."""
    return configuration.profile(configuration.table(name), description.settings, trusted)
