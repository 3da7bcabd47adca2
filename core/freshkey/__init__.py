"""freshkey keeps an application's credentials fresh; the public names, loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from freshkey.clock import Clock, Moment
    from freshkey.config import Configuration
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
    from freshkey.model import (
        ApiKey,
        Credential,
        Description,
        Identity,
        Inspection,
        OAuthToken,
        Profile,
        Sighting,
        Source,
        Validity,
    )
    from freshkey.secret import Secret

_HOME = {
    "Clock": "clock",
    "Moment": "clock",
    "Configuration": "config",
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
    "ApiKey": "model",
    "Credential": "model",
    "Description": "model",
    "Identity": "model",
    "Inspection": "model",
    "OAuthToken": "model",
    "Profile": "model",
    "Sighting": "model",
    "Source": "model",
    "Validity": "model",
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
    "Sighting",
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
