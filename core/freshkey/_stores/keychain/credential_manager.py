"""Windows Credential Manager, as keyring uses it, but with one entry for each item and errors that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from freshkey._stores.keychain.worker import WITHOUT_KEYCHAIN
from freshkey.errors import StoreUnavailable


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

NO_LOGON_SESSION: Final = 1312
"""ERROR_NO_SUCH_LOGON_SESSION: sessions over the network, such as most of SSH's, have no credentials."""

DAMAGED: Final = frozenset({2, 1015})
"""ERROR_FILE_NOT_FOUND and ERROR_REGISTRY_CORRUPT: there is an entry, but only a part of it.

Wine keeps each entry in several values of its registry, so a reader may come between two of them, and a writer that was
killed there leaves such an entry behind (dlls/advapi32/cred.c, ``registry_read_credential``).
"""

_NOT_FOUND: Final = 1168
"""ERROR_NOT_FOUND."""

_TOO_LARGE: Final = "it limits the size of an item, and the length of its name and user name"
_REASONS: Final = {
    5: ("it denied access", "Run this program as the user whose credentials it uses"),
    8: ("it has no room for more", "Remove credentials that you no longer need in Credential Manager"),
    87: (_TOO_LARGE, "Use a shorter name"),
    1783: (_TOO_LARGE, "Use a shorter name"),
}
"""What is known of errors of Windows, and what to do, by their numbers.

Windows says 8, ERROR_NOT_ENOUGH_MEMORY, when there are too many credentials, and 1783, RPC_X_BAD_STUB_DATA, for more
than 2,560 bytes.
"""


def adapt(backend: KeyringBackend) -> None:
    """Make keyring's backend keep one entry for each item, on this computer only."""
    adapted: Any = backend
    if "_persist" not in vars(adapted):
        # The default, "enterprise", copies the credential to every computer that the user signs in to.
        adapted.persist = "local machine"
    adapted.set_password = lambda service, username, password: _set(adapted, service, username, password)
    adapted.delete_password = _delete


def failed(number: int) -> StoreUnavailable:
    """Return the error for a call that failed with an error of Windows."""
    reason, action = _REASONS.get(number, ("", f"Run 'net helpmsg {number}' to see what it means"))
    cause = f"Windows error {number}" + (f": {reason}" if reason else "")
    return StoreUnavailable(
        f"Credential Manager failed ({cause})", hint=f"{action}; {WITHOUT_KEYCHAIN}", code="keychain-failed"
    )


def _set(backend: Any, service: str, username: str, password: str) -> None:  # noqa: ANN401  keyring's, only on Windows
    """Replace an entry in one step.

    keyring would first copy the old one to the entry ``username@service``, which would outlive it there: a second
    place for each secret. See docs/decisions.md, "Credential Manager has one entry for each item".
    """
    entry = {"TargetName": service, "UserName": username, "CredentialBlob": password, "Persist": backend.persist}
    windows, _ = _libraries()
    windows.CredWrite({"Type": windows.CRED_TYPE_GENERIC, "Comment": "Stored using python-keyring", **entry}, 0)
    _remove(f"{username}@{service}", username)


def _delete(service: str, username: str) -> None:
    """Delete an entry; first the copy of keyring, which would be read in its place if the process ended in between."""
    from keyring.errors import PasswordDeleteError

    copy_removed = _remove(f"{username}@{service}", username)
    if not _remove(service, username) and not copy_removed:
        raise PasswordDeleteError(service)


def _remove(target: str, username: str) -> bool:
    """Delete what has this name, if it is an entry of this user name; return whether it was there."""
    windows, error = _libraries()
    try:
        if windows.CredRead(target, windows.CRED_TYPE_GENERIC)["UserName"] != username:
            return False
    except error as problem:
        if problem.winerror == _NOT_FOUND:
            return False
        if problem.winerror not in DAMAGED:  # what is left of an entry goes, too
            raise
    try:
        windows.CredDelete(target, windows.CRED_TYPE_GENERIC)
    except error as problem:
        if problem.winerror != _NOT_FOUND:
            raise
        return False
    return True


def _libraries() -> tuple[Any, type[Any]]:
    """Return the calls and the exception that keyring uses; it prefers pywin32-ctypes to pywin32."""
    from keyring.backends import Windows

    library: Any = Windows
    return library.win32cred, library.pywintypes.error
