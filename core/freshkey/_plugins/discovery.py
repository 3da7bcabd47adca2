"""Finds plugins by their metadata, and loads one by name.

A plugin is imported only when a profile uses it: import runs its code and costs time, and a broken or hostile plugin
that is merely installed must not affect other profiles.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from freshkey.errors import ConfigurationError, describe_raise
from freshkey.secret import quoted


if TYPE_CHECKING:
    from importlib.metadata import Distribution

log = logging.getLogger(__name__)

PROVIDERS: Final = "freshkey.providers"
STORES: Final = "freshkey.stores"
OBSERVERS: Final = "freshkey.observers"

OWN_STORES: Mapping[str, str] = {
    "keyring": "freshkey._stores.keychain.store",
    "file": "freshkey._stores.encrypted_file.store",
    "memory": "freshkey._stores.memory",
}
"""The built-in stores; no distribution can replace them."""


_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*", re.ASCII)
_MAX_NAME: Final = 64
_OBJECT: Final = re.compile(r"\w+(?:\.\w+)*(?::\w+(?:\.\w+)*)?")


@frozen(kw_only=True)
class Found:
    """The metadata of an installed plugin, which is not imported.

    Attributes:
        name: Name of the entry point, such as the provider's ID.
        distribution: Name of the installed distribution.
        version: Its version.
        module: The module, or object in a module, to import.
        flaw: Why it cannot be used, as a fragment to follow its name; None if nothing is known against it.
    """

    name: str
    distribution: str
    version: str
    module: str
    flaw: str | None = None

    @property
    def shown_name(self) -> str:
        """Its name; characters that could be mistaken for others are written as escapes, in quotes."""
        return self.name if _NAME.fullmatch(self.name) else ascii(self.name[:_MAX_NAME])

    @property
    def origin(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"

    @property
    def entry(self) -> str:
        """The entry point, as its author wrote it."""
        return f'{self.name} = "{self.module}"'


@frozen
class Loaded:
    """A plugin that was imported, and its metadata; None for what comes with freshkey or from the application."""

    plugin: object
    found: Found | None = None


def announced(group: str) -> list[Found]:
    """Return the plugins in a group of entry points, sorted by name; one that is found twice counts once.

    Not `importlib.metadata.entry_points`: one distribution with damaged metadata would make that fail for all.
    """
    from importlib.metadata import distributions

    plugins: set[Found] = set()
    for installed in distributions():
        text = ""
        try:
            text = installed.read_text("entry_points.txt") or ""
            if group in text and not _is_shadowed(installed, text):
                plugins |= set(_entries(installed, text, group))
        except Exception as error:  # noqa: BLE001  its metadata may be damaged in any way, which is its own problem
            level = logging.WARNING if group in text else logging.DEBUG
            log.log(level, "the metadata of an installed package cannot be read: %s", describe_raise(error))
    return sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution))


def _is_shadowed(installed: Distribution, text: str) -> bool:
    """Return whether another version of a distribution comes before it on the path, whose code would be imported."""
    from importlib.metadata import distributions

    name = installed.metadata["Name"]
    first = next(iter(distributions(name=name)), None) if name else None
    return first is not None and first.read_text("entry_points.txt") != text


def _entries(installed: Distribution, text: str, group: str) -> Iterator[Found]:
    """Yield the entry points of a group (Python Packaging User Guide, "Entry points specification")."""
    facts, section = installed.metadata, ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == group and line[0] not in "#;":
            name, _, value = (part.strip() for part in line.partition("="))
            target = value.partition("[")[0].strip()  # without extras
            yield Found(
                name=name,
                distribution=facts["Name"] or "?",
                version=facts["Version"] or "?",
                module=target,
                flaw=None if _OBJECT.fullmatch(target) else "names nothing that can be imported",
            )


def find(group: str = PROVIDERS) -> tuple[Found, ...]:
    """Return the plugins of a group, sorted by name; reads metadata only.

    What must not be used has a `Found.flaw`: a name that another distribution claims, too, that is reserved, or that
    could be mistaken for another. All others are unaffected.
    """
    found = announced(group)
    names = [plugin.name for plugin in found]
    return tuple(evolve(plugin, flaw=plugin.flaw or _flaw(plugin, found, names, group)) for plugin in found)


def _flaw(plugin: Found, found: list[Found], names: list[str], group: str) -> str | None:
    name = plugin.name
    if group == STORES and name in OWN_STORES:
        return "is the name of a store of freshkey"
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        return "is not a valid name: lower-case ASCII letters, digits, and single hyphens or underscores between them"
    if names.count(name) > 1:
        rivals = sorted({other.distribution for other in found if other.name == name})
        return f"is provided by more than one package: {' and '.join(rivals)}"
    return "could be mistaken for another" if "-" in name and name.replace("-", "_") in names else None


def provider_ids(given: Collection[str] = ()) -> set[str]:
    """Return the IDs of the installed providers, and of those that the application passes."""
    return {*given, *(plugin.name for plugin in find() if plugin.flaw is None)}


def refuse_flawed(name: str, group: str = PROVIDERS) -> None:
    """Raise an error if a plugin of that name is installed, but must not be used.

    Raises:
        ConfigurationError: There is one; the message says why.
    """
    plugin = next((plugin for plugin in find(group) if plugin.name == name and plugin.flaw), None)
    if plugin is None:
        return
    message = f"the plugin {plugin.shown_name} {plugin.flaw}"
    if [other.name for other in find(group)].count(name) > 1:
        raise ConfigurationError(message, hint="Uninstall one of the packages", code="plugin-name-conflict")
    hint = f"Choose another one, or uninstall {plugin.distribution}"
    raise ConfigurationError(message, hint=hint, code="plugin-name-invalid")


def load_provider(name: str) -> object:
    """Import the provider of that name.

    Raises:
        ConfigurationError: It is not installed, or has a `Found.flaw`.
        PluginBroken: Its import failed.
    """
    return load(name, PROVIDERS).plugin


def load_store(name: str) -> object:
    """Import the store plugin of that name; the errors are those of `load_provider`."""
    return load(name, STORES).plugin


def load_observer(name: str) -> object:
    """Import the observer of that name; the errors are those of `load_provider`."""
    return load(name, OBSERVERS).plugin


def load(name: str, group: str) -> Loaded:
    """Import the plugin of that name in a group; the errors are those of `load_provider`."""
    if group == STORES and name in OWN_STORES:
        return Loaded(importlib.import_module(OWN_STORES[name]))
    kind = group.rpartition(".")[2].removesuffix("s")
    installed = {plugin.name: plugin for plugin in find(group) if plugin.flaw is None}
    if name in installed:
        plugin = installed[name]
        return Loaded(import_plugin(plugin, f"{kind} {name!r} of {plugin.origin}"), plugin)
    refuse_flawed(name, group)
    known = ", ".join([*(OWN_STORES if group == STORES else ()), *installed])
    hint = f"Install the package that provides {quoted(name)}" + (f", or use one of: {known}" if known else "")
    raise ConfigurationError(f"no {kind} {quoted(name)} is installed", hint=hint, code="unknown-plugin")


def import_plugin(plugin: Found, called: str) -> object:
    """Import a plugin; `called` is its name in messages.

    Raises:
        PluginBroken: Its import raised any exception: a plugin's SystemExit must not end the application.
    """
    module, _, path = plugin.module.partition(":")
    reached: object = None
    try:
        reached = importlib.import_module(module)
        for part in filter(None, path.split(".")):
            reached = getattr(reached, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the plugin can raise anything
        # Imported only now: nothing of it is needed for a plugin that works.
        from freshkey._plugins.import_errors import not_importable

        raise not_importable(error, reached, plugin, called) from None
    return reached
