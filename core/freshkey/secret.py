"""A string that cannot be shown by accident."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType
from typing import Final, NoReturn, TypeGuard, final


MAX_TOKEN: Final = 65536
"""Default maximum length of a secret, in characters."""

_made = threading.local()
MAX_NAME: Final = 80
"""Longest name in characters that is shown."""

FAMILIES: Final = (
    (r"sk-ant-[a-z]{2,10}\d{2}-", "", r"[\w-]{6,}"),
    (r"[spr]k[-_](?:ant|proj|live|test|svcacct|or)[-_]", "", r"(?=[\w-]{0,128}\d)[\w-]{16,}"),
    (r"[spr]k-", r"[A-Za-z0-9]{12}", r"(?=[\w-]{0,128}\d)[\w-]{20,}"),
    (r"[a-z]{2,16}-api-key-", r"(?=[\w+/=-]{0,128}\d)[\w+/=-]{16,}", r"(?=[\w+/=-]{0,128}\d)[\w+/=-]{16,}"),
    (r"ABSK", r"[A-Za-z0-9+/]{8}", r"[\w+/=-]{16,}"),
    (r"A[KS]IA", r"[A-Z0-9]{8}", r"(?=[A-Z2-7]{0,32}[2-7])[A-Z2-7]{12,}"),
    (r"ya29\.", "", r"[\w.-]{10,}"),
    (r"1//", r"[\w-]{6}", r"[\w-]{20,}"),
    (r"AIza", r"[\w-]{8}", r"[\w-]{30,}"),
    (r"GOCSPX-", "", r"[\w-]{10,}"),
    (r"gh[pousr]_", "", r"\w{16,}"),
    (r"github_pat_", "", r"\w{20,}"),
    (r"xox[a-z]-", "", r"[\w-]{10,}"),
    (r"glpat-", "", r"[\w-]{16,}"),
    (
        r"eyJ(?:hbGciOiJ|0eXAiOiJ|raWQiOiJ)?",
        r"[\w-]{6}",
        r"(?:[\w-]{17,}(?:\.[\w-]*){0,4}|[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){0,3})",
    ),
)
"""Families of secrets, as expressions: what all of a family begin with, how much after that is enough in a place for a
name or a path, and how much in prose, where more is needed because part of it can be there by chance."""

_KNOWN_SECRETS: Final = re.compile(
    rf"(?<![A-Za-z0-9])(?:{'|'.join(f'{begins}{rest}' for begins, rest, _ in FAMILIES)})|-----BEGIN|%7B"
)
_RUN: Final = re.compile(r"[A-Za-z0-9+=%]{20,}|[A-Za-z0-9_+=%~-]{12,}")
_LONG_WORD: Final = 20
_LONG: Final = 24
"""Characters from which on a word, or several that are joined, are long enough to tell randomness by few switches."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SWITCH: Final = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])")
_MIN_SWITCHES: Final = 3
_NAME: Final = re.compile(r"[\w.@+:/=, -]+")


@final
class Secret:
    """Wraps a secret string; only `reveal` returns it.

    ``repr``, ``str``, ``format``, f-strings and log records show ``Secret(…)``; whatever serializes it fails, or keeps
    the object; comparison takes constant time. Searching for ``reveal()`` finds every place that uses a secret.
    """

    __slots__ = ("_cell",)

    _cell: CellType

    def __init__(self, value: str) -> None:
        # Serializers and inspectors that read the slots of any object find a cell, which shows only its address.
        object.__setattr__(self, "_cell", CellType(value))
        made: list[Secret] | None = getattr(_made, "here", None)
        if made is not None:
            made.append(self)

    def reveal(self) -> str:
        """Return the secret itself."""
        value: str = self._cell.cell_contents
        return value

    def last_four(self) -> str | None:
        """Return the last four characters, to tell keys apart; None if the secret is too short to show that much."""
        return value[-4:] if len(value := self.reveal()) >= 20 else None  # noqa: PLR2004  four of twenty: one fifth

    def fingerprint(self) -> str:
        """Return a hash that identifies the secret later, and from which it cannot be computed.

        A guess can be checked against it, so it is stored only where its owner can read it, and never shown.
        """
        value = self.reveal().encode("utf-8", "surrogatepass")
        return hashlib.sha256(b"freshkey fingerprint\0" + value).hexdigest()[:32]

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Unpaired surrogates must not raise: a UnicodeEncodeError contains the whole string.
        one, another = (secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other))
        # In constant time, so that how long a comparison takes does not reveal how much of a value is right.
        return hmac.compare_digest(one, another)

    def __hash__(self) -> int:
        # Needed because frozen credentials are hashable; salted per process (PYTHONHASHSEED), and never printed.
        return hash(self.reveal())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret is immutable")

    def __reduce_ex__(self, protocol: object = None) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; call reveal() if you really need the string")

    # Each is called by some serializer without the others.
    __reduce__ = __getstate__ = __getnewargs__ = __getnewargs_ex__ = __reduce_ex__

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("Secret cannot be subclassed: a subclass could show it")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class Unpicklable:
    """Base of classes that hold secrets as plain text, such as a request's body: they cannot be pickled.

    Their attrs classes are declared with ``getstate_setstate=False``.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object = None) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: it may contain a secret")

    __reduce__ = __getstate__ = __reduce_ex__


@contextmanager
def secrets_made(made: list[Secret]) -> Iterator[None]:
    """Add every secret that this thread makes meanwhile to a list, so that what it says can be searched for them."""
    around = getattr(_made, "here", None)
    _made.here = made
    try:
        yield
    finally:
        _made.here = around


def is_token(value: object, longest: int = MAX_TOKEN) -> TypeGuard[str]:
    """Return whether a value can be sent in a header as a token: visible ASCII (RFC 6750, section 2.1), not empty.

    Args:
        value: Any value; only a string can be a token.
        longest: Maximum length in characters.
    """
    return isinstance(value, str) and 0 < len(value) <= longest and all("!" <= character <= "~" for character in value)


def is_jwt(text: str) -> bool:
    """Return whether a text has the form of a signed JSON Web Token (RFC 7515, section 3.1).

    It has three parts in base64url, and the first is a JSON object. Nothing is verified; but a private key, a file of
    credentials, or another secret that is named by mistake or by malice is not one.
    """
    import base64
    import binascii
    import json

    parts = text.split(".")
    if len(parts) != 3 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in parts):  # noqa: PLR2004
        return False
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))), dict)
    except (binascii.Error, ValueError, RecursionError):
        return False


# --- what is not a secret, and must not look like one -----------------------------------------------------------------


def shown_name(text: str) -> str | None:
    """Return a name, such as that of a profile or a setting, if it can be shown; None for what may be a secret."""
    plain = 0 < len(text) <= MAX_NAME and text.isprintable() and _NAME.fullmatch(text)
    return text if plain and not looks_secret(text) else None


def is_implausible(text: str, longest: int = MAX_NAME) -> bool:
    """Return whether a text in the place of a name or path is probably a secret, or something else altogether."""
    inner = text.strip()
    braces = "{" in inner.replace("${", "")
    return len(inner) > longest or not inner.isprintable() or braces or looks_secret(inner)


def quoted(text: str) -> str:
    """Return a name in quotation marks, or words in its place if it may be a secret."""
    return "(not shown)" if text and shown_name(text) is None else repr(text)


def looks_secret(text: str) -> bool:
    """Return whether some part of a text looks like a key or a token: by how it begins, or by its random characters."""
    return bool(_KNOWN_SECRETS.search(text) or any(map(_is_random, _RUN.findall(_UUID.sub("", text)))))


def _is_random(run: str) -> bool:
    """Return whether letters and digits alternate, unlike in AdministratorAccess-123456789012."""
    switches = len(_SWITCH.findall(run))
    if len(run) >= (_LONG if {*"_~-"} & {*run} else _LONG_WORD):
        return switches >= _MIN_SWITCHES
    # Of what is short, a name such as that of a commit or a container has one case.
    return 2 * switches >= len(run) and not (run.islower() or run.isupper())
