"""The keychains that a session may have, in the order in which it uses them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final


SECRET_SERVICE: Final = "keyring.backends.SecretService.Keyring"  # noqa: S105  a class
LIBSECRET: Final = "keyring.backends.libsecret.Keyring"
KWALLET: Final = "keyring.backends.kwallet.DBusKeyring"
CREDENTIAL_MANAGER: Final = "keyring.backends.Windows.WinVaultKeyring"

_BY_PLATFORM: Final = {
    "darwin": ("keyring.backends.macOS.Keyring",),
    "win32": (CREDENTIAL_MANAGER,),
}

KEYCHAINS: Final[dict[str, tuple[str, ...]]] = {
    "secret-service": (SECRET_SERVICE, LIBSECRET),
    "kwallet": (KWALLET,),
}
"""Where there is more than one keychain: the classes that access each one, by a name that is stored.

The order is the one of sessions without a keychain of their own. It is also the one of versions that did not remember
which keychain they had used.
"""

TITLES: Final = {"secret-service": "the Secret Service (such as gnome-keyring)", "kwallet": "KWallet"}
"""The keychains in messages."""


def is_kde(environ: Mapping[str, str]) -> bool:
    """Return whether this is a KDE session, so that KWallet is its own keychain, as keyring decides too."""
    desktops = [name for name in environ.get("XDG_CURRENT_DESKTOP", "").split(":") if name]
    if desktops:
        return "KDE" in (name.upper() for name in desktops)
    # Older display managers, and programs that sessions start with a reduced environment.
    return bool(environ.get("KDE_FULL_SESSION"))


def in_order(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the session's keychains, its own first; none where there is only one keychain."""
    if platform in _BY_PLATFORM:
        return ()
    return tuple(sorted(KEYCHAINS, key="kwallet".__ne__)) if is_kde(environ) else tuple(KEYCHAINS)


def allowed(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the backend classes to try on a platform, best first."""
    here = tuple(path for name in in_order(platform, environ) for path in KEYCHAINS[name])
    return _BY_PLATFORM.get(platform, here)
