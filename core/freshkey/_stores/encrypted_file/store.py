"""An encrypted file store for machines without a keychain; used only if configured explicitly.

Each string is a separate file, encrypted with AES-256-GCM (NIST SP 800-38D) under a fresh random nonce, with its name
as associated data, so that files cannot be swapped.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from attrs import frozen

from freshkey._files.private import file_name, private_dir, read_private, remove_private, write_private
from freshkey._interprocess.lock import ProfileLock
from freshkey._stores.encrypted_file.key import KEY_FILE, PASSPHRASE, FileKey
from freshkey._stores.options import StoreSettingWrong, store_options, wrong_option
from freshkey._stores.records.slots import SlottedStore
from freshkey._text.shell_words import install_command
from freshkey.errors import ConfigurationError, RecordUnreadable
from freshkey.hooks import hookimpl
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore
from freshkey.secret import Secret


PASSPHRASE_ENV: Final = "FRESHKEY_PASSPHRASE"  # noqa: S105  the name of a variable
NONCE_BYTES: Final = 12
DIRECTORY: Final = "store"


@frozen(eq=False)
class FileItems:
    """Strings in encrypted files of one profile, the owner, whose name is part of the file names."""

    name = "file"
    item_limit = cast("int | None", None)

    _state_dir: Path
    _owner: str
    _key: FileKey

    def get(self, name: str) -> str | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not os.path.lexists(self._state_dir / DIRECTORY):
            return None
        data = read_private(self._path(name))
        if data is None:
            return None
        cipher = AESGCM(self._key.find())
        try:
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._bound_to(name)).decode("ascii")
        except (InvalidTag, ValueError):
            # `FileKey` has verified the key, so the file itself is damaged.
            raise RecordUnreadable(f"{self._path(name)} is corrupt") from None

    def set(self, name: str, value: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        path = self._path(name)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self._key.make()).encrypt(nonce, value.encode("ascii"), self._bound_to(name))
        write_private(path, nonce + sealed)

    def delete(self, name: str) -> None:
        remove_private(self._path(name))

    def copy(self, name: str, other: str) -> str:
        """Copy the file of that name, still encrypted, and return the path of the copy."""
        path = self._path(other)
        write_private(path, read_private(self._path(name)) or b"")
        return str(path)

    def _path(self, name: str) -> Path:
        return private_dir(self._state_dir, DIRECTORY) / f"{file_name(self._owner)}.{name}"

    def _bound_to(self, name: str) -> bytes:
        return f"freshkey\0{self._owner}\0{name}".encode()


@hookimpl
def store(profile: Profile) -> CredentialStore:
    """Store the profile's credential in encrypted files in the state directory.

    The key is derived from a passphrase if ``passphrase_env`` in ``[stores.file]`` names an environment variable, or
    if ``FRESHKEY_PASSPHRASE`` is set; a variable that is set but empty is an error. Otherwise the key is read from
    ``key_file``, by default ``file-store.key`` in the state directory, which is created with mode 0600. That default
    protects only a copy of the store's files, not against someone who can read the whole state directory.
    """
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401  only to check that it is installed
    except ImportError:
        raise ConfigurationError(
            "the store 'file' requires the package 'cryptography'",
            profile=profile.name,
            hint=f"Run: {install_command('freshkey[file]')}",
            code="missing-package",
        ) from None
    items = FileItems(profile.state_dir, profile.key, _key(profile))
    lock = ProfileLock(profile.state_dir, file_name(profile.key))
    return SlottedStore(items, lock, confirm=lock.confirm, outwait=lock.outwait, copy=items.copy)


def _key(profile: Profile) -> FileKey:
    options = store_options(profile, "file", {"passphrase_env": str, "key_file": str})
    if len(options) > 1:
        message = "'stores.file' sets both passphrase_env and key_file"
        raise StoreSettingWrong(message, profile=profile, keys=("stores", "file"), hint="Remove one of them")
    variable = options.get("passphrase_env", PASSPHRASE_ENV)
    if not variable or "=" in variable or "\0" in variable:
        raise wrong_option(profile, "file", "passphrase_env", "the name of an environment variable")
    passphrase = os.environ.get(variable)
    by_passphrase = "passphrase_env" in options or (passphrase is not None and "key_file" not in options)
    return FileKey(
        directory=profile.state_dir / DIRECTORY,
        origin=PASSPHRASE if by_passphrase else KEY_FILE,
        passphrase=None if passphrase is None else Secret(passphrase),
        passphrase_env=variable,
        key_file=_key_file(profile, options.get("key_file")),
    )


def _key_file(profile: Profile, given: str | None) -> Path:
    """Return the path of the key file; a relative one is refused, as it depends on the working directory."""
    if given is None:
        return profile.state_dir / "file-store.key"
    with suppress(RuntimeError):  # ~user of an unknown user
        path = Path(given).expanduser()
        if path.is_absolute():
            return path
    raise wrong_option(profile, "file", "key_file", "an absolute path")
