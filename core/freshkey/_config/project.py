"""A project's ``.freshkey.toml``: it may select a profile and define its own, and change nothing of the user's."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final, NoReturn

from attrs import frozen

from freshkey._commands.command import Command, how_to_trust, pinned
from freshkey._commands.helper import helper_environment
from freshkey._commands.process import find_program, is_bare, is_command
from freshkey._config.schema import check_tables, core_string, strings, tables
from freshkey._config.toml_file import Document, read
from freshkey.errors import ConfigurationError, TrustNeeded, suggestion


FILE_NAME: Final = ".freshkey.toml"
TOP_KEYS: Final = frozenset({"profile", "profiles"})
CORE_KEYS: Final = frozenset({"provider", "source"})
"""Keys of the core that a project's own profile may have. Where credentials are kept is not the project's to say."""

Words = Mapping[str, tuple[str, ...]]
"""The commands of a profile by the names of their settings, as the file has them."""

Trusted = Callable[["Project", str, Words], Mapping[str, Command]]
"""Returns the commands of a profile as they may be run; raises `TrustNeeded` where they may not."""

NOT_ITS_OWN: Final = "a project's file cannot say that"
COMMAND: Final = "a list of strings: a program (absolute, on PATH, or relative to the project) and its arguments"


@frozen(kw_only=True, eq=False)
class Project:
    """A directory with a project's file, whose shape was checked; `configuration` is the user's own, for messages."""

    document: Document
    path: Path
    configuration: Path

    @property
    def directory(self) -> Path:
        """The directory that the file is in: where its commands work."""
        return self.path.parent

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what was read, in hexadecimal."""
        return text_digest(self.document)

    @property
    def profile(self) -> str | None:
        """Name of the profile that it selects."""
        name = self.document.tables.get("profile")
        return name if isinstance(name, str) else None

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of its own profiles."""
        return tuple(tables(self.document.tables.get("profiles")))

    def table(self, name: str) -> Mapping[str, object] | None:
        """Return the table of one of its own profiles, or None."""
        return tables(self.document.tables.get("profiles")).get(name)

    def words(self, profile: str, kind: type) -> Words:
        """Return the commands of one of its own profiles, after a check that it sets nothing else of weight.

        `kind` is the settings class of the profile's provider.

        Raises:
            ConfigurationError: It sets what only the user's own file may, or something is no command.
        """
        from freshkey._config.provider_settings import fields, is_for_projects, takes_command

        known, words = fields(kind), {}
        for key, value in (self.table(profile) or {}).items():
            if key in CORE_KEYS:
                continue
            if key in known and takes_command(known[key]):
                words[key] = self._words(profile, key, value)
            elif key not in known or not is_for_projects(known[key]):
                open_to_it = {name for name, one in known.items() if takes_command(one) or is_for_projects(one)}
                hint = _instead(key, CORE_KEYS | open_to_it, self.configuration)
                raise self.error(f"{NOT_ITS_OWN}: {key!r}", profile, key, hint)
        return words

    def _words(self, profile: str, key: str, value: object) -> tuple[str, ...]:
        words = strings(value)
        if not isinstance(value, list) or len(words) != len(value) or not is_command(words):
            raise self.error(f"{key!r} must be {COMMAND}", profile, key)
        return tuple(words)

    def command(self, profile: str, key: str, words: Sequence[str]) -> Command:
        """Return a command as it would run now: its program found, and its files pinned.

        Raises:
            ConfigurationError: The program is not there, is no program, or is outside by a relative path; or a file
                cannot be pinned.
        """
        argv = (self._program(profile, key, words[0]), *words[1:])
        try:
            pins = pinned(argv, self.directory)
        except ConfigurationError as error:
            raise self.error(f"{key!r}: {error.message}", profile, key) from None
        return Command(argv=argv, directory=self.directory, pins=pins)

    def _program(self, profile: str, key: str, named: str) -> str:
        relative = not is_bare(named) and not PurePath(named).is_absolute()
        path = os.path.normpath(self.directory / named) if relative else named
        if relative and not PurePath(path).is_relative_to(self.directory):
            raise self.error(f"{key!r} names a program outside of the project by a relative path", profile, key)
        found = find_program(path, helper_environment())
        if found is None:
            raise self.error(f"{key!r}: {PurePath(named).name!r} is not there, or is no program", profile, key)
        return found

    def error(self, message: str, profile: str, key: str, hint: str | None = None) -> ConfigurationError:
        """Return the error about a key of one of its own profiles."""
        return self.document.error(message, "profiles", profile, key, profile=profile, hint=hint)


def text_digest(document: Document) -> str:
    """Return the SHA-256 of what a project's file says, in hexadecimal; how its lines end does not matter."""
    return hashlib.sha256(document.text.encode("utf-8")).hexdigest()


def refuse(project: Project, profile: str, words: Words) -> NoReturn:
    """Run no command of a project: what counts where nobody decides."""
    message = f"{project.path} names a command as {', '.join(words)}, and nobody trusted it"
    raise TrustNeeded(message, profile=profile, hint=how_to_trust(project.directory))


def load(path: Path, *, own: Collection[str], configuration: Path) -> Project:
    """Read a project's file, which defines none of the user's `own` profiles.

    Raises:
        ConfigurationError: It cannot be read, others could change it, or it says what no project may.
    """
    document = read(path, follow=False)
    for key in document.tables:
        if key not in TOP_KEYS:
            raise document.error(f"{NOT_ITS_OWN}: {key!r}", key, hint=_instead(key, TOP_KEYS, configuration))
    name = document.tables.get("profile")
    if name is not None and (not isinstance(name, str) or not name):
        raise document.error("'profile' must be a string: the name of a profile", "profile")
    check_tables(document, "profiles")
    for profile, table in tables(document.tables.get("profiles")).items():
        _check_profile(document, profile, table, own, configuration)
    return Project(document=document, path=path, configuration=configuration)


def _instead(key: str, known: Collection[str], configuration: Path) -> str:
    return f"{suggestion(key, known)}. All else belongs into {configuration}"


def _check_profile(
    document: Document, name: str, table: Mapping[str, object], own: Collection[str], configuration: Path
) -> None:
    twin = next((mine for mine in own if mine.lower() == name.lower()), None)
    if twin is not None:
        message = f"a project cannot define profile {name!r}, because {twin!r} is in {configuration}"
        raise document.error(message, "profiles", name, hint="Give it another name")
    provider = core_string(document, name, table, "provider")
    core_string(document, name, table, "source")
    if provider is None or provider.lower() == name.lower():
        message = f"profile {name!r} must say which provider it is for, and not be named like it"
        raise document.error(message, "profiles", name, hint='Write provider = "…"')


def nearest(directory: Path | None) -> Path | None:
    """Return the project's file that counts in a directory, or in the working directory; None without."""
    try:
        start = (directory or Path.cwd()).resolve()
    except (OSError, RuntimeError):  # a working directory that was removed, a link that leads to itself
        return None
    home = None
    with suppress(OSError, RuntimeError):  # a user without an entry, and no HOME
        home = Path.home().resolve() if Path.home().is_absolute() else None
    return find(start, home)


def find(start: Path, home: Path | None) -> Path | None:
    """Return the project's file that counts in a directory without symbolic links in its path: the nearest, or None.

    It is looked for upwards as far as the root of a repository (a directory with ``.git``) or the home directory,
    whichever comes first, and in the directory alone where neither is above it. What is above the home directory
    may be anybody's.
    """
    upwards = [at for at in (start, *start.parents) if home is None or at == home or not home.is_relative_to(at)]
    ends = (number for number, at in enumerate(upwards) if at == home or os.path.lexists(at / ".git"))
    return next((file for at in upwards[: next(ends, 0) + 1] if os.path.lexists(file := at / FILE_NAME)), None)
