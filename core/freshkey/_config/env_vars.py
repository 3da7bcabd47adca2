"""The environment variables that configuration reads."""

from __future__ import annotations

from typing import Final


CONFIG_DIR: Final = "FRESHKEY_CONFIG_DIR"
"""Variable that names the directory of ``config.toml``."""

STATE_DIR: Final = "FRESHKEY_STATE_DIR"
"""Variable that names the directory of locks, hints and the file store; another directory is another sign-in."""

PROFILE: Final = "FRESHKEY_PROFILE"
"""Variable that selects a profile."""
