"""Where Windows keeps what a packaged program creates in the user's AppData folder: in a folder of the package.

Python from the Microsoft Store is such a program, and so is what other ones start, such as an editor's shell. Windows
shows them what they created at the path of AppData, merged with what is there for all others ("Understanding how
packaged desktop apps run on Windows" on learn.microsoft.com). So two programs may use one path and have two lock files
there, while the keychain is the same for both. See docs/decisions.md, "A packaged program has its own state directory".
"""

from __future__ import annotations

import functools
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TypeVar


P = TypeVar("P", bound=PurePath)


def own_place(directory: Path) -> Path:
    """Return the path at which other programs find what this one creates in a directory, which need not exist."""
    if sys.platform == "win32":
        from freshkey._files.windows_home import profile_directory

        home = profile_directory()
        return directory if home is None else kept_at(directory, home / "AppData", private_folder)
    return directory


def kept_at(directory: P, appdata: P, private: Callable[[P], P | None]) -> P:
    """Return where a directory is.

    Args:
        directory: The directory, which need not exist.
        appdata: The user's AppData folder.
        private: Returns the folder that takes what is created in a folder of AppData; None if that folder itself does.
    """
    if directory == appdata or not directory.is_relative_to(appdata):
        return directory
    folder, *below = directory.relative_to(appdata).parts
    found = private(appdata / folder)
    return directory if found is None or directory.is_relative_to(found) else found.joinpath(*below)


@functools.cache
def private_folder(folder: Path) -> Path | None:
    """Return the folder in which a new file of a folder ends up; None if that is the folder itself, or not known.

    Only a new file tells: what such a program starts has the same view of AppData without the package's identity (issue
    41665 of openai/codex), and an existing file or folder may be one that all programs share.
    """
    try:
        if not (folder.parent / "Local" / "Packages").is_dir():
            return None  # the folder of all packages
        found = _real_place(folder)
    except OSError:
        return None
    return None if found == folder else found


def kept_for_all(directory: Path) -> bool:
    """Return whether other programs find what this one creates in an existing directory; True if in doubt.

    A file that another program made in AppData, and that this one replaces, would be replaced for this one alone.
    """
    if sys.platform == "win32":
        from freshkey._files.windows_home import profile_directory

        home = profile_directory()
        return home is None or is_common(directory, home / "AppData")
    return True


def is_common(directory: Path, appdata: Path) -> bool:
    """Return whether what is created in a directory does not end up in a package's folder that it is not part of."""
    packages = appdata / "Local" / "Packages"
    if not directory.is_relative_to(appdata) or directory.is_relative_to(packages):
        return True
    try:
        return not packages.is_dir() or not _real_place(directory).is_relative_to(packages.resolve())
    except OSError:
        return True


def _real_place(folder: Path) -> Path:
    """Create a file in a folder, and return the folder that it is in; it is removed."""
    file = folder / f".freshkey-{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_TEMPORARY", 0) | getattr(os, "O_NOINHERIT", 0)  # removed by Windows, also in a crash
    descriptor = os.open(file, flags, 0o600)
    try:
        return Path(os.path.realpath(file, strict=True)).parent
    finally:
        os.close(descriptor)
        if sys.platform != "win32":
            file.unlink()
