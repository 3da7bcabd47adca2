"""Recognizes values that are no secrets, although their name says so: a path, a URL, an error code, a region.

A mask in place of one hides what an error is about. See docs/decisions.md, "What is plainly no secret is shown".
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from freshkey.secret import looks_secret


_MAX_LENGTH: Final = 1024
_MAX_WORDS: Final = 64  # characters

_PASSWORD: Final = re.compile(r".*(?:pass|passwd|password|passphrase|pwd)s?[0-9]*", re.IGNORECASE | re.DOTALL)
_SECRET: Final = re.compile(r".*secrets?[0-9]*", re.IGNORECASE | re.DOTALL)
_STATES: Final = re.compile(
    r"absent|changed|default|denied|disabled|empty|enabled|error|expired|failed|false|hidden|incorrect|invalid|malformed"
    r"|mandatory|missing|mismatch|never|no|none|null|off|ok|on|optional|present|prompt|rejected|required|revoked|set"
    r"|true|undefined|unknown|unset|unsupported|valid|weak|wrong|yes",
    re.IGNORECASE,
)
"""Words that tell how it is with a secret; no one is called so."""

_PATH: Final = re.compile(r"(?:/|~[\w.-]{0,32}/|\.{1,2}/|[A-Za-z]:[\\/]|\\\\)[^\n]*|[~/]")
_FILE: Final = re.compile(
    r"[\w.-]{1,100}\.(?:cfg|conf|crt|der|env|ini|json|key|log|p12|pem|pfx|sock|toml|txt|xml|ya?ml)", re.ASCII
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}:(?://(?P<user>[^\s/?#@]{1,256}@)?)?(?P<rest>[^\s@]*)", re.IGNORECASE)
_PLAIN_SCHEMES: Final = ("urn:", "arn:", "file:", "unix:", "spiffe:")
_ARN: Final = re.compile(r"(?:arn:[a-z-]{2,20}|urn:[a-z0-9-]{1,32}):[\w+=,.@:/*-]{1,512}", re.IGNORECASE)
_UUID: Final = re.compile(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?P<user>[\w.+-]{1,64})@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]{5,18}(?:Z|[+-][\d:]{4,6})?)?")
_NUMBER: Final = re.compile(r"-?\d{1,6}(?:\.\d{1,6})?(?:ms|s|m|h|d|%|[KMG]i?B)?")
_FINGERPRINTS: Final = re.compile(r"(?:[0-9A-F]{40}\s*){1,16}")
_HAS_FINGERPRINT: Final = re.compile(r"(?:.*_)?(?:gpg|pgp|fingerprint|thumbprint)(?:_.*)?", re.IGNORECASE | re.DOTALL)

_BETWEEN_WORDS: Final = re.compile(r"[-_./:\[\]]")
_WORD: Final = re.compile(r"((?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20}|(?:[A-Z][a-z]{1,20}){2,6}))([0-9]{0,3})")
_MIN_WORD: Final = 3  # letters
_PLAIN_BASE64: Final = re.compile(r"[\w+/=-]{20,}", re.ASCII)
_CHANGES: Final = 10
"""Changes between upper case, lower case and digits; forty random characters have about 20, a path few."""


def is_harmless(name: str, value: str, *, quoted: bool = False) -> bool:
    """Return whether a value is plainly no secret, whatever it is called.

    Args:
        name: What the value is called: a password can be any word, a token or a key cannot.
        value: Without quotation marks.
        quoted: It was in quotation marks, as JSON has strings: then one lower-case word may be a secret, too.
    """
    value = value.strip()
    if len(value) > _MAX_LENGTH:
        return False
    if _STATES.fullmatch(value) or _UUID.fullmatch(value) or _DATE.fullmatch(value) or _NUMBER.fullmatch(value):
        return True
    if _HAS_FINGERPRINT.fullmatch(name) and _FINGERPRINTS.fullmatch(value):
        return True
    if _PASSWORD.fullmatch(name) and not re.search(r"[/\\]|\.\w{3,4}\Z", value):
        return False  # it may be words
    return _is_place(value) or _is_words(value, name, quoted=quoted)


def _is_place(value: str) -> bool:
    """Return whether it is a path, or a URL that grants nothing."""
    if _PATH.fullmatch(value):
        # Base64 may begin with a slash, too.
        return not _PLAIN_BASE64.fullmatch(value) or not is_random(value)
    if _ARN.fullmatch(value) or (_FILE.fullmatch(value) and not looks_secret(value)):
        return True
    if address := _ADDRESS.fullmatch(value):
        return is_name_of_user(address["user"])
    url = _URL.fullmatch(value)
    if url is None or not ("://" in value or value.lower().startswith(_PLAIN_SCHEMES)):
        return False
    return not (url["user"] and not is_name_of_user(url["user"][:-1])) and not looks_secret(url["rest"])


def is_name_of_user(user: str) -> bool:
    """Return whether what is before the ``@`` of a URL is only a name, not a password or a token."""
    return not user or (":" not in user and (len(user) < 16 or _is_words(user, "")) and not looks_secret(user))  # noqa: PLR2004


def _is_words(value: str, name: str, *, quoted: bool = False) -> bool:
    """Return whether it is made of words and short numbers: ``us-east-1``, ``invalid_grant_2026``, ``NoSuchKey``."""
    if len(value) > _MAX_WORDS or looks_secret(value):
        return False
    parts = [part for part in _BETWEEN_WORDS.split(value) if part]
    words = [_WORD.fullmatch(part) for part in parts if not part.isdecimal()]
    longest = 12 if "/" in value else 4  # digits: of an account in a resource's name; otherwise of a year or a port
    if not words or not all(words) or any(len(part) > longest for part in parts if part.isdecimal()):
        return False
    found = [word for word in words if word]
    # A password may be a word with a number, and a generated key has a few letters and digits between its hyphens.
    if sum(bool(word[2]) for word in found) > 1 or not any(_is_word(word[1]) for word in found):
        return False
    if _PASSWORD.fullmatch(name) or _SECRET.fullmatch(name):
        return "/" in value
    is_several = len(parts) > 1 or (value.isalpha() and len(re.findall(r"[A-Z][a-z]", value)) > 1)
    return is_several or (not quoted and all(_is_word(word[1]) for word in found))


def _is_word(letters: str) -> bool:
    """Return whether letters can be read: in camel case, its words are not too short."""
    return len(letters) >= _MIN_WORD * max(1, len(re.findall(r"[A-Z](?=[a-z])", letters)))


def is_random(word: str) -> bool:
    """Return whether upper case, lower case and digits change as in something random."""
    kinds = ["u" if each.isupper() else "l" if each.islower() else "d" for each in word if each.isalnum()]
    changes = sum(one != other for one, other in pairwise(kinds))
    return set(kinds) == {"u", "l", "d"} and changes >= _CHANGES
