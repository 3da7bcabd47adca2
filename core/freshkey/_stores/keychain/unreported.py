"""Keychains that do not say when they prompt: any call may, unless the system can be told to fail instead."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.session import LIBSECRET


if TYPE_CHECKING:
    import ctypes

    from freshkey._stores.keychain.prompts import Policy

INTERACTION_NOT_ALLOWED: Final = -25308
"""macOS: errSecInteractionNotAllowed, the keychain is locked and would have prompted."""

_SAYS_LOCKED: Final = {"KeyringLocked"}


@contextmanager
def unreported(policy: Policy, backend: object = None) -> Iterator[None]:
    """Apply `policy` to one call of such a keychain, as far as its `backend` allows that.

    Raises:
        PromptRefused: The keychain would have prompted, but may not.
    """
    allowed = policy.allows()
    if not allowed and type(backend).__module__ == LIBSECRET.rpartition(".")[0]:
        from freshkey._stores.keychain.libsecret import would_prompt

        if would_prompt():
            policy.check()
    quiet = sys.platform == "darwin" and not allowed
    try:
        with prompts.shown() if allowed else nullcontext(), _without_interaction() if quiet else nullcontext():
            yield
    except Exception as error:
        if quiet and _status(error) == INTERACTION_NOT_ALLOWED:
            raise prompts.PromptRefused from None
        if allowed and type(error).__name__ in _SAYS_LOCKED:
            policy.note(dismissed=True)
        raise
    policy.note(dismissed=False)


@contextmanager
def _without_interaction() -> Iterator[None]:
    """Make Keychain Services fail instead of showing a window; the switch applies to the whole process."""
    import ctypes

    security = _security()
    before = ctypes.c_ubyte(1)
    security.SecKeychainGetUserInteractionAllowed(ctypes.byref(before))
    security.SecKeychainSetUserInteractionAllowed(0)
    try:
        yield
    finally:
        security.SecKeychainSetUserInteractionAllowed(before.value)


@functools.cache
def _security() -> ctypes.CDLL:
    import ctypes
    import ctypes.util

    return ctypes.CDLL(ctypes.util.find_library("Security"))


def _status(error: BaseException) -> object:
    """Return the status of macOS behind an error of keyring, if there is one."""
    arguments = getattr(error.__cause__, "args", ())
    return arguments[0] if arguments else None
