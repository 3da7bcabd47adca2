"""Whether a provider's credential classes hide their secrets: checked when it is loaded, and for what it acquires."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import unquote_plus

import attrs

from freshkey._plugins.authorizing import Sent, authorizing
from freshkey._text.redact import occurs
from freshkey.model import credential as model
from freshkey.model.credential import Credential
from freshkey.secret import Secret


_SECRET_WORDS: Final = frozenset(
    {"token", "secret", "password", "passwd", "passphrase", "pwd", "pat", "jwt", "bearer", "cookie", "assertion"}
    | {"apikey", "accesskey", "secretkey", "authtoken", "accesstoken", "refreshtoken", "verifier", "signature"}
    | {"key", "pass", "passcode", "credential", "privatekey", "pem", "sessiontoken", "idtoken"}
)
_HARMLESS_ENDINGS: Final = frozenset(
    {"id", "ids", "type", "kind", "name", "url", "uri", "endpoint", "host", "file", "path", "header", "scope", "scopes"}
    | {"hash", "fingerprint", "hint", "prefix", "version", "lifetime", "expiry", "expires", "ttl", "at", "in", "for"}
    | {"count", "source", "format", "usage", "term"}
)
"""Last words of names that tell something about a secret, such as ``access_key_id`` or ``token_type``."""

_NOT_ITSELF: Final = frozenset({"value", "text", "data", "raw", "string", "str", "plain", "plaintext", "bytes", "json"})
"""Last words that do not change what the word before them says: ``token_value`` is the token."""

_SHOWN_TO_ALL: Final = frozenset({"public", "verifying", "verification", "partition", "primary", "foreign", "sort"})
"""What comes before ``key`` in the name of one that is no secret."""

_TEXT: Final = re.compile(r"\b(?:str|bytes|bytearray|Any|object|dict|list|tuple|Mapping|Sequence)\b")

_AUTHORIZATION: Final = re.compile(
    r"(?:.*_)?(?:auth|authorization|session|sid|creds?|credentials?|sig|hmac)", re.IGNORECASE
)
"""Further names of headers and variables for credentials."""

_PLACES: Final = re.compile(
    r"(?:.*_)?(?:account|user|username|email|tenant|project|region|zone|location|organization|org|profile|domain"
    r"|subscription|resource|audience|issuer|environment|model|label|title|address|role|arn)",
    re.IGNORECASE,
)

_MIN_SECRET: Final = 8
"""Shorter values also occur in a representation by chance."""

_MIN_ANY: Final = 4
_MIN_LONG: Final = 16
"""Shorter values also occur in names by chance."""


def unhidden_field(credential: Credential) -> str | None:
    """Return the name of a field that holds something else than the `Secret` that it is declared to hold, or None."""
    for each in attrs.fields(type(credential)):
        declared = re.search(r"\bSecret\b", str(each.type))
        if declared and not isinstance(getattr(credential, each.name), Secret | None):
            return str(each.name)
    return None


def flaw_of_format(kind: object) -> str | None:
    """Return why a class of `Description.formats` could show a secret, as a fragment to follow its name, or None.

    A field whose name says that it holds a secret must be a `Secret`; ``repr=False`` is not enough: serializers,
    debuggers and error reporters show fields too. A name is taken by its end: a ``token_audience`` is an audience.
    With ``metadata={"secret": False}`` a field says that it holds none, whatever it is called.
    """
    if not isinstance(kind, type) or not issubclass(kind, Credential):
        return None  # reported by `freshkey._renewal.context`, with all formats
    marks: dict[str, Mapping[object, object]] = {field.name: field.metadata for field in attrs.fields(kind)}
    marks |= {name: field.metadata for name, field in getattr(kind, "__dataclass_fields__", {}).items()}
    public = {name for name, metadata in marks.items() if metadata.get("secret") is False}
    declared = {field.name: field.type for field in attrs.fields(kind)}
    for base in kind.__mro__:  # a class that is not decorated has annotations only
        declared = {**inspect.get_annotations(base), **declared}
    for name, annotation in declared.items():
        if name not in public and not _is_ours(kind, name) and _holds_text(annotation) and _names_secret(name):
            return (
                f"has the field {name!r}, which must be a freshkey.plugin.Secret, or be marked with "
                "metadata={'secret': False} if it holds no secret"
            )
    return None


def flaw_of_credential(credential: Credential) -> str | None:
    """Return how a credential shows a secret although its class looks right, as a fragment, or None."""
    secrets = {value.reveal() for value in _values(credential) if isinstance(value, Secret)} - {""}
    plain = {
        field.name: [text for value in _values(getattr(credential, field.name)) if (text := _text(value))]
        for field in attrs.fields(type(credential))
        if not _is_ours(type(credential), field.name)
    }
    sent = [part for each in authorizing(credential, _names_authorization) for part in _without_secret(each, secrets)]
    for name, texts in plain.items():
        if any(_gives_away(text, part, signs=bool(secrets)) for text in texts for part in sent) or any(
            secret in text for secret in secrets for text in texts if len(secret) >= _MIN_LONG
        ):
            return f"authorizes requests with its field {name!r}, which must be a freshkey.plugin.Secret"
    with suppress(Exception):
        renewing = credential.renewal_secret
        for name, texts in plain.items():
            if renewing is not None and any(_is_long(text) and text in renewing.reveal() for text in texts):
                return f"is renewed with its field {name!r}, which must be a freshkey.plugin.Secret"
    if not secrets and any(len(part) >= _MIN_SECRET for part in sent):
        may_be = [name for name, texts in plain.items() if not _tells(name) and any(map(_is_long, texts))]
        if may_be:
            return f"authorizes requests without a freshkey.plugin.Secret, with {', '.join(map(repr, may_be))}"
    with suppress(Exception):
        shown = f"{credential!r} {credential!s} {credential}"
        if any(secret in shown for secret in secrets.union(sent) if len(secret) >= _MIN_SECRET) or any(
            occurs(secret, shown) for secret in secrets if len(secret) >= _MIN_LONG
        ):
            return "shows its secret in repr() or str()"
    return None


def _without_secret(sent: Sent, secrets: set[str]) -> list[str]:
    """Return the parts of a header or variable that authorize, and that no `Secret` accounts for."""
    if any(secret in sent.whole for secret in secrets if len(secret) >= _MIN_ANY):
        return []
    parts = [*sent.surely, *sent.perhaps]
    left = [part for part in parts if not any(_is_made_of(secret, part) for secret in secrets)]
    return left if len(left) == len(parts) else [part for part in left if part in sent.surely]


def _is_made_of(secret: str, part: str) -> bool:
    if secret == part:
        return True
    if len(secret) < _MIN_SECRET or not part:
        return False
    return secret in part or (len(part) >= _MIN_SECRET and part in secret) or occurs(secret, part)


def _gives_away(text: str, part: str, *, signs: bool) -> bool:
    """Return whether a plain text is, or has, or makes up, what authorizes, in whatever encoding.

    What a secret signs may name the account, as a JSON Web Token does, so that a small part of it says nothing.
    """
    if text == part:
        return True
    if not _is_long(text) or not _is_long(part):
        return False
    small = signs and len(text) * 3 < len(part)
    makes_up = text in part or text in unquote_plus(part) or occurs(text, part)
    return part in text or occurs(part, text) or (makes_up and not small)


def _is_long(text: str) -> bool:
    return len(text) >= _MIN_SECRET


def _text(value: object) -> str:
    """Return a plain value as text, or an empty text for a value that is none, or no secret."""
    if isinstance(value, bytes | bytearray):
        return value.decode("latin-1")
    return str(value) if isinstance(value, str) or type(value) is int else ""


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
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    words = [word for each in re.split(r"[_-]", spaced) if (word := each.rstrip("0123456789"))]
    while len(words) > 1 and words[-1] in _NOT_ITSELF:
        words.pop()
    if not words or (words[-1].removesuffix("s") not in _SECRET_WORDS and words[-1] not in _SECRET_WORDS):
        return False
    return not (words[-1] in {"key", "keys"} and len(words) > 1 and words[-2] in _SHOWN_TO_ALL)


def _names_authorization(name: str) -> bool:
    """Return whether a header or variable may hold a secret: a product comes last in names such as TOKEN_ACME."""
    words = re.split(r"[_-]", name.lower())
    named = words[-1] not in _HARMLESS_ENDINGS and any(map(_names_secret, words))
    return named or bool(_AUTHORIZATION.fullmatch(name))


def _tells(name: str) -> bool:
    """Return whether a field is named after something that is in headers and variables beside a secret."""
    return bool(_PLACES.fullmatch(name)) or name.lower().split("_")[-1] in _HARMLESS_ENDINGS


def _values(value: object) -> Iterator[object]:
    """Yield the strings, bytes and secrets in a field's value."""
    if isinstance(value, Mapping):
        for part in (*value.keys(), *value.values()):
            yield from _values(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _values(part)
    elif attrs.has(kind := type(value)):
        for field in attrs.fields(kind):
            yield from _values(getattr(value, field.name))
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _values(getattr(value, each.name))
    else:
        yield value
