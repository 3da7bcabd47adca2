"""Which project a process works in, and whether a path lies in it: what a project brings along is not the user's.

Variables often come from a project, too: direnv, dotenv and editors load its ``.env``. The process sees only the
result, so what counts is where a path leads, not who named it.
See docs/decisions.md, "What a variable names inside a project is the project's".
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Final

from freshkey._files.permissions import is_foreign
from freshkey._files.variable_paths import path_entries


REPOSITORIES: Final = (
    *(".git", ".hg", ".jj", ".svn", ".bzr", ".fslckout", "_FOSSIL_", "_darcs", ".pijul", ".sl", ".repo"),
)
"""Files and directories that mark the root of a checkout."""

MARKERS: Final = (
    *(*REPOSITORIES, ".freshkey.toml", ".env", ".env.local", ".envrc", "mise.toml", ".mise.toml", ".vscode", ".idea"),
    *(".devcontainer", ".devcontainer.json", "compose.yaml", "compose.yml", "docker-compose.yml", "Dockerfile"),
    *("pyproject.toml", "setup.py", "package.json", "Cargo.toml", "go.mod", "pom.xml", "build.gradle"),
    *("build.gradle.kts", "Gemfile", "composer.json", "CMakeLists.txt", "Makefile", "flake.nix"),
)
"""What else marks the root of a project: files from which tools set variables, and what an unpacked archive has."""

HOMES: Final[Mapping[str, tuple[str, ...]]] = (
    {"HOME": (), "USERPROFILE": (), "APPDATA": ("AppData", "Roaming"), "LOCALAPPDATA": ("AppData", "Local")}
    if sys.platform == "win32"
    else {"HOME": ()}
)
"""Variables in which programs look up the user's home directory or one in it, each with its usual place there."""

FOLDERS: Final = (
    *("XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"),
    *(
        (
            *("ALLUSERSPROFILE", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432"),
            *("COMMONPROGRAMFILES", "COMMONPROGRAMFILES(X86)", "COMMONPROGRAMW6432"),
        )
        if sys.platform == "win32"
        else ()
    ),
)
"""Variables that name folders in which programs look up what to start, or settings that do, such as OpenSSH's."""

LOADERS: Final = (
    *("BASH_ENV", "ENV", "ZDOTDIR", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "GCONV_PATH", "NODE_OPTIONS"),
    *("DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH", "NODE_PATH", "JAVA_TOOL_OPTIONS"),
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "CLOUDSDK_PYTHON", "CLOUDSDK_PYTHON_SITEPACKAGES"),
    *("PERL5LIB", "PERL5OPT", "RUBYLIB", "RUBYOPT", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES"),
    *("DOTNET_ADDITIONAL_DEPS", "DOTNET_SHARED_STORE", "DOTNET_STARTUP_HOOKS"),
    # https://learn.microsoft.com/dotnet/core/tools/dotnet-environment-variables
    *(f"DOTNET_ROOT{suffix}" for suffix in ("", "(X86)" if sys.platform == "win32" else "(x86)")),
    *(f"DOTNET_ROOT_{machine}" for machine in ("X64", "X86", "ARM64", "ARM")),
    # https://learn.microsoft.com/dotnet/core/runtime-config/debugging-profiling; the second prefix is that of .NET 11
    *(f"{a}_PROFILER_PATH{b}" for a in ("CORECLR", "DOTNET") for b in ("", "_32", "_64", "_ARM32", "_ARM64")),
    *(
        ("PSMODULEPATH", "COR_PROFILER_PATH", "COR_PROFILER_PATH_32", "COR_PROFILER_PATH_64")
        if sys.platform == "win32"
        else ("PSModulePath",)
    ),
)
"""Variables from which the loader, shells and interpreters take code to run in any program that they start."""

SYSTEM: Final = ("COMSPEC", "SYSTEMDRIVE", "SYSTEMROOT", "WINDIR") if sys.platform == "win32" else ()
"""Variables by which programs find the shell and the libraries of the system itself, where they go by a variable."""

_BETWEEN: Final = re.compile(r"(?:[\s=,;]|:(?![\\/]))+" if sys.platform == "win32" else r"[\s=,:;]+")
_ABSOLUTE: Final = re.compile(r"(?:\b[A-Za-z]:)?[\\/]" if sys.platform == "win32" else "/")
"""Where an absolute path begins in an option such as ``-I/folder``; on Windows, its drive belongs to it."""

_DRIVE: Final = re.compile(r"\b[A-Za-z]:[\\/]")
"""Where one with a drive begins, also after a slash, as in ``file:///C:/folder``."""


def project_of(path: Path | str, directory: Path | None = None) -> Path | None:
    """Return the root of the current project if a path lies in it, with or without its links; otherwise None.

    The project is the outermost directory from the working directory upwards that has one of `MARKERS` (see
    `is_marked`), or the working directory itself if there is none. The user's home directory and those above it are
    never a project, nor are those in which programs keep the user's settings, such as ``~/.config/NAME``, those in
    which Windows starts programs, such as ``System32``, and without a marker a whole drive.

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
    # HOME may come from the project; where there is a marker, only the user's entry in the system counts.
    homes = _homes(from_variable=False)
    around = [at for at in (start, *start.parents) if not any(home.is_relative_to(at) for home in homes)]
    around = [at for at in around if not any(map(partial(_keeps_settings, at), homes)) and not _starts_programs(at)]
    # Markers are looked for only where one would matter: most paths share no directory with the working directory.
    same = {_identity(at) for place in places for at in (place, *place.parents)} - {None}
    around = [at for at in around if any(place.is_relative_to(at) for place in places) or _identity(at) in same]
    owner = owner_of(start)
    outermost = next((at for at in reversed(around) if is_marked(at, MARKERS, owner)), None)
    if outermost is None and start in around and start != start.parent:
        return None if any(home.is_relative_to(start) for home in _homes(from_variable=True)) else start
    return outermost


def why_project(project: Path, directory: Path | None = None) -> str:
    """Return why a directory is a project, as half a sentence for a message: ``it contains .git``.

    Args:
        project: What `project_of` returned.
        directory: The working directory; that of the process by default.
    """
    owner = owner_of(directory or Path())
    marker = next((name for name in MARKERS if is_marked(project, (name,), owner)), None)
    return f"it contains {marker}" if marker is not None else "it is the working directory"


def is_marked(directory: Path, names: Iterable[str], owner: int | None) -> bool:
    """Return whether a directory has one of the files or directories `names`, and nobody else put it there.

    What belongs to another user counts only if the working directory does, too: anyone can put a marker into ``/tmp``,
    and everything below would then be in a project.

    Args:
        directory: Its path.
        names: Names such as `MARKERS`.
        owner: The user ID of the owner of the working directory; None if it is not known.
    """
    found = [status for name in names if (status := _status(directory / name)) is not None]
    return any(map(partial(_counts, owner=owner), found)) and _counts(_status(directory), owner)


def owner_of(directory: Path) -> int | None:
    """Return the user ID of a directory's owner; None if there is no such directory."""
    status = _status(directory)
    return None if status is None else status.st_uid


def _counts(status: os.stat_result | None, owner: int | None) -> bool:
    return status is not None and (not is_foreign(status) or status.st_uid == owner)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None


def without_project_path(environ: Mapping[str, str], directory: Path | None = None) -> dict[str, str]:
    """Return variables that lead to no program of the current project, for a program to look up or start.

    ``PATH`` loses its entries that are relative, empty, or in the project, and so do `FOLDERS`; those that have nothing
    else are left out, as are those of `LOADERS` that lead into the project. A home directory in the project is replaced
    by that of the system, and those of `SYSTEM` get their values from there, wherever they lead.

    Args:
        environ: The variables.
        directory: The working directory; that of the process by default.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if variable_name(name) not in LOADERS or not leads_into_project(value, directory)
    }
    for name in [one for one in kept if variable_name(one) in {"PATH", *FOLDERS}]:
        entries = path_entries(kept.pop(name))
        if own := [one for one in entries if os.path.isabs(one) and project_of(one, directory) is None]:  # noqa: PTH117
            kept[name] = os.pathsep.join(own)
        elif variable_name(name) == "PATH":
            kept[name] = os.devnull  # an empty one means the working directory, and a missing one the default
    _leave_project_homes(kept, directory)
    system = system_variables()
    return {name: system.get(variable_name(name), value) for name, value in kept.items()}


def system_variables() -> dict[str, str]:
    """Return those of `SYSTEM` with the values that the system itself says."""
    if sys.platform == "win32":
        from freshkey._files import windows_system

        return windows_system.system_variables()
    return {}


def _leave_project_homes(environ: dict[str, str], directory: Path | None) -> None:
    """Replace the home directories among variables that are in the project."""
    for name in [one for one in environ if variable_name(one) in HOMES]:
        if PurePath(environ[name]).anchor and project_of(environ[name], directory) is not None:
            del environ[name]
            if (home := _system_home()) is not None:
                environ[name] = str(home.joinpath(*HOMES[variable_name(name)]))
    if sys.platform == "win32":  # where Git, for one, takes these two before USERPROFILE
        halves = sorted((one for one in environ if variable_name(one) in {"HOMEDRIVE", "HOMEPATH"}), key=variable_name)
        if halves and project_of("".join(environ[name] for name in halves), directory) is not None:
            for name in halves:
                del environ[name]


def variable_name(name: str) -> str:
    """Return the name of a variable as it is compared: case does not count on Windows, where ``Path`` is ``PATH``."""
    return name.upper() if sys.platform == "win32" else name


def leads_into_project(value: str, directory: Path | None = None) -> bool:
    """Return whether a value, such as that of a variable, is a path in the project or contains one.

    Args:
        value: A path, several, or options of a program, such as ``--require=FILE`` or ``-I/folder``.
        directory: The working directory; that of the process by default.
    """
    parts = {part for text in _readings(value) for part in (text, *_BETWEEN.split(text))}
    for part in parts - {""}:
        if any(project_of(path, directory) is not None for path in _absolute_paths(part)):
            return True
        # Any word can be a relative path; it only matters if there is something.
        if _status(Path(directory or "", part)) is not None and project_of(part, directory) is not None:
            return True
    return False


def _readings(value: str) -> set[str]:
    """Return a value as it is, and as a URL such as ``file:///folder/my%20module.mjs`` means it."""
    if "%" not in value:
        return {value}
    from urllib.parse import unquote

    return {value, unquote(value)}


def _absolute_paths(part: str) -> set[str]:
    """Return the absolute paths that may begin in a part of a value, also after a host: ``file://localhost/folder``."""
    starts = [_ABSOLUTE.search(part), *(_DRIVE.finditer(part) if sys.platform == "win32" else ())]
    paths = {part[found.start() :] for found in starts if found is not None}
    return paths | {f"/{path.lstrip('/').partition('/')[2]}" for path in paths if path.startswith("//")}


def home_outside_project(directory: Path | None = None) -> Path:
    """Return the home directory: that of the environment or, if this leads into the project, of the system.

    Raises:
        RuntimeError: The user has none.
    """
    home = Path.home()
    if home.is_absolute() and project_of(home, directory) is not None:
        home = _system_home() or Path(os.sep)
    return home


def _homes(*, from_variable: bool) -> list[Path]:
    found = [home] if (home := _system_home()) is not None else []
    if from_variable or not found:
        with suppress(RuntimeError, OSError):  # neither HOME nor an entry for the user
            found.append(Path(os.path.realpath(Path.home())))
    return found


def _keeps_settings(directory: Path, home: Path) -> bool:
    """Return whether programs keep the user's settings or state in a directory, such as ``~/.NAME``, or in those in it.

    It is the user's own although it may be a repository (of dotfiles), and the working directory of who edits a file.
    """
    if not directory.is_relative_to(home):
        return False
    match directory.relative_to(home).parts:
        case (".config" | ".local", *rest):
            return len(rest) <= (1 if directory.is_relative_to(home / ".config") else 2)
        case ("Library" | "AppData", *rest):
            return len(rest) <= 2  # noqa: PLR2004  such as Library/Application Support/NAME
        case (name,):
            return name.startswith(".")
    return False


def _starts_programs(directory: Path) -> bool:
    """Return whether Windows starts programs in a directory, such as elevated shells, services and scheduled tasks."""
    if sys.platform == "win32":
        from freshkey._files.windows_system import start_directories

        return directory in start_directories()
    return False


def _system_home() -> Path | None:
    """Return the home directory of the user according to the system, without the environment."""
    if sys.platform == "win32":
        from freshkey._files.windows_home import profile_directory

        profile = profile_directory()
        return None if profile is None else Path(os.path.realpath(profile))
    try:
        import pwd

        return Path(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    except (KeyError, OSError):  # a user ID without an entry, as in containers
        return None


def _identity(place: Path) -> tuple[int, int] | None:
    """Return what a directory is, by whatever name: in another case, or through another mount."""
    try:
        status = os.stat(place)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
