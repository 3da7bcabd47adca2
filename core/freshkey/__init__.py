"""freshkey keeps an application's credentials fresh; the public names, loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey._config.configuration import Configuration
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
    from freshkey.hooks import hookimpl
    from freshkey.keeper import Keeper
    from freshkey.model.credential import ApiKey, Credential, OAuthToken
    from freshkey.model.description import Description, Inspection, Validity
    from freshkey.model.identity import Identity
    from freshkey.model.profile import Profile
    from freshkey.model.source import Detected, Source
    from freshkey.secret import Secret

_HOME: Final = {
    "Clock": "clock",
    "Moment": "clock",
    "Configuration": "_config.configuration",
    "ConfigurationError": "errors",
    "CredentialExpired": "errors",
    "FreshkeyError": "errors",
    "KeeperClosed": "errors",
    "LoginRequired": "errors",
    "OutcomeUnknown": "errors",
    "PluginBroken": "errors",
    "ProviderRefused": "errors",
    "StoreError": "errors",
    "TransientError": "errors",
    "TrustNeeded": "errors",
    "hookimpl": "hooks",
    "Keeper": "keeper",
    "ApiKey": "model.credential",
    "Credential": "model.credential",
    "Description": "model.description",
    "Identity": "model.identity",
    "Inspection": "model.description",
    "OAuthToken": "model.credential",
    "Profile": "model.profile",
    "Detected": "model.source",
    "Source": "model.source",
    "Validity": "model.description",
    "Secret": "secret",
}

__version__ = "0.1.0"

__all__ = [
    "ApiKey",
    "Clock",
    "Configuration",
    "ConfigurationError",
    "Credential",
    "CredentialExpired",
    "Description",
    "Detected",
    "FreshkeyError",
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
    "StoreError",
    "TransientError",
    "TrustNeeded",
    "Validity",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module and keep it here."""
    if name not in _HOME:
        message = f"module 'freshkey' has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(importlib.import_module(f"freshkey.{_HOME[name]}"), name)
    globals()[name] = value
    return value
