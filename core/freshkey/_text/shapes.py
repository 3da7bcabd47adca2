"""Recognizes what looks like a secret: a token of a known family, a key file, a password in a URL or an assignment.

Each expression takes linear time: none has a repetition inside a repetition, and all are tried on short texts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from freshkey._text.harmless import is_harmless, is_name_of_user, is_random
from freshkey.secret import FAMILIES


PUBLIC_PREFIX: Final = re.compile("|".join([*(begins for begins, _, _ in FAMILIES), "Bearer", "Basic"]))
"""What every secret of a family begins with, so that it says nothing about this one."""

_UNMISTAKABLE: Final = ("sk-ant-", "github_pat_", "GOCSPX-")
"""How families begin that are found even behind a letter."""

_PEM: Final = r"-----BEGIN [A-Z ]{0,40}KEY-----(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]{0,40}KEY-----)?"

_USER_OF_URL: Final = r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{1,20}://)(?P<user>[^\s/?#@\"'<>]{1,512})@"

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

_AWS_SECRET: Final = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9+][A-Za-z0-9/+]{39}(?![\w/+=.-])")
_MAX_BEFORE: Final = 40
_IDENTIFIER: Final = re.compile(
    r"(?:request|trace|correlation|span|operation|invocation|amzn?)[ _-]?(?:request)?[ _-]?id[\"']?\s?[:=]?\s?[\"']?\Z",
    re.IGNORECASE,
)
"""What is before the identifier of a request, which support asks for, and which may look as random as a secret."""


def without_shapes(text: str, mask: str) -> str:
    """Return text with everything that looks like a secret replaced by a mask."""
    shown: list[str] = []
    done = at = 0
    while hit := _shapes().search(text, at):
        kept, value = _parts(hit)
        if value is not None:  # something harmless, but perhaps with a secret in it, such as in a URL's query
            at = max(hit.end() - len(value), at + 1)
            continue
        shown += [text[done : hit.start()], kept, mask, "@" if hit["scheme"] else ""]
        done = at = hit.end()
    text = "".join([*shown, text[done:]])
    return _AWS_SECRET.sub(lambda hit: mask if is_random(hit[0]) and not _is_identifier(hit) else hit[0], text)


def _parts(hit: re.Match[str]) -> tuple[str, str | None]:
    """Return what stays of a match, and the value in it if that is no secret."""
    if hit["scheme"]:
        return hit["scheme"], "" if is_name_of_user(hit["user"]) else None
    if hit["name"] or hit["member"]:
        kept = hit["name"] or hit["member"]
        value = hit[0][len(kept) :]
        bare = value.strip("\\\"'")
        name = re.split(r"[^\w-]", kept, maxsplit=1)[0]
        harmless = _is_placeholder(bare) or is_harmless(name, bare, quoted=value[:1] in {'"', "'", "\\"})
        return kept, value if harmless else None
    return hit["auth"] or "", None


def _is_identifier(hit: re.Match[str]) -> bool:
    return _IDENTIFIER.search(hit.string[max(0, hit.start() - _MAX_BEFORE) : hit.start()]) is not None


@cache
def _shapes() -> re.Pattern[str]:
    families = {begins: f"{begins}{rest}" for begins, _, rest in FAMILIES}
    anywhere = "|".join(shape for begins, shape in families.items() if begins.startswith(_UNMISTAKABLE))
    alone = rf"(?<![A-Za-z0-9])(?:{'|'.join(families.values())})"
    return re.compile(rf"{_PEM}|{_USER_OF_URL}|(?i:{_SCHEME})|{anywhere}|{alone}|(?i:{_ASSIGNED})|(?i:{_MEMBER})")


def _is_placeholder(value: str) -> bool:
    """Return whether what is assigned is a placeholder, or says that there is nothing: `token=…`, `api_key=VALUE`."""
    return not value.strip("…*.[]<>{}$") or value.startswith("[redacted") or value in {"VALUE", "Secret(…)"}
