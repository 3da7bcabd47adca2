"""Recognizes what looks like a secret: a token of a known family, a key file, a password in a URL or an assignment.

Each expression takes linear time: none has a repetition inside a repetition, and all are tried on short texts.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Final

from freshkey.secret import FAMILIES


PUBLIC_PREFIX: Final = re.compile("|".join([*(begins for begins, _, _ in FAMILIES), "Bearer", "Basic"]))
"""What every secret of a family begins with, so that it says nothing about this one."""

_UNMISTAKABLE: Final = ("sk-ant-", "github_pat_", "GOCSPX-")
"""How families begin that are found even behind a letter."""

_PEM: Final = r"-----BEGIN [A-Z ]{0,40}KEY-----(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]{0,40}KEY-----)?"

_USER_OF_URL: Final = r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{1,20}://)[^\s/?#@\"'<>]{1,512}@"

# After one of these words, the next one is a token if it has a digit, or both cases inside: "basic authentication" not.
_SCHEME: Final = (
    r"(?P<auth>\b(?:bearer|basic|dpop)(?:\s|%20|\+)+)(?=[\w.~+/-]{0,512}[0-9]|[\w.~+/-]{20})[\w.~+/-]{8,}=*"
)

_NAME: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|(?:client|consumer|app)?[_-]?secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key"
    r"|(?:access|refresh|id|session|security|auth|bearer|api|identity|subject|csrf)?[_-]?token|private[_-]?key"
    r"|client[_-]?assertion|code[_-]?verifier|device[_-]?code|credentials?|authorization|cookie)"
)
_QUOTED: Final = r"\"(?:[^\"\\\n]|\\.){1,4096}\"|'(?:[^'\\\n]|\\.){1,4096}'"
_ASSIGNED: Final = (
    rf"(?P<name>(?<![A-Za-z0-9]){_NAME}(?:\\?[\"'])?(?:=|%3[Dd]|\s?=\s))"
    rf"(?P<value>{_QUOTED}|[^\s&\"'<>;,)]+)"
)
_MEMBER: Final = (
    rf"(?P<member>(?<![A-Za-z0-9]){_NAME}\\?[\"']?\s?:\s?(?:(?:bearer|basic)\s)?)"
    r"(?P<kept>\\?\"[^\"\\\n]{1,4096}\\?\"|'[^'\\\n]{1,4096}'|(?=[^\s&\"'<>;,)]{0,128}\d)[^\s&\"'<>;,)]{8,})"
)

_NO_VALUE: Final = {"None", "null", "VALUE", "Secret(…)"}

_AWS_SECRET: Final = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9+][A-Za-z0-9/+]{39}(?![\w/+=.-])")
_CHANGES: Final = 10
"""Changes between upper case, lower case and digits; forty random characters have about 20, a path few."""


def without_shapes(text: str, mask: str) -> str:
    """Return text with everything that looks like a secret replaced by a mask."""

    def hide(hit: re.Match[str]) -> str:
        kept = hit["scheme"] or hit["auth"] or hit["name"] or hit["member"] or ""
        if hit["name"] and _is_harmless(hit["value"]):
            return hit[0]
        return f"{kept}{mask}" + ("@" if hit["scheme"] else "")

    text = _shapes().sub(hide, text)
    return _AWS_SECRET.sub(lambda hit: mask if _is_random(hit[0]) else hit[0], text)


@cache
def _shapes() -> re.Pattern[str]:
    families = {begins: f"{begins}{rest}" for begins, _, rest in FAMILIES}
    anywhere = "|".join(shape for begins, shape in families.items() if begins.startswith(_UNMISTAKABLE))
    alone = rf"(?<![A-Za-z0-9])(?:{'|'.join(families.values())})"
    return re.compile(rf"{_PEM}|{_USER_OF_URL}|(?i:{_SCHEME})|{anywhere}|{alone}|(?i:{_ASSIGNED})|(?i:{_MEMBER})")


def _is_harmless(value: str) -> bool:
    """Return whether what is assigned is a placeholder, or says that there is nothing: `token=…`, `api_key=VALUE`."""
    bare = value.strip("\"'")
    return (
        not bare.strip("…*.[]<>{}$") or bare.startswith("[redacted") or bare in {"None", "null", "VALUE", "Secret(…)"}
    )


def _is_random(word: str) -> bool:
    kinds = ["u" if each.isupper() else "l" if each.islower() else "d" for each in word if each.isalnum()]
    changes = sum(one != other for one, other in pairwise(kinds))
    return set(kinds) == {"u", "l", "d"} and changes >= _CHANGES
