"""Finds programs: by an absolute path, or by a name on PATH, but never in the working directory or the project.

On Windows, what usually starts programs looks into the working directory before PATH, so nothing here is left to it.
See docs/decisions.md, "On Windows, programs are looked up by freshkey itself".
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from freshkey._commands.environ import uniform
from freshkey._files.project_place import without_project_path
from freshkey._files.variable_paths import path_entries


STARTABLE: Final = (".com", ".exe", ".bat", ".cmd")
"""The extensions of what Windows starts as a process; it opens other files by the programs that they belong to."""


def is_command(argv: Sequence[str]) -> bool:
    """Return whether a list can be a program and its arguments."""
    return bool(argv) and bool(argv[0]) and not any("\0" in word for word in argv)


def is_bare(program: str) -> bool:
    """Return whether a program is named without a path, and is therefore looked up on PATH."""
    return not os.path.dirname(program) and program not in {os.curdir, os.pardir}  # noqa: PTH120  keeps a leading dot


def find_program(named: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program, or None if it is missing or depends on the working directory.

    On Windows, it ends with one of `STARTABLE`, and only these of the extensions in PATHEXT count.

    Args:
        named: Its path, or its name, which is looked up on PATH.
        environ: Has PATH. Entries that are empty, relative or in the current project are skipped: a hostile checkout
            would supply the program.
    """
    return next(iter(find_programs([named], environ)), None)


def find_programs(named: Iterable[str], environ: Mapping[str, str]) -> set[str]:
    """Return what `find_program` does for each of several, without those that are missing; PATH is read only once."""
    outside = without_project_path(uniform(environ))
    return {found for one in named if (found := _found(one, outside)) is not None}


def find_users_program(named: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program that the user asks for now, or None if it is missing.

    Unlike those of `find_program`, which settings name, it may be in the project, and its path may be relative. A mere
    name is not looked up in the working directory, either. For Windows: elsewhere, the system looks up programs.
    """
    return _found(named if is_bare(named) else os.path.abspath(named), uniform(environ))  # noqa: PTH100  drops dots


def how_to_name(named: str, environ: Mapping[str, str]) -> str:
    """Return what to do about a program that was not found."""
    if is_bare(named) and _found(named, uniform(environ)) is not None:
        return "It is in the current project, where names are not looked up: use its absolute path"
    if sys.platform == "win32" and os.path.isfile(named) and not named.lower().endswith(STARTABLE):  # noqa: PTH113
        return "Windows does not start such a file: name the program that runs it, and then the file"
    return "Check its path and permissions, and that it is installed"


def _found(named: str, environ: Mapping[str, str]) -> str | None:
    # The default of Windows is the working directory and C:\bin, which every user of the machine may create.
    path = environ.get("PATH", "" if sys.platform == "win32" else os.defpath)
    if sys.platform == "win32":
        return _found_on_windows(named, path, environ.get("PATHEXT", ""))
    found = shutil.which(named, path=path)
    return found if found is not None and PurePath(found).is_absolute() else None


def _found_on_windows(named: str, path: str, extensions: str) -> str | None:
    endings = [each for each in extensions.lower().split(";") if each in STARTABLE] or STARTABLE
    names = ([named] if named.lower().endswith(STARTABLE) else []) + [f"{named}{each}" for each in endings]
    folders = path_entries(path) if is_bare(named) else [""]
    places = (os.path.join(folder, name) for folder in folders for name in names)  # noqa: PTH118
    return next((each for each in places if PurePath(each).is_absolute() and os.path.isfile(each)), None)  # noqa: PTH113
