"""Choose the operating system's keychain from an allow-list, regardless of the environment.

keyring's own discovery uses ``PYTHON_KEYRING_BACKEND``, ``keyringrc.cfg``, ``KEYRING_PROPERTY_*`` and every installed
plugin, including plaintext files, so it is not used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.worker import WITHOUT_KEYCHAIN
from freshkey.errors import ConfigurationError, StoreUnavailable


if TYPE_CHECKING:
    import secretstorage
    from keyring.backend import KeyringBackend

REFUSED: Final = ("keyring.backends.null", "keyring.backends.fail", "keyring.backends.chainer", "keyrings.alt")
"""Modules whose backends store nothing, silently choose another backend, or write plain text."""

SECRET_SERVICE: Final = "keyring.backends.SecretService.Keyring"  # noqa: S105  a class
_BY_PLATFORM: Final = {
    "darwin": ("keyring.backends.macOS.Keyring",),
    "win32": ("keyring.backends.Windows.WinVaultKeyring",),
}
_ELSEWHERE: Final = (SECRET_SERVICE, "keyring.backends.kwallet.DBusKeyring", "keyring.backends.libsecret.Keyring")
PROMPT_SECONDS: Final = 600.0
"""Seconds after which a password prompt of the keychain is abandoned: the longest `timeout` allowed."""

_WHAT_TO_DO: Final = {
    "darwin": "Run this program in a desktop session with the login keychain unlocked",
    "win32": "Run this program in a desktop session where Credential Manager is available",
}
_NO_SESSION: Final = (
    "Run this program in a desktop session with a D-Bus session bus, which SSH sessions and containers usually lack"
)
_NO_SERVICE: Final = "Install and start a Secret Service, such as gnome-keyring or KWallet"


def allowed(platform: str = sys.platform) -> tuple[str, ...]:
    """Return the names of the backend classes to try on a platform, best first."""
    return _BY_PLATFORM.get(platform, _ELSEWHERE)


def how_to_get_one(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> str:
    """Return the hint for a missing keychain: how to get one on this platform, or how to do without."""
    session = "DBUS_SESSION_BUS_ADDRESS" in environ
    here = _WHAT_TO_DO.get(platform, _NO_SERVICE if session else _NO_SESSION)
    return f"{here}; {WITHOUT_KEYCHAIN} (optionally, set FRESHKEY_PASSPHRASE to a passphrase)"


def open_backend(named: str | None = None) -> KeyringBackend:
    """Return a backend that is ready to use. Imports keyring and may connect to the session bus.

    Args:
        named: The class from the user's configuration, as ``module.Class``; None for one of the allow-list.

    Raises:
        StoreUnavailable: No keychain is usable.
        ConfigurationError: The named class does not exist or is not allowed.
    """
    if named is not None:
        return _named_class(named)()
    reasons = []
    for path in allowed():
        try:
            return _constructed(path)
        except Exception as error:  # noqa: BLE001  desktop libraries raise any exception when something is missing
            reasons.append(str(error)[:200] or type(error).__name__)
    raise StoreUnavailable(f"no usable OS keychain ({reasons[0]})", hint=how_to_get_one(), code="no-keychain")


def tells_of_prompts(backend: KeyringBackend) -> bool:
    """Return whether this backend reports its prompts (`prompts.shown`); with others, any call may show one."""
    return getattr(backend, "get_preferred_collection", None) is _default_collection


def _load(path: str) -> type[KeyringBackend]:
    module, _, name = path.rpartition(".")
    return cast("type[KeyringBackend]", getattr(importlib.import_module(module), name))


def _constructed(path: str) -> KeyringBackend:
    kind = _load(path)
    _ = kind.priority  # raises if this backend does not work here
    backend: Any = kind.__new__(kind)
    # The constructor would set any attribute named by a KEYRING_PROPERTY_… variable.
    backend.set_properties_from_env = lambda: None
    backend.__init__()
    if path == SECRET_SERVICE:
        backend.get_preferred_collection = _default_collection
    if sys.platform == "win32":
        # The default, "enterprise", copies the credential to every computer that the user signs in to.
        backend.persist = "local machine"
    return cast("KeyringBackend", backend)


def _default_collection() -> object:
    """Do what keyring does, but close the connection on failure: a locked keychain would leak file descriptors."""
    import secretstorage

    connection = secretstorage.dbus_init()
    try:
        collection = secretstorage.get_default_collection(connection)
        _unlock(collection)
    except BaseException:
        connection.close()
        raise
    return collection


def _unlock(collection: secretstorage.Collection) -> None:
    import secretstorage
    from keyring.errors import KeyringLocked

    if not collection.is_locked():
        return
    with prompts.shown(), suppress(TimeoutError):
        # An unanswered prompt must not block the keychain's thread, and the lock, until the process ends. Before
        # SecretStorage 3.5, `unlock` has no timeout.
        deadline = {} if secretstorage.__version_tuple__ < (3, 5) else {"timeout": PROMPT_SECONDS}
        collection.unlock(**deadline)
    if collection.is_locked():
        raise KeyringLocked


def _named_class(path: str) -> type[KeyringBackend]:
    from keyring.backend import KeyringBackend

    if path.startswith(REFUSED):
        raise _not_allowed(path)
    try:
        kind: object = _load(path)
    except (ImportError, AttributeError, ValueError):
        raise ConfigurationError(
            f"the keychain backend {path!r} in [stores.keyring] cannot be imported",
            hint=f"Set backend to an installed module.Class, such as {SECRET_SERVICE!r}",
            code="invalid-keychain-backend",
        ) from None
    if not isinstance(kind, type) or not issubclass(kind, KeyringBackend):
        raise ConfigurationError(
            f"{path!r} in [stores.keyring] is not a keyring backend",
            hint=f"Set backend to a subclass of keyring's KeyringBackend, such as {SECRET_SERVICE!r}",
            code="invalid-keychain-backend",
        )
    if any(base.__module__.startswith(REFUSED) for base in kind.__mro__):
        raise _not_allowed(path)
    return kind


def _not_allowed(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"the keychain backend {path!r} in [stores.keyring] stores nothing or stores secrets in plain text",
        hint='Set backend to a real keychain, or set store = "file" for the profile in config.toml',
        code="unsafe-keychain-backend",
    )
