"""Which keychain of the operating system is used: an allow-list of real ones, whatever the environment says.

keyring's own discovery takes orders from ``PYTHON_KEYRING_BACKEND``, ``keyringrc.cfg``, ``KEYRING_PROPERTY_*`` and
every installed plugin, plaintext files among them; so it is not asked.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from freshkey._stores.keychain import prompts
from freshkey.errors import ConfigurationError, StoreUnavailable


if TYPE_CHECKING:
    import secretstorage
    from keyring.backend import KeyringBackend

REFUSED: Final = ("keyring.backends.null", "keyring.backends.fail", "keyring.backends.chainer", "keyrings.alt")
"""Modules whose backends keep nothing, choose another one silently, or write plain text."""

SECRET_SERVICE: Final = "keyring.backends.SecretService.Keyring"  # noqa: S105  a class
_BY_PLATFORM: Final = {
    "darwin": ("keyring.backends.macOS.Keyring",),
    "win32": ("keyring.backends.Windows.WinVaultKeyring",),
}
_ELSEWHERE: Final = (SECRET_SERVICE, "keyring.backends.kwallet.DBusKeyring", "keyring.backends.libsecret.Keyring")
PROMPT_SECONDS: Final = 600.0
"""Seconds after which a window that asks for the keychain's password is given up: the longest `timeout` there is."""

HINT: Final = 'Start one, such as gnome-keyring in a desktop session, or choose store = "file"'


def allowed(platform: str = sys.platform) -> tuple[str, ...]:
    """Name the classes to try on a platform, best first."""
    return _BY_PLATFORM.get(platform, _ELSEWHERE)


def open_backend(named: str | None = None) -> KeyringBackend:
    """Return a backend that is ready to use. Imports keyring and may ask the session bus.

    Args:
        named: The class that user configuration names, as ``module.Class``; None takes one of the allow-list.

    Raises:
        StoreUnavailable: There is no keychain here.
        ConfigurationError: The named class does not exist or must not be used.
    """
    if named is not None:
        return _named_class(named)()
    reasons = []
    for path in allowed():
        try:
            return _constructed(path)
        except Exception as error:  # noqa: BLE001  desktop libraries raise what they like when they are missing
            reasons.append(str(error)[:200] or type(error).__name__)
    raise StoreUnavailable(f"no keychain of the operating system answers here ({reasons[0]})", hint=HINT)


def tells_of_prompts(backend: KeyringBackend) -> bool:
    """Tell whether this backend says when it asks a person (`prompts.shown`); of others, any call may ask."""
    return getattr(backend, "get_preferred_collection", None) is _default_collection


def _load(path: str) -> type[KeyringBackend]:
    module, _, name = path.rpartition(".")
    return cast("type[KeyringBackend]", getattr(importlib.import_module(module), name))


def _constructed(path: str) -> KeyringBackend:
    kind = _load(path)
    _ = kind.priority  # raises where this one does not work
    backend: Any = kind.__new__(kind)
    # The constructor would set any attribute that a variable KEYRING_PROPERTY_… names.
    backend.set_properties_from_env = lambda: None
    backend.__init__()
    if path == SECRET_SERVICE:
        backend.get_preferred_collection = _default_collection
    if sys.platform == "win32":
        # The default, "enterprise", copies the credential to every computer that the person signs in to.
        backend.persist = "local machine"
    return cast("KeyringBackend", backend)


def _default_collection() -> object:
    """Do what keyring does, but close the connection where that fails: a locked keychain would cost descriptors."""
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
        # A prompt that nobody answers must not occupy the keychain's thread, and the lock, for as long as we live;
        # before SecretStorage 3.5, `unlock` has no deadline.
        deadline = {} if secretstorage.__version_tuple__ < (3, 5) else {"timeout": PROMPT_SECONDS}
        collection.unlock(**deadline)
    if collection.is_locked():
        raise KeyringLocked


def _named_class(path: str) -> type[KeyringBackend]:
    from keyring.backend import KeyringBackend

    if path.startswith(REFUSED):
        raise _must_not_be_used(path)
    try:
        kind: object = _load(path)
    except (ImportError, AttributeError, ValueError):
        raise ConfigurationError(
            f"[stores.keyring] names the backend {path!r}, which cannot be imported",
            hint=f"Write module.Class, such as {SECRET_SERVICE!r}",
        ) from None
    if not isinstance(kind, type) or not issubclass(kind, KeyringBackend):
        raise ConfigurationError(f"[stores.keyring] names {path!r}, which is no keyring backend")
    if any(base.__module__.startswith(REFUSED) for base in kind.__mro__):
        raise _must_not_be_used(path)
    return kind


def _must_not_be_used(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"[stores.keyring] names the backend {path!r}, which keeps nothing, or keeps it where others can read it",
        hint='Name a real keychain, or choose store = "file"',
    )
