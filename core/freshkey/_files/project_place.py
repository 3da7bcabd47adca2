"""Which project a process works in, and whether a path lies in it: what a project brings along is not the user's.

Variables often come from a project, too: direnv, dotenv and editors load its ``.env``. The process sees only the
result, so what counts is where a path leads, not who named it.
See docs/decisions.md, "What a variable names inside a project is the project's".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final


MARKERS: Final = (".git", ".freshkey.toml")
"""Files and directories that mark the root of a project."""


def project_of(path: Path | str, directory: Path | None = None) -> Path | None:
    """Return the root of the current project if a path lies in it, with or without its links; otherwise None.

    The project is the outermost directory from the working directory upwards that has one of `MARKERS`, or the working
    directory itself if there is none. The user's home directory and those above it are never a project.

    Args:
        path: The path, absolute or relative to `directory`; it need not exist.
        directory: The working directory; that of the process by default.
    """
    try:
        start = Path(os.path.realpath(directory or Path.cwd()))
    except OSError:  # the working directory was deleted
        return None
    written = os.path.join(start, path)  # noqa: PTH118  a null character or a surrogate must not raise here
    try:
        places = {Path(os.path.normpath(written)), Path(os.path.realpath(written))}
    except (OSError, ValueError):
        return None
    return next((root for root in _roots(start) if any(_is_within(place, root) for place in places)), None)


def without_project_path(environ: Mapping[str, str], directory: Path | None = None) -> dict[str, str]:
    """Return variables whose ``PATH`` has no entry that is relative, empty, or in the current project.

    A program that is looked up by name would otherwise be the project's own.

    Args:
        environ: The variables.
        directory: The working directory; that of the process by default.
    """
    entries = environ.get("PATH")
    if entries is None:
        return dict(environ)
    kept = [one for one in entries.split(os.pathsep) if os.path.isabs(one) and project_of(one, directory) is None]  # noqa: PTH117
    return {**environ, "PATH": os.pathsep.join(kept) or os.devnull}  # an empty one means the working directory


def _roots(start: Path) -> Iterator[Path]:
    """Yield the directory that is the project, if there is one: the outermost one that is marked, or the start."""
    marked = [at for at in (start, *start.parents) if any(os.path.lexists(at / name) for name in MARKERS)]
    for root in [*marked[::-1], start]:
        # HOME may come from the project; where there is a marker, only the user's entry in the system counts.
        if not any(home.is_relative_to(root) for home in _homes(from_variable=root not in marked)):
            yield root
            return


def _homes(*, from_variable: bool) -> list[Path]:
    found = [home] if (home := _system_home()) is not None else []
    if from_variable or not found:
        with suppress(RuntimeError, OSError):  # neither HOME nor an entry for the user
            found.append(Path(os.path.realpath(Path.home())))
    return found


def _system_home() -> Path | None:
    """Return the home directory of the user according to the system, without the environment."""
    try:
        import pwd

        return Path(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    except (ImportError, KeyError, OSError):  # Windows; a user ID without an entry, as in containers
        return None


def _is_within(place: Path, root: Path) -> bool:
    if place.is_relative_to(root):
        return True
    # The same directory may have other names: another case, or another mount.
    try:
        status = os.stat(root)  # noqa: PTH116
    except OSError:
        return False
    return any(_is_same(at, status) for at in (place, *place.parents))


def _is_same(place: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(place), status)  # noqa: PTH116
    except (OSError, ValueError):
        return False
