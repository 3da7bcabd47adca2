"""Finds leaked secrets, without quoting them."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

import attrs

from freshkey import Secret


_SHORTEST: Final = 8
"""Shorter strings can appear by chance."""

_URL_SAFE: Final = str.maketrans("+/", "-_")


def secrets_of(value: object) -> frozenset[str]:
    """Return every secret inside a credential (or other attrs value, list, tuple or mapping)."""
    return frozenset(_walk(value))


def leaks(text: str, secrets: Collection[str]) -> bool:
    """Return whether `text` contains one of `secrets`: plain, escaped for a URL or JSON, or inside base64 data."""
    return any(form in text for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret))


def assert_no_secret(text: str, secrets: Collection[str], where: str) -> None:
    """Fail if `text` contains one of `secrets`; the failure message says where, and quotes nothing.

    Raises:
        AssertionError: `text` contains a secret.
    """
    if leaks(text, secrets):  # not with `assert`: pytest would explain it by quoting the secret
        raise AssertionError(f"{where} holds a secret")


def _walk(value: object) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif attrs.has(kind := type(value)):
        for field in attrs.fields(kind):
            yield from _walk(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _walk(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for part in value:
            yield from _walk(part)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms a secret takes in a URL, in JSON, in a ``repr``, in hexadecimal, and in base64."""
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield from (quote(data, safe=""), quote_plus(data), data.hex(), repr(secret)[1:-1])
    yield from (json.dumps(secret, ensure_ascii=escaped)[1:-1] for escaped in (True, False))
    for before in range(3):
        # The bytes before it shift the base64 text; leave out characters that also encode bits of neighboring bytes.
        encoded = base64.b64encode(bytes(before) + data).decode()
        inner = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield inner
        yield inner.translate(_URL_SAFE)
