"""What of the environment a program that we start may see, where it is to see nearly all of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final


# A variable is named after what is in it, and words are separated by underscores: no product has to be known here.
_SECRET_NAME: Final = re.compile(
    r"(?:.*_)?(?:(?:(?:api)?key|token|secret|password|credential)s?|passwd|passphrase|pass|pat|jwt)(?:_.*)?|.+_pwd",
    re.IGNORECASE,
)
_PATH_NAME: Final = re.compile(r".+_(?:file|path|dir)", re.IGNORECASE)
_PROXY_NAME: Final = re.compile(r"(?:all|ftp|https?)_proxy", re.IGNORECASE)
_PASSWORD_IN_ADDRESS: Final = re.compile(r"[a-z][0-9a-z+.-]*://[^/?#\s@:]*:[^/?#\s@]+@", re.IGNORECASE)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without freshkey's own variables and without those that look like secrets.

    Those are variables with a word such as ``TOKEN``, ``KEY``, ``SECRET`` or ``PASSWORD`` in their name, and those that
    hold an address with a password in it. A proxy's is left, as nothing else on the network could be reached without,
    and so is what the desktop says (``XDG_ACTIVATION_TOKEN`` brings a window to the front), and where a file is:
    another tool's own sign-in has to find it.
    """
    return {name: value for name, value in environ.items() if not _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    if name.startswith("FRESHKEY_"):
        return True
    if name.startswith("XDG_") or _PROXY_NAME.fullmatch(name):
        return False
    if _PATH_NAME.fullmatch(name) and os.path.isabs(os.path.expanduser(value)):  # noqa: PTH111, PTH117  any text is fine
        return False
    return bool(_SECRET_NAME.fullmatch(name) or _PASSWORD_IN_ADDRESS.match(value))
