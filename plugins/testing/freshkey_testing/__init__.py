"""Test helpers for applications and plugins: a manual clock, a scripted user, a small OAuth server, contract kits.

Names load on first use: the clock, the user and the server need only freshkey; the contract kits load pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey_testing.canary import Canary as Canary
    from freshkey_testing.clock import ManualClock as ManualClock
    from freshkey_testing.exchanges import ScriptedExchanges as ScriptedExchanges
    from freshkey_testing.exchanges import UnexpectedRequest as UnexpectedRequest
    from freshkey_testing.observer_contract import ObserverContract as ObserverContract
    from freshkey_testing.provider_contract import ProviderContract as ProviderContract
    from freshkey_testing.provider_contract.lender import Lender as Lender
    from freshkey_testing.secret_scan import assert_no_secret as assert_no_secret
    from freshkey_testing.secret_scan import secrets_of as secrets_of
    from freshkey_testing.server import Account as Account
    from freshkey_testing.server import AuthorizationServer as AuthorizationServer
    from freshkey_testing.server import Policy as Policy
    from freshkey_testing.server import Rotation as Rotation
    from freshkey_testing.store_contract import StoreContract as StoreContract
    from freshkey_testing.user import ScriptedUser as ScriptedUser
    from freshkey_testing.user import UnexpectedQuestion as UnexpectedQuestion

_HOMES: Final = {
    "Account": "freshkey_testing.server",
    "AuthorizationServer": "freshkey_testing.server",
    "Canary": "freshkey_testing.canary",
    "Lender": "freshkey_testing.provider_contract.lender",
    "ManualClock": "freshkey_testing.clock",
    "ObserverContract": "freshkey_testing.observer_contract",
    "Policy": "freshkey_testing.server",
    "ProviderContract": "freshkey_testing.provider_contract",
    "Rotation": "freshkey_testing.server",
    "ScriptedExchanges": "freshkey_testing.exchanges",
    "ScriptedUser": "freshkey_testing.user",
    "StoreContract": "freshkey_testing.store_contract",
    "UnexpectedQuestion": "freshkey_testing.user",
    "UnexpectedRequest": "freshkey_testing.exchanges",
    "assert_no_secret": "freshkey_testing.secret_scan",
    "secrets_of": "freshkey_testing.secret_scan",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
