"""Whether a provider's credential classes hide their secrets: checked when it is loaded, and for what it acquires."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import attrs

from freshkey.model import credential as model
from freshkey.model.credential import Credential
from freshkey.secret import Secret


_SECRET_WORDS: Final = frozenset(
    {"token", "key", "secret", "password", "passwd", "passphrase", "pwd", "pat", "jwt", "bearer", "cookie", "assertion"}
    | {"apikey", "accesskey", "secretkey", "authtoken", "accesstoken", "refreshtoken", "verifier", "signature"}
)
_HARMLESS_ENDINGS: Final = frozenset(
    {"id", "ids", "type", "kind", "name", "url", "uri", "endpoint", "host", "file", "path", "header", "scope", "scopes"}
    | {"hash", "fingerprint", "hint", "prefix", "version", "lifetime", "expiry", "expires", "ttl", "at", "in", "for"}
    | {"count", "source", "format", "usage", "term"}
)
"""Last words of names that tell something about a secret, such as ``access_key_id`` or ``token_type``."""

_TEXT: Final = re.compile(r"\b(?:str|bytes|bytearray|Any|object|dict|list|tuple|Mapping|Sequence)\b")

_MIN_SECRET: Final = 8
"""Shorter values also occur in a representation by chance."""


def flaw_of_format(kind: object) -> str | None:
    """Return why a class of `Description.formats` could show a secret, as a fragment to follow its name, or None.

    A field whose name says that it holds a secret must be a `Secret`; ``repr=False`` is not enough: serializers,
    debuggers and error reporters show fields too.
    """
    if not isinstance(kind, type) or not issubclass(kind, Credential):
        return None  # reported by `freshkey._renewal.context`, with all formats
    declared = {field.name: field.type for field in attrs.fields(kind)}
    for base in kind.__mro__:  # a class that is not decorated has annotations only
        declared = {**inspect.get_annotations(base), **declared}
    for name, annotation in declared.items():
        if not _is_ours(kind, name) and _holds_text(annotation) and _names_secret(name):
            return f"has the field {name!r}, which must be a freshkey.plugin.Secret"
    return None


def flaw_of_credential(credential: Credential) -> str | None:
    """Return how a credential shows a secret although its class looks right, as a fragment, or None."""
    sent = set(_authorizing(credential))
    for field in attrs.fields(type(credential)):
        if _is_ours(type(credential), field.name):
            continue
        plain = [value for value in _values(getattr(credential, field.name)) if isinstance(value, str | bytes)]
        if any((value.decode("latin-1") if isinstance(value, bytes) else value) in sent for value in plain):
            return f"authorizes requests with its field {field.name!r}, which must be a freshkey.plugin.Secret"
    secrets = {value.reveal() for value in _values(credential) if isinstance(value, Secret)}
    with suppress(Exception):
        shown = f"{credential!r} {credential!s} {credential}"
        if any(secret in shown for secret in sent | secrets if len(secret) >= _MIN_SECRET):
            return "shows its secret in repr() or str()"
    return None


def _is_ours(kind: type, name: str) -> bool:
    """Return whether a field is one of freshkey's own classes, unchanged."""
    owner = next((base for base in kind.__mro__ if name in getattr(base, "__annotations__", {})), kind)
    return owner.__module__ == model.__name__


def _holds_text(annotation: object) -> bool:
    described = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    described = described if annotation in {str, bytes} else str(annotation)
    if annotation is None or re.search(r"\bSecret\b", described):
        return annotation is None
    inner = getattr(annotation, "__supertype__", None)  # of a NewType
    return bool(_TEXT.search(described)) or inner in {str, bytes}


def _names_secret(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = [word.rstrip("0123456789") for word in spaced.split("_") if word]
    if not words or words[-1] in _HARMLESS_ENDINGS:
        return False
    return any(word in _SECRET_WORDS or word.removesuffix("s") in _SECRET_WORDS for word in words)


def _values(value: object) -> Iterator[object]:
    """Yield the strings, bytes and secrets in a field's value."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _values(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _values(part)
    elif attrs.has(kind := type(value)):
        for field in attrs.fields(kind):
            yield from _values(getattr(value, field.name))
    else:
        yield value


def _authorizing(credential: Credential) -> Iterator[str]:
    """Yield what authorizes: the value of a header for credentials, and of variables that are named like secrets."""
    headers: dict[str, str] = {}
    environment: dict[str, str] = {}
    with suppress(Exception):  # it may have expired, or sign each request
        headers = credential.headers()
    with suppress(Exception):
        environment = credential.environment()
    for name, value in headers.items():
        if name.lower() in {"authorization", "proxy-authorization", "cookie"}:
            yield value.partition(" ")[2] or value
        elif _names_secret(name.replace("-", "_")):
            yield value
    for name, value in environment.items():
        if _names_secret(name):
            yield value
