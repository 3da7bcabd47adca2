"""Profiles and stores from ``config.toml``, the environment or code; reading them imports no plugin."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from freshkey._config.env_vars import CONFIG_DIR, PROFILE, STATE_DIR
from freshkey._config.profile_selection import Choice, Place, Selection, choices, choose
from freshkey._config.profile_table import ProfileTable
from freshkey._config.project import Project, Trusted, load, nearest
from freshkey._config.schema import (
    CORE_KEYS,
    check_keys,
    check_shape,
    checked_name,
    core_string,
    core_strings,
    lead,
    strings,
    tables,
)
from freshkey._config.toml_file import Document, read
from freshkey.errors import ConfigurationError, closest, suggestion
from freshkey.model.profile import Profile


FILE_NAME: Final = "config.toml"


@frozen(kw_only=True, eq=False)
class Configuration:
    """Everything that was configured, read on first use.

    `load` takes it from the environment, `of` from code.

    Attributes:
        store: A store that overrides what the profiles say, such as that of ``--store``.
        bare: Nothing but the environment and what was given in code counts; no file is read.
        overrides: Settings of providers that override what the profiles say, such as those of ``--set``.
    """

    store: str | None = None
    bare: bool = False
    overrides: Mapping[str, object] = field(factory=dict, repr=False)
    _environ: Mapping[str, str] = field(factory=dict, repr=False)
    _document: Document | None = field(default=None, repr=False)
    _state_dir: Path | None = None
    _start: Path | None = None

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        store: str | None = None,
        bare: bool = False,
        overrides: Mapping[str, object] | None = None,
    ) -> Configuration:
        """Return the configuration of this user; no file is read until something is asked.

        FRESHKEY_CONFIG_DIR, FRESHKEY_STATE_DIR and FRESHKEY_PROFILE are looked up in `environ`, where an empty variable
        counts as unset; all else are the attributes.
        """
        return cls(environ=environ, store=store, bare=bare, overrides=overrides or {})

    @classmethod
    def of(
        cls,
        profiles: Mapping[str, Mapping[str, object]],
        *,
        state_dir: Path,
        default: str | None = None,
        stores: Mapping[str, Mapping[str, object]] | None = None,
        observers: Collection[str] = (),
    ) -> Configuration:
        """Return a configuration made in code; environment and files are not looked at.

        Args:
            profiles: Tables as ``config.toml`` would have them, by profile name.
            state_dir: Directory of locks and hints.
            default: Name of the profile used when none is named.
            stores: Tables of stores, by store name.
            observers: Names of observers to load.
        """
        tables = {"profiles": profiles, "stores": stores or {}, "observers": list(observers)}
        document = Document(tables=tables if default is None else {**tables, "default": default})
        return cls(document=document, state_dir=state_dir)

    @functools.cached_property
    def config_dir(self) -> Path:
        """Directory of ``config.toml``."""
        return self._directory(CONFIG_DIR, "user_config_path")

    @functools.cached_property
    def state_dir(self) -> Path:
        """Directory of locks, hints and the file store."""
        return self._state_dir or self._directory(STATE_DIR, "user_state_path")

    @property
    def path(self) -> Path:
        """The file that people edit, whether it exists or not."""
        return self.config_dir / FILE_NAME

    @functools.cached_property
    def document(self) -> Document:
        """What was configured, its shape checked.

        Raises:
            ConfigurationError: The file cannot be read or says something wrong.
        """
        document = self._document or (Document() if self.bare else read(self.path))
        check_shape(document)
        return document

    @functools.cached_property
    def project(self) -> Project | None:
        """The project's file that counts in the working directory, as it was when this was first asked; None without.

        Raises:
            ConfigurationError: It cannot be read or says what no project may.
        """
        if self.bare or self._document is not None:
            return None
        file = nearest(self._start)
        return None if file is None else load(file, own=self.profile_names(), configuration=self.path)

    def in_directory(self, directory: Path) -> Configuration:
        """Return the same with the project's file that counts in a directory, instead of the working directory's."""
        return evolve(self, start=directory)

    @property
    def observers(self) -> tuple[str, ...]:
        """Names of the observers to load."""
        return tuple(strings(self.document.tables.get("observers", [])))

    @property
    def stores(self) -> Mapping[str, Mapping[str, object]]:
        """Tables of stores, by store name."""
        return tables(self.document.tables.get("stores"))

    @property
    def default(self) -> str | None:
        """Name of the profile used when none is named."""
        default = self.document.tables.get("default")
        return default if isinstance(default, str) else None

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of all configured profiles, in the order of the file."""
        return tuple(tables(self.document.tables.get("profiles")))

    def select(self, name: str | None = None) -> Selection:
        """Decide which profile is meant: the given one, that of FRESHKEY_PROFILE, the project's, or the default.

        Raises:
            ConfigurationError: None was named at all, or the name cannot be one.
        """
        selection = choose(self._places(name))
        if selection is None:
            names, place = self.profile_names(), self.document.path or "the configuration"
            hint = f"Name a provider (freshkey providers lists them), or write a profile into {place}"
            if names:
                hint = f"Name one of: {', '.join(names)}; or write default = {names[0]!r} at the top of {place}"
            raise ConfigurationError("no profile was named and there is no default", hint=hint)
        checked_name(selection.name)
        return selection

    def choices(self, name: str | None = None) -> tuple[Choice, ...]:
        """Return how `select` decides, with what each place says.

        Raises:
            ConfigurationError: A place that `select` looks at cannot be read.
        """
        return choices(self._places(name))

    def _places(self, given: str | None) -> tuple[Place, ...]:
        def named(name: str | None, selected_by: str) -> Selection | None:
            return Selection(name=name, selected_by=selected_by) if name else None

        def by_project() -> Selection | None:
            if self.project is None:
                return None
            return named(self.project.profile, f"profile in {self.project.document.where('profile')}")

        return (
            ("name given", lambda: named(given, "name given")),
            (PROFILE, lambda: named(self._environ.get(PROFILE), f"environment variable {PROFILE}")),
            (".freshkey.toml", by_project),
            ("default", lambda: named(self.default, f"default in {self.document.where('default')}")),
        )

    def table(self, name: str, reserved: Callable[[], Collection[str]] = tuple) -> ProfileTable:
        """Return the table of one profile; a name without a table is a provider with default settings.

        A name that is `reserved`, because a provider has it, never means a profile of a project's file. Neither does
        one that differs only in case: not every keychain keeps the two apart.

        Raises:
            ConfigurationError: A key of the core has a wrong value.
        """
        table = tables(self.document.tables.get("profiles")).get(name)
        if table is None:
            return self._project_table(name, reserved) or ProfileTable(
                name=name, provider=checked_name(name), document=self.document, store=self.store, defined=False
            )
        read_key = functools.partial(core_string, self.document, name, table)
        return ProfileTable(
            name=name,
            provider=read_key("provider") or self._provider_named_like(name, table),
            document=self.document,
            store=self.store or read_key("store"),
            source=read_key("source"),
            skip=core_strings(self.document, name, table, "skip"),
            lead=lead(self.document, name, table),
            rest={key: value for key, value in table.items() if key not in CORE_KEYS},
        )

    def _project_table(self, name: str, reserved: Callable[[], Collection[str]]) -> ProfileTable | None:
        if name.lower() in {one.lower() for one in reserved()}:
            return None  # asked first: a project's file that cannot be read must not keep a provider out
        if (project := self.project) is None or (table := project.table(name)) is None:
            return None
        return ProfileTable(
            name=name,
            provider=str(table["provider"]),
            document=project.document,
            store=self.store,
            source=core_string(project.document, name, table, "source"),
            rest={key: value for key, value in table.items() if key not in CORE_KEYS},
            project=project,
        )

    def profile(self, table: ProfileTable, kind: type, trusted: Trusted | None = None) -> Profile:
        """Return a profile whose settings are read into the provider's class, as by `ProfileTable.settings`."""
        return Profile(
            name=table.name,
            provider=table.provider,
            settings=table.settings(kind, self.overrides, trusted),
            state_dir=self.state_dir,
            store=table.store,
            store_settings=self.stores.get(table.store_name, {}),
            source=table.source,
            skip=table.skip,
            bare=self.bare,
            lead=table.lead,
        )

    def unknown(self, table: ProfileTable, providers: Collection[str]) -> ConfigurationError:
        """Return the error for a table whose provider is not installed, or whose name is no profile and no provider."""
        if table.defined:
            message = f"there is no provider {table.provider!r} installed"
            hint = suggestion(table.provider, providers)
            return table.document.error(message, "profiles", table.name, "provider", profile=table.name, hint=hint)
        known = {*self.profile_names(), *providers}
        nothing = "No provider is installed; install the distribution that brings it"
        hint = suggestion(table.name, known) if known else nothing
        return ConfigurationError("there is no profile and no provider of that name", profile=table.name, hint=hint)

    def _directory(self, variable: str, default: str) -> Path:
        if given := self._environ.get(variable):
            with suppress(RuntimeError, OSError):  # no such user's home; a working directory that was removed
                return Path(given).expanduser().absolute()
            raise ConfigurationError(f"{variable} names no directory that can be found", hint="Set an absolute path")
        import platformdirs

        find: Callable[..., Path] = getattr(platformdirs, default)
        with suppress(RuntimeError):  # a user without an entry, and no HOME
            return find("freshkey", appauthor=False)
        raise ConfigurationError("this user has no home directory", hint=f"Set HOME or {variable} to an absolute path")

    def _provider_named_like(self, name: str, table: Mapping[str, object]) -> str:
        misspelt = [key for key in table if closest(key, {"provider"})]
        check_keys(self.document, name, misspelt, CORE_KEYS)
        return name
