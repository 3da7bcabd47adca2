"""The key of the encrypted file store: from a passphrase or from a key file, and recognized when it is a wrong one."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, Final, NoReturn

from attrs import asdict, define, field, frozen
from attrs.validators import ge, in_, instance_of, le, not_

from freshkey._files.private import create_private, read_private
from freshkey._files.state_file import StateFile
from freshkey.errors import StoreUnavailable
from freshkey.secret import Secret


KEY_BYTES: Final = 32
COST: Final = 1 << 17
"""N of scrypt for new stores: 128 MiB for one guess, as OWASP recommends with r = 8 and p = 1."""

MAX_MEMORY: Final = 1 << 28
"""Bytes that scrypt may take: 256 MiB, twice what new stores need. It takes 128 · N · r, p times over in time."""

PASSPHRASE, KEY_FILE = "passphrase", "key file"


def _at_most(most: int) -> list[Any]:
    return [instance_of(int), not_(instance_of(bool)), ge(1), le(most)]


@frozen(kw_only=True)
class KeyInfo:
    """What is stored beside the encrypted items so that the right key is found again; nothing secret.

    The parameters of scrypt (RFC 7914) are stored so that they can grow, and bounded so that nobody can make reading
    them take all memory. `salt` is base64, `n` a power of two, and `check` a keyed hash that only the right key gives.
    """

    kind: str = field(validator=in_((PASSPHRASE, KEY_FILE)))
    salt: str = field(factory=lambda: _random(16).decode("ascii"), validator=instance_of(str))
    n: int = field(factory=lambda: COST, validator=_at_most(1 << 20))
    r: int = field(default=8, validator=_at_most(32))
    p: int = field(default=1, validator=_at_most(16))
    check: str = field(default="", validator=instance_of(str))
    schema: int = field(default=1, validator=in_((1,)))


@define(kw_only=True, eq=False, repr=False)
class FileKey:
    """Finds the key of one file store, or makes it.

    `origin` is `PASSPHRASE` or `KEY_FILE`; `passphrase` is what `passphrase_env` holds, None if that is unset.
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
        """Return the key with which the store was begun.

        Raises:
            StoreUnavailable: It is not here, or another one is.
        """
        if self._known is None:
            info = self._read_info()
            if info is None:
                raise self._lost(f"{self._info.path} is missing")
            self._known = self._open(info)
        return self._known

    def make(self) -> bytes:
        """Return the key with which the store was begun; begin it where that is still to be done.

        Raises:
            StoreUnavailable: There is none, and none can be made.
        """
        if self._known is None and self._read_info() is None:
            if any(self._directory.glob("*.[01].*")):
                # A new salt would make what is there unreadable for good.
                return self.find()
            fresh = KeyInfo(kind=self._origin)
            if self._origin == KEY_FILE:
                create_private(self._key_file, _random(KEY_BYTES) + b"\n")
            check = _check(self._derive(fresh))
            # Where another process was quicker, its file stays and decides.
            self._info.create(asdict(fresh) | {"check": check})
        return self.find()

    def _read_info(self) -> KeyInfo | None:
        info = self._info.read(lambda members: KeyInfo(**members), self._refuse)
        # Bytes that scrypt writes (RFC 7914, section 2): a bound of its memory and a measure of its time.
        cost = 0 if info is None else 128 * info.n * info.r * info.p
        if cost > MAX_MEMORY:
            raise self._lost(
                f"{self._info.path} asks for {cost >> 20} MiB of work to make the key from the passphrase, "
                f"more than the {MAX_MEMORY >> 20} MiB that a file store may"
            )
        return info

    def _open(self, info: KeyInfo) -> bytes:
        if info.kind != self._origin:
            wanted = f"set {self._passphrase_env}" if info.kind == PASSPHRASE else f"unset {self._passphrase_env}"
            raise StoreUnavailable(
                f"the file store was begun with a {info.kind}, not with a {self._origin}",
                hint=f"Give it that: {wanted}, or correct [stores.file]",
            )
        key = self._derive(info)
        if not hmac.compare_digest(_check(key).encode(), info.check.encode()):
            source = self._passphrase_env if self._origin == PASSPHRASE else self._key_file
            raise StoreUnavailable(
                f"the {self._origin} in {source} is not the one that the file store was begun with",
                hint="Give it that one; nothing was overwritten",
            )
        return key

    def _derive(self, info: KeyInfo) -> bytes:
        if self._origin == KEY_FILE:
            return self._read_key_file()
        if self._passphrase is None:
            raise StoreUnavailable(
                "the file store needs its passphrase", hint=f"Set the environment variable {self._passphrase_env}"
            )
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        try:
            scrypt = Scrypt(base64.b64decode(info.salt), KEY_BYTES, info.n, info.r, info.p)
        except ValueError:
            raise self._damaged() from None
        # As the environment had it: bytes that are no text there must not end in an error, which would quote all.
        return scrypt.derive(os.fsencode(self._passphrase.reveal()))

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
                f"{self._key_file} is no key file", hint=f"It has {KEY_BYTES} random bytes, written in base64"
            )
        return key

    def _refuse(self, error: Exception) -> NoReturn:
        raise (error if isinstance(error, StoreUnavailable) else self._damaged()) from None

    def _damaged(self) -> StoreUnavailable:
        return self._lost(f"{self._info.path} is damaged")

    def _lost(self, flaw: str) -> StoreUnavailable:
        return StoreUnavailable(flaw, hint=f"Bring it back, or remove {self._directory} and sign in again")


def _check(key: bytes) -> str:
    return hmac.digest(key, b"freshkey file store", "sha256").hex()


def _random(size: int) -> bytes:
    return base64.b64encode(secrets.token_bytes(size))
