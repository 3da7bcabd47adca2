"""Recognizes a path or name that only a shell would read as it was meant, or that is a secret in the wrong place."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import urlsplit

from freshkey.secret import is_implausible, looks_secret


_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_VARIABLE: Final = re.compile(r"\$\{?\w|%\w+%")

MAX_SHOWN: Final = 1024
"""Longest path in characters that is shown."""

_EXTENSION: Final = re.compile(r"\.[a-z]{1,8}[0-9]?\Z")


def path_flaw(text: str) -> str | None:
    """Return what is wrong with the way a path is written, as a predicate that does not quote it; None if nothing.

    Files for containers and services set variables without a shell, so quotes become part of the path, and nothing is
    expanded: the file is not found, or a folder is made whose name begins with a quotation mark. But a name may have
    any of these characters: what exists is what was meant.

    Args:
        text: The path; with the home directory for ``~`` if that is expanded.
    """
    flaw = _flaw(text)
    return None if flaw is None or os.path.lexists(text) else flaw


def shown_path(text: str) -> str | None:
    """Return a path if it can be shown; None for what is not plausible as a path, and may be a secret.

    What exists is shown, if it is one printable line. What does not exist must look like a path: it begins in a
    directory that exists or ends with an extension, and no part of it looks like a key.
    """
    if not text or len(text) > MAX_SHOWN or not text.isprintable():
        return None
    if os.path.lexists(text):
        return text
    if looks_secret(text) or "{" in text.replace("${", "") or ":" in text[2:]:
        return None
    head, _, rest = os.path.normpath(text).replace("\\", "/").lstrip("/").partition("/")
    begins = os.path.isabs(text) and bool(rest) and os.path.lexists(os.path.join(os.sep, head))  # noqa: PTH117, PTH118
    return text if begins or text[0] in "~$%" or text.startswith(("./", "../")) or _EXTENSION.search(text) else None


def shown_url(text: str) -> str | None:
    """Return a URL without user, query and fragment, and its path only if that cannot be a secret; None if it is none.

    Args:
        text: The URL; a proxy may be written without a scheme.
    """
    if not text.isprintable() or len(text) > MAX_SHOWN:
        return None
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", host) or looks_secret(host) or not (parts.scheme or port or "." in host):
        return None
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    named = f"[{host}]" if ":" in host else host
    path = parts.path if not looks_secret(parts.path) else "/…"
    return f"{scheme}{named}{'' if port is None else f':{port}'}{path}"


def _flaw(text: str) -> str | None:
    quotes = bool(text) and (text[0] in _QUOTES or text[-1] in _QUOTES)
    flaws = (
        ("is in quotes, which only a shell removes", quotes),
        ("is not a plausible path, and may be a secret", is_implausible(text, MAX_SHOWN)),
        ("begins or ends with a space or a line break", text != text.strip()),
        ("begins with ~, which only a shell replaces", text.startswith("~")),
        ("is a URL, not a path", text.startswith("file:")),
        ("contains a variable, which only a shell replaces", bool(_VARIABLE.search(text))),
    )
    return next((flaw for flaw, found in flaws if found), None)
