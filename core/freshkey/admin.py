"""What the command line and other tools of the same version may use as well; no promise across versions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey._accounts.status import Status
    from freshkey._config.env_vars import CONFIG_DIR, PROFILE, STATE_DIR
    from freshkey._config.overrides import read_override
    from freshkey._config.profile_selection import Choice
    from freshkey._plugins.discovery import Found, find
    from freshkey._renewal.context import proposals
    from freshkey._sources.explain import Explanation
    from freshkey._sources.precedence import Step
    from freshkey._trust.project_commands import Entry, TrustedCommands, shown
    from freshkey._trust.source_consent import Answer, SourceAnswers

_HOMES: Final = {
    "_accounts.status": "Status",
    "_config.env_vars": "CONFIG_DIR PROFILE STATE_DIR",
    "_config.overrides": "read_override",
    "_config.profile_selection": "Choice",
    "_plugins.discovery": "Found find",
    "_renewal.context": "proposals",
    "_sources.explain": "Explanation",
    "_sources.precedence": "Step",
    "_trust.project_commands": "Entry TrustedCommands shown",
    "_trust.source_consent": "Answer SourceAnswers",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "CONFIG_DIR",
    "PROFILE",
    "STATE_DIR",
    "Answer",
    "Choice",
    "Entry",
    "Explanation",
    "Found",
    "SourceAnswers",
    "Status",
    "Step",
    "TrustedCommands",
    "find",
    "proposals",
    "read_override",
    "shown",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module and keep it here."""
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(importlib.import_module(f"freshkey.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
