"""A string that nobody shows by accident."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn, TypeGuard, final


MAX_TOKEN: Final = 65536
"""Characters that a secret may have, unless the caller says otherwise."""


@final
class Secret:
    """Wraps a secret string; only `reveal` gives it back.

    ``repr``, ``str``, ``format``, f-strings and log records show ``Secret(…)``; pickling and JSON refuse;
    comparison takes constant time. Whoever writes ``reveal()`` can be found by a search for that word.
    """

    __slots__ = ("_value",)

    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def last_four(self) -> str | None:
        """Return the last four characters, for people to tell keys apart; None where that would be a large part."""
        return self._value[-4:] if len(self._value) >= 20 else None  # noqa: PLR2004  four of twenty: one fifth

    def fingerprint(self) -> str:
        """Return what recognizes the secret when it is seen again, and from which it cannot be computed.

        A guess can be checked against it, so it is kept where only its owner reads; it is not shown.
        """
        value = self._value.encode("utf-8", "surrogatepass")
        return hashlib.sha256(b"freshkey fingerprint\0" + value).hexdigest()[:32]

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Lone surrogates must not raise: UnicodeEncodeError carries the whole string.
        one, another = (secret._value.encode("utf-8", "surrogatepass") for secret in (self, other))  # noqa: SLF001
        return hmac.compare_digest(one, another)

    def __hash__(self) -> int:
        # Salted per process by PYTHONHASHSEED, never printed, and needed because frozen credentials are hashable.
        return hash(self._value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied: pass the credential itself, or reveal() it on purpose")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def is_token(value: object, longest: int = MAX_TOKEN) -> TypeGuard[str]:
    """Tell whether a header may carry a value as a credential: visible ASCII (RFC 6750, section 2.1), and not empty.

    Args:
        value: Anything; what is no text is no token.
        longest: Characters that it may have.
    """
    return isinstance(value, str) and 0 < len(value) <= longest and all("!" <= character <= "~" for character in value)
