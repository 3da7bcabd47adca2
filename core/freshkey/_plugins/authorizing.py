"""What authorizes in the headers and variables of a credential: not the names and identifiers beside it."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

from attrs import frozen

from freshkey._text.harmless import is_harmless
from freshkey.model.credential import Credential


_MIN_SECRET: Final = 8

_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_SCHEME: Final = re.compile(r"([A-Za-z][\w.-]*)[ \t]+(\S.*)", re.DOTALL)
_PAIR: Final = re.compile(r"([A-Za-z_][\w.-]*)\s*=\s*(?:\"([^\"]*)\"|([^\s,;&\"=][^\s,;&\"]*))")
_SIGNATURE: Final = re.compile(r".*(?:signature|sig|mac|response|digest)", re.IGNORECASE)
_SESSION: Final = re.compile(r".*(?:session|sess|sid|auth|token).*", re.IGNORECASE)
_BESIDE: Final = re.compile(
    r"(?:.*[_.-])?(?:id|ids|user|username|account|email|realm|client|nonce|uri|url|qop|algorithm|tenant|organization"
    r"|org|project|region|locale|lang|language|theme|version|scope|type|name|host|audience|credential|headers|opaque)",
    re.IGNORECASE,
)
"""Names of parameters and cookies that tell who, where or how."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@frozen
class Sent:
    """A header or variable for credentials, in parts: what authorizes, and what does if nothing in it is a `Secret`."""

    surely: tuple[str, ...]
    perhaps: tuple[str, ...] = ()
    whole: str = ""
    """What a `Secret` in it accounts for, whatever is beside that."""


def authorizing(credential: Credential, names_secret: Callable[[str], bool]) -> Iterator[Sent]:
    """Yield each header for credentials, and each variable that is named like one.

    A user name or an account beside a password does not authorize, nor do the parameters of a request that are signed.

    Args:
        credential: May have expired, or may sign each request.
        names_secret: Returns whether a name, with underscores between words, is that of a secret.
    """
    headers: dict[str, str] = {}
    environment: dict[str, str] = {}
    with suppress(Exception):
        headers = credential.headers()
    if not headers:
        with suppress(Exception):
            headers = credential.headers("GET", "https://example.com/", b"")
    with suppress(Exception):
        environment = credential.environment()
    for name, value in headers.items():
        if name.lower() == "cookie":
            yield _of_pairs(value)
        elif name.lower() in _HEADERS:
            yield _of_authorization(value)
        elif names_secret(name.replace("-", "_")) and not is_harmless(name, value):
            yield _of_value(value)
    for name, value in environment.items():
        if _URL.match(value) and (password := _password(value)):
            yield Sent((password,))
        elif names_secret(name) and not is_harmless(name, value):
            yield _of_value(value)


def _of_authorization(value: str) -> Sent:
    """Return the parts of a value of the header Authorization (RFC 9110, section 11.4)."""
    scheme = _SCHEME.fullmatch(value)
    rest = scheme[2] if scheme else value
    if scheme and scheme[1].lower() == "basic":
        with suppress(ValueError):
            rest = b64decode(rest.strip()).decode("latin-1")
        return _of_two(rest)
    if _PAIR.match(rest):
        return _of_pairs(rest)
    return _of_two(rest)


def _of_value(value: str) -> Sent:
    if _URL.match(value) or len(_PAIR.findall(value)) > 1:
        return _of_pairs(value)
    return _of_two(value) if _SCHEME.fullmatch(value) is None else _of_authorization(value)


def _of_two(value: str) -> Sent:
    """Return the password of a user, the signature of an account, or the one part that there is."""
    user, _, password = value.rpartition(":")
    parts = (password,) if len(password) >= _MIN_SECRET or not user else (user, password)
    return Sent((), parts, value)


def _of_pairs(value: str) -> Sent:
    pairs = {name: quoted or bare for name, quoted, bare in _PAIR.findall(value)}
    signed = tuple(text for name, text in pairs.items() if _SIGNATURE.fullmatch(name))
    if signed:
        return Sent(signed)
    sessions = {name: text for name, text in pairs.items() if _SESSION.fullmatch(name)}
    others = {name: text for name, text in pairs.items() if name not in sessions and not _BESIDE.fullmatch(name)}
    return Sent(tuple(sessions.values()), tuple(others.values()))


def _password(url: str) -> str:
    with suppress(ValueError):
        return unquote(urlsplit(url).password or "")
    return ""
