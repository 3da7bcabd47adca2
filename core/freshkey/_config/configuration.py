"""Profiles and stores from ``config.toml``, the environment or code; reading them imports no plugin.

Which profile is used (`Configuration.select`); the first that is set wins:

1. the name that the caller passes, such as that on the command line
2. the environment variable ``FRESHKEY_PROFILE``, which may also name an account: ``mail/ada``
3. ``profile`` in the project's ``.freshkey.toml``
4. ``default`` in the user's ``config.toml``

Where the profile of that name is defined (`Configuration.table`):

1. ``[profiles.NAME]`` in the user's ``config.toml``, or the tables passed to `Configuration.of`
2. the provider called ``NAME``, with its default settings, if such a provider is installed
3. ``[profiles.NAME]`` in the project's ``.freshkey.toml``
4. otherwise ``NAME`` is treated as a provider, and reported as unknown when it is loaded

Where each setting comes from:

1. overrides for this run: ``--set KEY=VALUE``, and ``--store`` for the store
2. the profile's table
3. the default in the provider's settings class; for the store, the provider's own store, then the OS keychain

In bare mode there are no files: only names, overrides and defaults count.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from freshkey._commands.environ import withhold
from freshkey._config.env_vars import CONFIG_DIR, PROFILE, STATE_DIR
from freshkey._config.insecure_urls import insecure_setting
from freshkey._config.overrides import SET
from freshkey._config.profile_selection import Choice, Place, Selection, choices, choose
from freshkey._config.profile_table import ProfileTable
from freshkey._config.project import Project, Trusted, load, nearest
from freshkey._config.schema import (
    CORE_KEYS,
    allow_insecure_loopback,
    check_keys,
    check_shape,
    checked_name,
    core_string,
    core_strings,
    lead,
    redirect_port,
    strings,
    tables,
)
from freshkey._config.toml_file import Document, read
from freshkey._files.packaged import own_place
from freshkey._files.path_text import path_flaw
from freshkey._text.shell_words import install_command
from freshkey.errors import ConfigurationError, closest, suggestion
from freshkey.model.account import split_account
from freshkey.model.profile import Profile
from freshkey.secret import quoted


FILE_NAME: Final = "config.toml"

OVERRIDABLE: Final = frozenset({"redirect_port", "allow_insecure_loopback"})
"""Keys of the core that overrides may set; the others have options of their own."""


@frozen(kw_only=True, eq=False)
class Configuration:
    """The complete configuration, read on first use.

    `load` reads the environment and files, `of` takes tables from code.

    Attributes:
        store: A store that overrides that of each profile, such as ``--store``.
        bare: Only the environment and values from code count; no file is read.
        overrides: Settings that override those of each profile, such as ``--set``: of the provider, or `OVERRIDABLE`.
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
        """Return the configuration of this user; no file is read until it is needed.

        FRESHKEY_CONFIG_DIR, FRESHKEY_STATE_DIR and FRESHKEY_PROFILE are looked up in `environ`, where an empty variable
        counts as unset. The other arguments are the attributes of the same name.
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
        """Return a configuration from code; environment and files are ignored.

        Args:
            profiles: Tables as in ``config.toml``, by profile name.
            state_dir: Directory of locks and hints.
            default: Name of the profile to use when none is named.
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
        """Directory of locks, hints and the file store, at a path that means it for every program."""
        return own_place(self._state_dir or self._directory(STATE_DIR, "user_state_path"))

    @property
    def path(self) -> Path:
        """The user's configuration file; it may not exist."""
        return self.config_dir / FILE_NAME

    @functools.cached_property
    def document(self) -> Document:
        """The parsed configuration, its structure checked.

        Raises:
            ConfigurationError: The file cannot be read or has an invalid key or value.
        """
        document = self._document or (Document() if self.bare else read(self.path))
        check_shape(document)
        for table in tables(document.tables.get("stores")).values():
            for variable in (table[key] for key in table if key.endswith("_env")):
                if isinstance(variable, str):
                    withhold(variable)  # no program gets it, whichever profile is used
        return document

    @functools.cached_property
    def project_file(self) -> Path | None:
        """Path of the project's file for the working directory; None if there is none, or it does not count."""
        return None if self.bare or self._document is not None else nearest(self._start)

    @functools.cached_property
    def project(self) -> Project | None:
        """The project's file for the working directory, read once; None if there is none.

        Raises:
            ConfigurationError: It cannot be read, or sets something that a project must not.
        """
        file = self.project_file
        return None if file is None else load(file, own=self.profile_names(), configuration=self.path)

    def in_directory(self, directory: Path) -> Configuration:
        """Return a copy that uses the project's file for `directory` instead of the working directory's."""
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
        """Name of the profile to use when none is named."""
        default = self.document.tables.get("default")
        return default if isinstance(default, str) else None

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of all configured profiles, in the order of the file."""
        return tuple(tables(self.document.tables.get("profiles")))

    def select(self, name: str | None = None) -> Selection:
        """Select a profile: `name`, else that of FRESHKEY_PROFILE, of the project's file, or the default.

        Raises:
            ConfigurationError: No profile is named anywhere, or the name is invalid.
        """
        selection = choose(self._places(name))
        if selection is None:
            names, place = self.profile_names(), self.document.path or "the configuration"
            hint = f"Specify a provider (list them with: freshkey providers), or add a profile to {place}"
            if names:
                hint = f"Specify one of: {', '.join(names)}; or add default = {names[0]!r} at the top of {place}"
            raise ConfigurationError(
                "no profile is selected, and no default is set", hint=hint, code="no-profile-chosen"
            )
        checked_name(selection.name)
        return selection

    def choices(self, name: str | None = None) -> tuple[Choice, ...]:
        """Return the places that `select` looks at, in order, with the result for each.

        Raises:
            ConfigurationError: A place that `select` needs cannot be read.
        """
        return choices(self._places(name))

    def _places(self, given: str | None) -> tuple[Place, ...]:
        def named(
            name: str | None, selected_by: str, *, by_project: bool = False, account: str | None = None
        ) -> Selection | None:
            if not name:
                return None
            return Selection(name=name, selected_by=selected_by, by_project=by_project, account=account)

        def by_project() -> Selection | None:
            if self.project is None:
                return None
            where = self.project.document.where("profile")
            return named(self.project.profile, f"profile in {where}", by_project=True)

        def by_variable() -> Selection | None:
            profile, account = split_account(self._environ.get(PROFILE, ""))
            return named(profile, f"environment variable {PROFILE}", account=account)

        return (
            ("argument", lambda: Selection(name=given, selected_by="argument", is_named=True) if given else None),
            (PROFILE, by_variable),
            (".freshkey.toml", by_project),
            ("default", lambda: named(self.default, f"default in {self.document.where('default')}")),
        )

    def table(self, name: str, reserved: Callable[[], Collection[str]] = tuple) -> ProfileTable:
        """Return the table of one profile; a name without a table is a provider with default settings.

        A `reserved` name, which is that of a provider, never refers to a profile of a project's file. Neither does a
        name that differs from it only in case: some keychains ignore case.

        Raises:
            ConfigurationError: A key of the core has an invalid value.
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
            redirect_port=redirect_port(self.document, name, table),
            allow_insecure_loopback=bool(allow_insecure_loopback(self.document, name, table)),
            rest={key: value for key, value in table.items() if key not in CORE_KEYS},
        )

    def _project_table(self, name: str, reserved: Callable[[], Collection[str]]) -> ProfileTable | None:
        if name.lower() in {one.lower() for one in reserved()}:
            return None  # checked first: a project's unreadable file must not make a provider unusable
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

    def profile(
        self, table: ProfileTable, kind: type, trusted: Trusted | None = None, owned: Collection[str] = ()
    ) -> Profile:
        """Return a profile with its settings as an instance of `kind`; see `ProfileTable.settings`.

        Raises:
            ConfigurationError: As there; or a setting is an http URL of this machine, which is not permitted.
        """
        overrides = {key: value for key, value in self.overrides.items() if key not in OVERRIDABLE}
        insecure = allow_insecure_loopback(SET, table.name, self.overrides)
        settings = table.settings(kind, overrides, trusted, owned)
        insecure = table.allow_insecure_loopback if insecure is None else insecure
        if not insecure and (key := insecure_setting(settings)) is not None:
            raise table.not_https(key, overrides)
        return Profile(
            name=table.name,
            provider=table.provider,
            settings=settings,
            state_dir=self.state_dir,
            store=table.store,
            store_settings=self.stores.get(table.store_name, {}),
            source=table.source,
            skip=table.skip,
            bare=self.bare,
            lead=table.lead,
            redirect_port=redirect_port(SET, table.name, self.overrides) or table.redirect_port,
            project_dir=table.project.directory if table.project is not None else None,
            allow_insecure_loopback=insecure,
        )

    def unknown(self, table: ProfileTable, providers: Collection[str]) -> ConfigurationError:
        """Return the error for a provider that is not installed, or a name that is neither a profile nor a provider."""
        if table.defined:
            return table.document.error(
                f"no provider {quoted(table.provider)} is installed",
                *("profiles", table.name, "provider"),
                profile=table.name,
                hint=suggestion(table.provider, providers),
                code="unknown-plugin",
            )
        known = {*self.profile_names(), *providers}
        # A placeholder: no package name is made up from what was typed.
        # See docs/decisions.md, "The core names no provider".
        nothing = f"Install a provider first: {install_command('freshkey-PROVIDER')}"
        return ConfigurationError(
            f"no profile or provider has this name{self._named_by(table.name)}",
            profile=table.name,
            hint=suggestion(table.name, known) if known else nothing,
            code="unknown-profile",
        )

    def _named_by(self, name: str) -> str:
        with suppress(ConfigurationError):  # this is only an addition to another error
            for _, look in self._places(None):
                if (found := look()) is not None and found.name == name:
                    return f" (set by {found.selected_by})"
        return ""

    def _directory(self, variable: str, default: str) -> Path:
        if given := self._environ.get(variable):
            flaw: str | None = "cannot be resolved"
            with suppress(RuntimeError, OSError):  # unknown user in ~user; deleted working directory
                path = _with_home(given)
                flaw = path_flaw(str(path))
                if flaw is None:
                    # On Windows, `C:folder` is relative to a directory of its own, and `\folder` to the drive.
                    return Path(os.path.abspath(path)) if sys.platform == "win32" else path.absolute()  # noqa: PTH100
            raise ConfigurationError(
                f"the directory in {variable} {flaw}",
                hint=f"Set {variable} to an absolute path",
                code="no-home-directory",
            )
        import platformdirs

        find: Callable[..., Path] = getattr(platformdirs, default)
        # A user without a passwd entry, and no HOME; on Windows, the system does not name the folder.
        with suppress(RuntimeError, OSError, LookupError, ValueError):
            return find("freshkey", appauthor=False)
        raise ConfigurationError(
            "this user has no home directory",
            hint=f"Set {'USERPROFILE' if sys.platform == 'win32' else 'HOME'} or {variable} to an absolute path",
            code="no-home-directory",
        )

    def _provider_named_like(self, name: str, table: Mapping[str, object]) -> str:
        misspelled = [key for key in table if closest(key, {"provider"})]
        check_keys(self.document, name, misspelled, CORE_KEYS)
        return name


def _with_home(given: str) -> Path:
    """Return a path with the home directory for ``~`` or ``~user``.

    Raises:
        RuntimeError: The user, or the own home directory, is not known.
    """
    user = given.replace(os.sep, "/").partition("/")[0]
    # On Windows, Python makes up a directory beside the own one, which would be created.
    if sys.platform == "win32" and user[:1] == "~" != user and not Path(user).expanduser().is_dir():
        raise RuntimeError
    return Path(given).expanduser()
