"""The environment variables that configuration reads."""

from __future__ import annotations

from typing import Final


CONFIG_DIR: Final = "FRESHKEY_CONFIG_DIR"
"""Variable that sets the directory of ``config.toml``."""

STATE_DIR: Final = "FRESHKEY_STATE_DIR"
"""Variable that sets the directory of locks, hints and the file store; each directory has its own sign-ins."""

PROFILE: Final = "FRESHKEY_PROFILE"
"""Variable that selects a profile."""
