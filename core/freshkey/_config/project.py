"""A project's ``.freshkey.toml``: it can select a profile and define new ones, but not change the user's.

It comes with a checkout, so its author is not trusted. It cannot set endpoints, headers, proxies or stores: any of them
would let a checked-out repository send the user's tokens elsewhere. Commands run only once the user trusts them.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final, NoReturn

from attrs import Factory, frozen

from freshkey._commands.command import Command, how_to_trust
from freshkey._commands.helper import helper_environment
from freshkey._commands.lookup import find_program, how_to_name, is_bare, is_command
from freshkey._commands.named_files import is_on_another_computer
from freshkey._commands.pins import pinned
from freshkey._config.schema import check_tables, core_string, strings, tables
from freshkey._config.toml_file import Document, read
from freshkey._files.project_place import REPOSITORIES, is_marked, owner_of
from freshkey.errors import ConfigurationError, TrustNeeded, closest
from freshkey.secret import quoted


FILE_NAME: Final = ".freshkey.toml"
TOP_KEYS: Final = frozenset({"profile", "profiles"})
CORE_KEYS: Final = frozenset({"provider", "source"})
"""Core keys that a project's own profile can set. Where credentials are stored is for the user to decide."""

Words = Mapping[str, tuple[str, ...]]
"""The commands of a profile by setting name, as the file has them."""


@frozen(kw_only=True)
class Wishes:
    """What a project's file sets for a profile although it is the user's to decide.

    Attributes:
        commands: Commands that would run as the user, by setting name.
        choices: Values that pick one of the user's own identities, such as a profile of another tool, by setting name.
    """

    commands: Words = Factory(dict)
    choices: Mapping[str, str] = Factory(dict)

    def __bool__(self) -> bool:
        return bool(self.commands or self.choices)

    def without(self, keys: Collection[str]) -> Wishes:
        """Return the wishes that overrides with these names leave."""
        return Wishes(
            commands={key: value for key, value in self.commands.items() if key not in keys},
            choices={key: value for key, value in self.choices.items() if key not in keys},
        )


Trusted = Callable[["Project", str, Wishes], Mapping[str, Command]]
"""Returns the commands of a profile that are safe to run; raises `TrustNeeded` if they or its choices are not trusted.
"""

COMMAND: Final = "a list of strings: a program (absolute, on PATH, or relative to the project) and its arguments"


@frozen(kw_only=True, eq=False)
class Project:
    """A project's file, its structure checked; `configuration` is the path of the user's own file, for messages."""

    document: Document
    path: Path
    configuration: Path

    @property
    def directory(self) -> Path:
        """The directory of the file, and the working directory of its commands."""
        return self.path.parent

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the text that was read, in hexadecimal."""
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

    def wishes(self, profile: str, kind: type, owned: Collection[str] = ()) -> Wishes:
        """Return what one of its own profiles sets that needs the user's trust, after checking all other keys.

        `kind` is the settings class of the profile's provider, and `owned` has the IDs of its owned sources: what they
        give is the project's own sign-in, while any other source picks something that the user has anyway. A setting
        is allowed only if the provider marks it for projects: an unknown key, or one that could redirect a token, is
        an error even in a trusted project.

        Raises:
            ConfigurationError: It sets a key that only the user's own file can set, or a command is invalid.
        """
        from freshkey._config.provider_settings import fields, is_choice, is_for_projects, takes_command

        known, words, choices = fields(kind), {}, {}
        # Other keys are errors even in a trusted project: a question does not make anyone check where tokens would go.
        # See docs/decisions.md, "A project's file may select, not redirect".
        for key, value in (self.table(profile) or {}).items():
            if key == "source" and value not in owned:
                choices[key] = str(value)
            if key in CORE_KEYS:
                continue
            if key in known and takes_command(known[key]):
                words[key] = self._words(profile, key, value)
            elif key not in known or not is_for_projects(known[key]):
                open_to_it = {name for name, one in known.items() if takes_command(one) or is_for_projects(one)}
                hint = _instead(key, CORE_KEYS | open_to_it, self.configuration)
                raise self.error(_forbidden(key), profile, key, hint, code="not-allowed-in-project")
            elif is_choice(known[key]):
                choices[key] = str(value)
        return Wishes(commands=words, choices=choices)

    def _words(self, profile: str, key: str, value: object) -> tuple[str, ...]:
        words = strings(value)
        if not isinstance(value, list) or len(words) != len(value) or not is_command(words):
            raise self.error(f"{key!r} must be {COMMAND}", profile, key)
        return tuple(words)

    def command(self, profile: str, key: str, words: Sequence[str]) -> Command:
        """Return a command as it would run now: its program resolved, and its files hashed.

        Raises:
            ConfigurationError: The program is missing, is not executable, or is outside the project by a relative
                path; or a file cannot be hashed.
        """
        argv = (self._program(profile, key, words[0]), *words[1:])
        try:
            pins = pinned(argv, self.directory)
        except ConfigurationError as error:
            raise self.error(f"{key!r}: {error.message}", profile, key, code=error.code) from None
        return Command(argv=argv, directory=self.directory, pins=pins)

    def _program(self, profile: str, key: str, named: str) -> str:
        relative = not is_bare(named) and not PurePath(named).is_absolute()
        if is_on_another_computer(PurePath(named), self.directory):
            message = f"{key!r} names a program on another computer"
            hint = "Use a program on this computer, or set it in your own config.toml"
            raise self.error(message, profile, key, hint, code="invalid-command")
        path = os.path.normpath(self.directory / named) if relative else named
        if relative and not PurePath(path).is_relative_to(self.directory):
            message = f"{key!r} has a relative path to a program outside the project"
            hint = "Use an absolute path, or a path inside the project"
            raise self.error(message, profile, key, hint, code="invalid-command")
        found = find_program(path, helper_environment())
        if found is None:
            message = f"{key!r}: the program {quoted(PurePath(named).name)} was not found, or is not executable"
            hint = how_to_name(path, helper_environment())
            raise self.error(message, profile, key, hint, code="command-not-runnable")
        return found

    def error(
        self, message: str, profile: str, key: str, hint: str | None = None, *, code: str | None = None
    ) -> ConfigurationError:
        """Return the error about a key of one of its own profiles."""
        return self.document.error(message, "profiles", profile, key, profile=profile, hint=hint, code=code)


def text_digest(document: Document) -> str:
    """Return the SHA-256 of the text of a project's file, in hexadecimal; line endings do not matter."""
    return hashlib.sha256(document.text.encode("utf-8")).hexdigest()


def refuse(project: Project, profile: str, wishes: Wishes) -> NoReturn:
    """Reject all that a project needs trust for, where the user cannot be asked."""
    message = f"{project.path} sets {', '.join((*wishes.commands, *wishes.choices))}, which you have not trusted"
    raise TrustNeeded(message, profile=profile, hint=how_to_trust(project.directory), code="trust-required")


def load(path: Path, *, own: Collection[str], configuration: Path) -> Project:
    """Read a project's file, which must not define any of the user's `own` profiles.

    Raises:
        ConfigurationError: It cannot be read, other users can change it, or it sets something that a project must not.
    """
    document = read(path, follow=False)
    for key in document.tables:
        if key not in TOP_KEYS:
            hint = _instead(key, TOP_KEYS, configuration)
            raise document.error(_forbidden(key), key, hint=hint, code="not-allowed-in-project")
    name = document.tables.get("profile")
    if name is not None and (not isinstance(name, str) or not name):
        raise document.error("'profile' must be a non-empty string: the name of a profile", "profile")
    check_tables(document, "profiles")
    for profile, table in tables(document.tables.get("profiles")).items():
        _check_profile(document, profile, table, own, configuration)
    return Project(document=document, path=path, configuration=configuration)


def _forbidden(key: str) -> str:
    return f"a project's file cannot set {quoted(key)}"


def _instead(key: str, allowed: Collection[str], configuration: Path) -> str:
    meant = closest(key, allowed)
    if meant is not None:
        return f"Did you mean {meant!r}? Otherwise, set {quoted(key)} in {configuration}"
    return f"Set {quoted(key)} in {configuration}; a project's file can set only: {', '.join(sorted(allowed))}"


def _check_profile(
    document: Document, name: str, table: Mapping[str, object], own: Collection[str], configuration: Path
) -> None:
    twin = next((mine for mine in own if mine.lower() == name.lower()), None)
    if twin is not None:
        message = f"a project cannot define profile {name!r}, because {configuration} defines {twin!r}"
        raise document.error(message, "profiles", name, hint="Rename the project's profile", code="invalid-name")
    provider = core_string(document, name, table, "provider")
    core_string(document, name, table, "source")
    if provider is None:
        hint = 'Add provider = "NAME"; list providers with: freshkey providers'
        raise document.error(f"profile {name!r} does not set a provider", "profiles", name, hint=hint)
    if provider.lower() == name.lower():
        message = f"a project cannot give profile {name!r} the name of its provider"
        raise document.error(message, "profiles", name, hint="Rename the project's profile", code="invalid-name")


def nearest(directory: Path | None) -> Path | None:
    """Return the project's file for a directory, by default the working directory; None if there is none."""
    try:
        start = (directory or Path.cwd()).resolve()
    except (OSError, RuntimeError):  # a deleted working directory, a symbolic link loop
        return None
    home = None
    with suppress(OSError, RuntimeError):  # a user without a passwd entry, and no HOME
        home = Path.home().resolve() if Path.home().is_absolute() else None
    return find(start, home)


def find(start: Path, home: Path | None) -> Path | None:
    """Return the nearest project's file for a directory, whose path has no symbolic links; None if there is none.

    The search goes up to the root of the checkout (a directory with one of `REPOSITORIES`) or the home directory,
    whichever comes first. If neither is above the directory, only the directory itself counts. Directories above the
    home directory can belong to other users, and what another user put above a directory of the user's does not count.
    See docs/decisions.md, "Outside repositories and the home directory, a project's file applies only to its own
    directory".
    """
    upwards = [at for at in (start, *start.parents) if home is None or at == home or not home.is_relative_to(at)]
    owner = owner_of(start)
    ends = (number for number, at in enumerate(upwards) if at == home or is_marked(at, REPOSITORIES, owner))
    found = [at for at in upwards[: next(ends, 0) + 1] if os.path.lexists(at / FILE_NAME)]
    return next((at / FILE_NAME for at in found if at == start or is_marked(at, [FILE_NAME], owner)), None)
