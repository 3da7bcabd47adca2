"""What tests of applications and plugins need: a clock moved by hand, a scripted person, a small server, contract kits.

Names load on first use: the clock, the person and the server need nothing but freshkey, the contract kits need pytest
(``pip install 'freshkey[testing]'``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from freshkey.testing.clock import ManualClock as ManualClock
    from freshkey.testing.leaks import assert_no_secret as assert_no_secret
    from freshkey.testing.leaks import secrets_of as secrets_of
    from freshkey.testing.provider_contract import ProviderContract as ProviderContract
    from freshkey.testing.server import Account as Account
    from freshkey.testing.server import AuthorizationServer as AuthorizationServer
    from freshkey.testing.server import Policy as Policy
    from freshkey.testing.server import Rotation as Rotation
    from freshkey.testing.store_contract import StoreContract as StoreContract
    from freshkey.testing.user import ScriptedUser as ScriptedUser
    from freshkey.testing.user import UnexpectedQuestion as UnexpectedQuestion

_HOMES: Final = {
    "Account": "freshkey.testing.server",
    "AuthorizationServer": "freshkey.testing.server",
    "ManualClock": "freshkey.testing.clock",
    "Policy": "freshkey.testing.server",
    "ProviderContract": "freshkey.testing.provider_contract",
    "Rotation": "freshkey.testing.server",
    "ScriptedUser": "freshkey.testing.user",
    "StoreContract": "freshkey.testing.store_contract",
    "UnexpectedQuestion": "freshkey.testing.user",
    "assert_no_secret": "freshkey.testing.leaks",
    "secrets_of": "freshkey.testing.leaks",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
