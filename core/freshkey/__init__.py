"""freshkey keeps an application's credentials fresh. Public names are imported on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey._accounts.status import HiddenSignIn, Status
    from freshkey._config.configuration import Configuration
    from freshkey._config.profile_selection import Choice
    from freshkey._sources.explain import Explanation
    from freshkey._sources.precedence import Step
    from freshkey.clock import Clock, Moment
    from freshkey.errors import (
        ConfigurationError,
        CredentialExpired,
        FreshkeyError,
        KeeperClosed,
        LoginRequired,
        OutcomeUnknown,
        PluginBroken,
        ProviderRefused,
        StoreError,
        TransientError,
        TrustNeeded,
    )
    from freshkey.expiry import Freshness
    from freshkey.hooks import hookimpl
    from freshkey.keeper import Keeper
    from freshkey.model.credential import ApiKey, Credential, OAuthToken
    from freshkey.model.description import Description, Inspection, Validity
    from freshkey.model.identity import Identity
    from freshkey.model.profile import Profile
    from freshkey.model.source import Detected, Source
    from freshkey.secret import Secret

__version__ = "0.2.0"

# Each name is imported when it is first used, so that importing a provider costs only what the provider uses.
# See docs/decisions.md, "Public modules load lazily, from one table each".
_HOMES: Final = {
    "_accounts.status": "HiddenSignIn Status",
    "_config.configuration": "Configuration",
    "_config.profile_selection": "Choice",
    "_sources.explain": "Explanation",
    "_sources.precedence": "Step",
    "clock": "Clock Moment",
    "errors": (
        "ConfigurationError CredentialExpired FreshkeyError KeeperClosed LoginRequired OutcomeUnknown "
        "PluginBroken ProviderRefused StoreError TransientError TrustNeeded"
    ),
    "expiry": "Freshness",
    "hooks": "hookimpl",
    "keeper": "Keeper",
    "model.credential": "ApiKey Credential OAuthToken",
    "model.description": "Description Inspection Validity",
    "model.identity": "Identity",
    "model.profile": "Profile",
    "model.source": "Detected Source",
    "secret": "Secret",
}

# Several names per line: one per line would fill a page.
# fmt: off
__all__ = [
    "ApiKey", "Choice", "Clock", "Configuration", "ConfigurationError", "Credential", "CredentialExpired",
    "Description", "Detected", "Explanation", "FreshkeyError", "Freshness", "HiddenSignIn", "Identity", "Inspection",
    "Keeper", "KeeperClosed", "LoginRequired", "Moment", "OAuthToken", "OutcomeUnknown", "PluginBroken", "Profile",
    "ProviderRefused", "Secret", "Source", "Status", "Step", "StoreError", "TransientError", "TrustNeeded",
    "Validity", "hookimpl",
]
# fmt: on


def _lazy(page: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a module of public names, each imported on first use.

    Args:
        page: Name of the module.
        homes: For each module below ``freshkey``, the names to import from it, separated by spaces.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in home_of:
            message = f"module {page!r} has no attribute {name!r}"
            raise AttributeError(message)
        value: object = getattr(importlib.import_module(f"freshkey.{home_of[name]}"), name)
        setattr(sys.modules[page], name, value)
        return value

    return load, lambda: sorted({*vars(sys.modules[page]), *home_of})


__getattr__, __dir__ = _lazy(__name__, _HOMES)
