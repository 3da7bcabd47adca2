"""Which paths an environment variable names: what is checked, shown and read must be the same."""

from __future__ import annotations

import os
import re
import sys
from typing import Final


LISTS: Final = frozenset(
    {"PATH", "SSL_CERT_DIR", "AWS_DATA_PATH", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "PYTHONPATH"}
    | {"DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH", "LD_AUDIT", "LD_LIBRARY_PATH"}
)
"""Variables that name several paths, with the separator of ``PATH`` between them."""

HERE: Final = frozenset({"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"})
"""Lists in which an empty entry is the working directory."""

_MARK: Final = '"' if sys.platform == "win32" else ""
"""What may be around a folder in ``PATH``, and is no part of its name."""

_BUS_PATH: Final = re.compile(r"\Aunix:(?:.*,)?path=([^,;]*)")


def variable_paths(name: str, value: str) -> tuple[str, ...]:
    """Return the paths that a variable names, in order and as they are written; empty ones only where they count.

    Args:
        name: Its name. One that is not known to be a list names a single path.
        value: Its value.
    """
    if name == "PATH":
        paths = path_entries(value)
    elif name == "LD_PRELOAD":  # ld.so(8): separated by spaces or colons
        paths = re.split("[ :]", value)
    elif name == "DBUS_SESSION_BUS_ADDRESS":  # addresses of the D-Bus Specification, of which one has a path
        found = [_BUS_PATH.match(address) for address in value.split(";")]
        paths = [one[1] for one in found if one]
    else:
        paths = value.split(os.pathsep) if name in LISTS else [value]
    return tuple(one for one in paths if one or name in HERE)


def path_entries(value: str) -> list[str]:
    """Return the entries of ``PATH`` or another list of folders: on Windows without the quotation marks around them.

    cmd.exe reads them so. A folder with a semicolon in its name, for which they are meant, is not found.
    """
    return [entry.replace(_MARK, "") for entry in value.split(os.pathsep)]
