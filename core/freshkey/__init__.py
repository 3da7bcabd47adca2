"""freshkey keeps an application's credentials fresh; the public names, loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey._accounts.status import Status
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

_HOMES: Final = {
    "_accounts.status": "Status",
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
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "ApiKey",
    "Choice",
    "Clock",
    "Configuration",
    "ConfigurationError",
    "Credential",
    "CredentialExpired",
    "Description",
    "Detected",
    "Explanation",
    "FreshkeyError",
    "Freshness",
    "Identity",
    "Inspection",
    "Keeper",
    "KeeperClosed",
    "LoginRequired",
    "Moment",
    "OAuthToken",
    "OutcomeUnknown",
    "PluginBroken",
    "Profile",
    "ProviderRefused",
    "Secret",
    "Source",
    "Status",
    "Step",
    "StoreError",
    "TransientError",
    "TrustNeeded",
    "Validity",
    "hookimpl",
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
