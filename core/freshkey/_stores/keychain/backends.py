"""Open the operating system's keychain, from an allow-list, regardless of the environment.

keyring's own discovery uses ``PYTHON_KEYRING_BACKEND``, ``keyringrc.cfg``, ``KEYRING_PROPERTY_*`` and every installed
plugin, including plaintext files, so it is not used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Final, cast

from freshkey._forksafe import block_fork
from freshkey._stores.keychain import credential_manager
from freshkey._stores.keychain.session import CREDENTIAL_MANAGER, KEYCHAINS, KWALLET, SECRET_SERVICE, allowed, is_kde
from freshkey._stores.keychain.worker import WITHOUT_KEYCHAIN
from freshkey.errors import ConfigurationError, StoreUnavailable
from freshkey.secret import quoted


if TYPE_CHECKING:
    from types import ModuleType

    from keyring.backend import KeyringBackend

REFUSED: Final = ("keyring.backends.null", "keyring.backends.fail", "keyring.backends.chainer", "keyrings.alt")
"""Modules whose backends store nothing, silently choose another backend, or write plain text."""

_OWN: Final = "freshkey._stores.keychain"
ADAPTED: Final = {SECRET_SERVICE: f"{_OWN}.secret_service", KWALLET: f"{_OWN}.kwallet"}
"""Our modules for keychains that prompt through the session bus, by the class of keyring that they adapt or replace."""

HOLDS: Final = {name: ADAPTED[paths[0]] for name, paths in KEYCHAINS.items()}
"""The modules whose `holds` tells whether an item is in a keychain, by its name."""

_WHAT_TO_DO: Final = {
    "darwin": "Run this program in a desktop session with the login keychain unlocked",
    "win32": "Run this program in a desktop session where Credential Manager is available",
}
_NO_SESSION: Final = (
    "Run this program in a desktop session with a D-Bus session bus, which SSH sessions and containers usually lack"
)
_NO_SERVICE: Final = "Install and start a Secret Service, such as gnome-keyring or KWallet"


class NotImported(BaseException):
    """A keychain's library must be imported first; not an `Exception`, because no keychain has failed."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module

    def resolve(self) -> None:
        """Import it, or remember why it cannot be imported."""
        with block_fork():
            _import(self.module)


_imported: dict[str, ModuleType | Exception] = {}
_later: ContextVar[bool] = ContextVar("freshkey_import_later", default=False)


@contextmanager
def importing_nothing() -> Iterator[None]:
    """Raise `NotImported` in this context instead of importing a keychain's library.

    The first import of one can take longer than a call to the keychain may.
    See docs/decisions.md, "Only a keychain that prompts the user gets more than three seconds".
    """
    token = _later.set(True)
    try:
        yield
    finally:
        _later.reset(token)


def how_to_get_one(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> str:
    """Return the hint for a missing keychain: how to get one on this platform, or how to do without."""
    session = "DBUS_SESSION_BUS_ADDRESS" in environ
    here = _WHAT_TO_DO.get(platform, _NO_SERVICE if session else _NO_SESSION)
    return f"{here}; {WITHOUT_KEYCHAIN} (optionally, set FRESHKEY_PASSPHRASE to a passphrase)"


def open_backend(named: str | None = None) -> KeyringBackend:
    """Return a backend that is ready to use. Imports keyring and may connect to the session bus.

    Args:
        named: The class from the user's configuration, as ``module.Class``, or the name of one of `KEYCHAINS`; None
            for the best of the allow-list.

    Raises:
        StoreUnavailable: No keychain is usable.
        ConfigurationError: The named class does not exist or is not allowed.
    """
    if named is not None and named not in KEYCHAINS:
        return _named(named)
    reasons = []
    for path in allowed() if named is None else KEYCHAINS[named]:
        try:
            return _constructed(path, start=named is not None or is_kde(os.environ))
        except Exception as error:  # noqa: BLE001  desktop libraries raise any exception when something is missing
            reasons.append(str(error)[:200] or type(error).__name__)
    message = f"no usable OS keychain ({reasons[0]})"
    raise StoreUnavailable(message, absent=True, hint=how_to_get_one(), code="no-keychain")


def holds(name: str, service: str, username: str) -> bool:
    """Return whether a keychain is known to have an item; nothing is unlocked for that, and no one is prompted.

    Raises:
        TimeoutError: It did not respond.
    """
    module: Any = _import(HOLDS[name])
    if isinstance(module, Exception):
        return False
    try:
        return bool(module.holds(service, username))
    except TimeoutError:
        raise
    except Exception:  # noqa: BLE001  desktop libraries raise any exception when something is missing
        return False


def reports_prompts(backend: KeyringBackend) -> bool:
    """Return whether this backend reports its prompts and heeds the policy; with others, any call may show one."""
    return getattr(backend, "reports_prompts", False)


def _import(module: str) -> ModuleType | Exception:
    if module not in _imported:
        if _later.get():
            raise NotImported(module)
        try:
            _imported[module] = importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  desktop libraries raise any exception when something is missing
            _imported[module] = error.with_traceback(None)
    return _imported[module]


def _load(path: str) -> type[KeyringBackend]:
    module, _, name = path.rpartition(".")
    return cast("type[KeyringBackend]", getattr(_module(module), name))


def _module(name: str) -> Any:  # noqa: ANN401  like import
    found = _import(name)
    if isinstance(found, Exception):
        raise found.with_traceback(None)
    return found


def _constructed(path: str, *, start: bool) -> KeyringBackend:
    if path == KWALLET:
        return cast("KeyringBackend", _module(ADAPTED[path]).KWallet(start=start))
    kind = _load(path)
    _ = kind.priority  # raises if this backend does not work here
    backend: Any = kind.__new__(kind)
    # The constructor would set any attribute named by a KEYRING_PROPERTY_… variable.
    backend.set_properties_from_env = lambda: None
    backend.__init__()
    return _adapted(backend)


def _adapted(backend: KeyringBackend) -> KeyringBackend:
    """Adapt one of keyring's backends, or one derived from it that leaves alone what we change.

    The Secret Service heeds the policy for prompts, and Credential Manager has one entry for each item.
    """
    if _has_method_of(backend, SECRET_SERVICE, "get_preferred_collection"):
        _module(ADAPTED[SECRET_SERVICE]).adapt(backend)
    elif _has_method_of(backend, CREDENTIAL_MANAGER, "set_password"):
        credential_manager.adapt(backend)
    return backend


def _has_method_of(backend: KeyringBackend, path: str, method: str) -> bool:
    """Return whether a method of `backend` is the one of this class, if that was imported at all."""
    module, _, name = path.rpartition(".")
    known = getattr(sys.modules.get(module), name, None)
    # keyring wraps the method that stores, in each class.
    return known is not None and unwrap(getattr(type(backend), method, id)) is unwrap(getattr(known, method))


def _named(path: str) -> KeyringBackend:
    return _constructed(path, start=True) if path == KWALLET else _adapted(_named_class(path)())


def _named_class(path: str) -> type[KeyringBackend]:
    if path.startswith(REFUSED):
        raise _not_allowed(path)
    base = _module("keyring.backend").KeyringBackend
    try:
        kind: object = _load(path)
    except (ImportError, AttributeError, ValueError):
        raise ConfigurationError(
            f"the keychain backend {quoted(path)} in [stores.keyring] cannot be imported",
            hint=f"Set backend to an installed module.Class, such as {SECRET_SERVICE!r}",
            code="invalid-keychain-backend",
        ) from None
    if not isinstance(kind, type) or not issubclass(kind, base):
        raise ConfigurationError(
            f"{quoted(path)} in [stores.keyring] is not a keyring backend",
            hint=f"Set backend to a subclass of keyring's KeyringBackend, such as {SECRET_SERVICE!r}",
            code="invalid-keychain-backend",
        )
    if any(parent.__module__.startswith(REFUSED) for parent in kind.__mro__):
        raise _not_allowed(path)
    return cast("type[KeyringBackend]", kind)


def _not_allowed(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"the keychain backend {quoted(path)} in [stores.keyring] stores nothing or stores secrets in plain text",
        hint='Set backend to a real keychain, or set store = "file" for the profile in config.toml',
        code="unsafe-keychain-backend",
    )
