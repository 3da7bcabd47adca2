"""Filters the environment of programs that need nearly all of it: a browser, a helper command, what ``exec`` runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey._files.owned import UnsafePathError, check_directory
from freshkey._files.project_place import leads_into_project, system_variables, without_project_path
from freshkey._files.variable_paths import path_entries
from freshkey._text.harmless import is_harmless


# Variables are named after their content, with underscores between words: no list of products is needed.
# See docs/decisions.md, "A browser does not inherit variables that look like secrets".
_SECRET_NAME: Final = re.compile(
    r"(?:.*_)?(?:(?:(?:api)?key|token|secret|password|credential)s?|passwd|passphrase|pass|pat|jwt)(?:_.*)?|.+_pwd",
    re.IGNORECASE | re.DOTALL,
)
_PATH_NAME: Final = re.compile(r".+_(?:file|path|dir)", re.IGNORECASE)
_PROXY_NAME: Final = re.compile(r"(?:all|ftp|https?)_proxy", re.IGNORECASE)
_PASSWORD_IN_ADDRESS: Final = re.compile(r"[a-z][0-9a-z+.-]*://[^/?#\s@:]*:[^/?#\s@]+@", re.IGNORECASE)

_MIN_SECRET: Final = 8
"""Characters; a shorter value is a switch, such as ``true``."""


_OWN_PREFIX: Final = "FRESHKEY_"
_OWN_NAMES: Final = frozenset({"FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR", "FRESHKEY_PROFILE"})
"""freshkey's own variables that are no secrets. All others count as secrets, also those of later versions."""

_withheld: set[str] = set()


def _known_as(name: str) -> str:
    """Return the name by which the system knows a variable: on Windows, upper and lower case are the same."""
    return name.upper() if sys.platform == "win32" else name


def uniform(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables by the names that this code knows, such as ``PATH``, which is ``Path`` on most of Windows."""
    return {_known_as(name): value for name, value in environ.items()}


def for_start(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables for a program to be started with, after `uniform`; on Windows, a few are always there.

    Without ``SYSTEMROOT``, no program can use the network (error 10106) or random numbers. These are the system's, as a
    project may set them: Python starts what ``COMSPEC`` names as the shell. The last variable keeps cmd.exe and Python
    from looking up programs in the working directory before ``PATH``.
    """
    if sys.platform != "win32":
        return dict(environ)
    return {**environ, **system_variables(), "NODEFAULTCURRENTDIRECTORYINEXEPATH": "1"}


def withhold(name: str) -> None:
    """Have a variable that unlocks a store removed from the environment of every program that is started from now on.

    Called for the settings of stores whose names end in ``_env``: what such a variable is called, only the user knows.
    """
    _withheld.add(_known_as(name))


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return `environ` without the variables that unlock what freshkey stores.

    Those are the variables from which a store reads its passphrase, and all of freshkey's own except the directories
    and the profile name: a program that is given an access token must not be able to get the refresh token.
    """
    return {name: value for name, value in environ.items() if not _unlocks(name)}


def _unlocks(name: str) -> bool:
    name = _known_as(name)
    return name in _withheld or (name.startswith(_OWN_PREFIX) and name not in _OWN_NAMES)


def with_safe_path(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with only those entries of PATH in which no other user can replace a program.

    A program that is started looks up others itself, such as the command of ``timeout``: what was found before could
    have been swapped meanwhile.
    """
    if "PATH" not in environ:
        return dict(environ)
    kept = [entry for entry in path_entries(environ["PATH"]) if _is_safe(entry)]
    return {**environ, "PATH": os.pathsep.join(kept) or os.devnull}  # an empty one means the working directory


def _is_safe(entry: str) -> bool:
    try:
        check_directory(Path(entry))
    except (UnsafePathError, OSError, ValueError):
        return False
    return True


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without freshkey's own variables and without those that look like secrets.

    Those are variables with a word such as ``TOKEN``, ``KEY``, ``SECRET`` or ``PASSWORD`` in their name, and those
    whose value is a URL with a password. Proxies stay (without one the program may not reach the network), and so do
    variables of the desktop (``XDG_ACTIVATION_TOKEN`` brings a window to the front) and file paths, which other tools
    need to find their own credentials. ``PATH`` loses its entries in the current project: a launcher such as
    ``xdg-open`` starts a browser by its name.
    """
    return {name: value for name, value in without_project_path(environ).items() if not _is_secret(name, value)}


def browser_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environ` to pass to a browser: `without_secrets`, and none that leads into the project.

    A browser reads no file of the project, while a desktop has many variables that name modules or settings.
    """
    return {name: value for name, value in without_secrets(environ).items() if not leads_into_project(value)}


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """Return the values that `without_secrets` leaves out and that are secrets, as far as one can tell.

    A browser need not have a variable such as ``GOOGLE_APPLICATION_CREDENTIALS``; but its path is no secret, and a
    message about that file must name it.
    """
    return [
        value
        for name, value in environ.items()
        if len(value) >= _MIN_SECRET
        if _known_as(name) == "FRESHKEY_PASSPHRASE" or not _known_as(name).startswith(_OWN_PREFIX)
        if _is_secret(name, value) and (_unlocks(name) or not is_harmless(name, value))
    ]


def _is_secret(name: str, value: str) -> bool:
    name = _known_as(name)
    if name.startswith(_OWN_PREFIX) or name in _withheld:
        return True
    if name.startswith("XDG_") or _PROXY_NAME.fullmatch(name):
        return False
    if _PATH_NAME.fullmatch(name) and os.path.isabs(os.path.expanduser(value)):  # noqa: PTH111, PTH117  any text is fine
        return False
    return bool(_SECRET_NAME.fullmatch(name) or _PASSWORD_IN_ADDRESS.match(value))
