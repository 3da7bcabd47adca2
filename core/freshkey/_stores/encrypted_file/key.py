"""The key of the encrypted file store, derived from a passphrase or read from a key file, and checked."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import unicodedata
from pathlib import Path
from typing import Any, Final, NoReturn

from attrs import asdict, define, field, frozen
from attrs.validators import ge, in_, instance_of, le, not_

from freshkey._files.private import create_private, read_private
from freshkey._files.state_file import StateFile
from freshkey.errors import StoreUnavailable
from freshkey.secret import Secret, Unpicklable


KEY_BYTES: Final = 32
COST: Final = 1 << 17
"""scrypt's N for new stores: each guess takes 128 MiB, as OWASP recommends with r = 8 and p = 1."""

MAX_MEMORY: Final = 1 << 28
"""Limit on 128 · N · r · p in bytes: 256 MiB, twice what new stores need. scrypt uses 128 · N · r bytes, p times."""

PASSPHRASE, KEY_FILE = "passphrase", "key file"


def _at_most(most: int) -> list[Any]:
    return [instance_of(int), not_(instance_of(bool)), ge(1), le(most)]


@frozen(kw_only=True)
class KeyInfo:
    """How to derive and check the key; stored next to the encrypted items, without secrets.

    The scrypt parameters (RFC 7914) are stored so that later versions can raise them, and limited so that a tampered
    file cannot exhaust memory. `salt` is base64, `n` a power of two, and `check` a keyed hash that only the correct key
    produces.
    """

    kind: str = field(validator=in_((PASSPHRASE, KEY_FILE)))
    salt: str = field(factory=lambda: _random(16).decode("ascii"), validator=instance_of(str))
    n: int = field(factory=lambda: COST, validator=_at_most(1 << 20))
    r: int = field(default=8, validator=_at_most(32))
    p: int = field(default=1, validator=_at_most(16))
    check: str = field(default="", validator=instance_of(str))
    schema: int = field(default=1, validator=in_((1,)))


@define(kw_only=True, eq=False, repr=False, getstate_setstate=False)
class FileKey(Unpicklable):
    """Finds or creates the key of one file store.

    `origin` is `PASSPHRASE` or `KEY_FILE`; `passphrase` is the value of the variable `passphrase_env`, None if unset.
    """

    _directory: Path
    _origin: str
    _passphrase: Secret | None
    _passphrase_env: str
    _key_file: Path
    _known: bytes | None = field(default=None, init=False)

    @property
    def _info(self) -> StateFile:
        return StateFile(self._directory.parent, self._directory.name, "key.json")

    def find(self) -> bytes:
        """Return the key that the store was created with.

        Raises:
            StoreUnavailable: The key is missing or wrong.
        """
        if self._known is None:
            self._must_not_be_empty()
            info = self._read_info()
            if info is None:
                raise self._lost(f"{self._info.path} is missing")
            self._known = self._open(info)
        return self._known

    def make(self) -> bytes:
        """Return the key that the store was created with; create the store if it does not exist.

        Raises:
            StoreUnavailable: The key is missing or wrong, or cannot be created.
        """
        self._must_not_be_empty()
        if self._known is None and self._read_info() is None:
            if any(self._directory.glob("*.[01].*")):
                # The store has items but key.json is gone: a new salt would make them unreadable for good.
                return self.find()
            fresh = KeyInfo(kind=self._origin)
            if self._origin == KEY_FILE:
                create_private(self._key_file, _random(KEY_BYTES) + b"\n")
            check = _check(self._derive(fresh, self._passphrases[0]))
            # If another process was faster, its file wins, and `find` checks our key against it.
            self._info.create(asdict(fresh) | {"check": check})
        return self.find()

    def _read_info(self) -> KeyInfo | None:
        info = self._info.read(lambda members: KeyInfo(**members), self._refuse)
        # Bytes that scrypt writes (RFC 7914, section 2): limits both its memory and its time.
        cost = 0 if info is None else 128 * info.n * info.r * info.p
        if cost > MAX_MEMORY:
            raise self._lost(
                f"{self._info.path} requires {cost >> 20} MiB to derive the key from the passphrase, "
                f"more than the limit of {MAX_MEMORY >> 20} MiB"
            )
        return info

    def _open(self, info: KeyInfo) -> bytes:
        if info.kind != self._origin:
            action = "Set" if info.kind == PASSPHRASE else "Unset"
            raise StoreUnavailable(
                f"the file store was created with a {info.kind}, not with a {self._origin}",
                hint=f"{action} {self._passphrase_env}, or fix [stores.file] in config.toml",
                code="file-store-key-mismatch",
            )
        for passphrase in self._passphrases:
            key = self._derive(info, passphrase)
            # In constant time, like every comparison of what is derived from a secret.
            if hmac.compare_digest(_check(key).encode(), info.check.encode()):
                return key
        raise self._wrong()

    def _wrong(self) -> StoreUnavailable:
        source = f"in {self._passphrase_env}" if self._origin == PASSPHRASE else self._key_file
        return StoreUnavailable(
            f"the {self._origin} {source} is not the one that the file store was created with",
            hint=f"Use the original {self._origin}, or remove {self._directory} and sign in again",
            code="file-store-key-mismatch",
        )

    @property
    def _passphrases(self) -> tuple[Secret | None, ...]:
        """The passphrase without a newline at its end, which files often have; then as version 0.1 read it."""
        if self._passphrase is None:
            return (None,)
        exact = self._passphrase.reveal()
        line = exact.removesuffix("\n").removesuffix("\r")
        return (Secret(line), *([Secret(exact)] if line != exact else []))

    def _must_not_be_empty(self) -> None:
        """Refuse a passphrase without a character: whoever set the variable meant to have one."""
        if self._origin == PASSPHRASE and self._passphrase is not None and not _has_character(self._passphrase):
            raise StoreUnavailable(
                f"{self._passphrase_env} is set, but contains no passphrase",
                hint=f"Set {self._passphrase_env} to the passphrase of the file store; "
                "if it is meant to use a key file, unset the variable",
                code="file-store-passphrase-empty",
            )

    def _derive(self, info: KeyInfo, passphrase: Secret | None) -> bytes:
        if self._origin == KEY_FILE:
            return self._read_key_file()
        if passphrase is None:
            raise StoreUnavailable(
                "the passphrase of the file store is not set",
                hint=f"Set the environment variable {self._passphrase_env}",
                code="file-store-passphrase-missing",
            )
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        try:
            scrypt = Scrypt(base64.b64decode(info.salt), KEY_BYTES, info.n, info.r, info.p)
        except ValueError:
            raise self._damaged() from None
        # The exact bytes of the environment variable: encoding as UTF-8 could fail, with an error that quotes it all.
        return scrypt.derive(os.fsencode(passphrase.reveal()))

    def _read_key_file(self) -> bytes:
        data = read_private(self._key_file)
        if data is None:
            raise self._lost(f"the key file {self._key_file} is missing")
        try:
            key = base64.b64decode(data.strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise StoreUnavailable(
                f"{self._key_file} is not a valid key file",
                hint=f"Restore it from a backup; it must contain {KEY_BYTES} bytes in base64",
                code="file-store-key-unusable",
            )
        return key

    def _refuse(self, error: Exception) -> NoReturn:
        raise (error if isinstance(error, StoreUnavailable) else self._damaged()) from None

    def _damaged(self) -> StoreUnavailable:
        return self._lost(f"{self._info.path} is damaged")

    def _lost(self, flaw: str) -> StoreUnavailable:
        return StoreUnavailable(
            flaw,
            hint=f"Restore it from a backup, or remove {self._directory} and sign in again",
            code="file-store-key-unusable",
        )


def _has_character(passphrase: Secret) -> bool:
    """Return whether there is more than spaces, control and invisible characters; undecodable bytes count."""
    kinds = {unicodedata.category(character) for character in passphrase.reveal()}
    return bool(kinds - {"Cc", "Cf", "Zs", "Zl", "Zp"})


def _check(key: bytes) -> str:
    return hmac.digest(key, b"freshkey file store", "sha256").hex()


def _random(size: int) -> bytes:
    return base64.b64encode(secrets.token_bytes(size))
