"""Finds plugins by their metadata, and loads one by name.

A plugin is imported only when a profile uses it: import runs its code and costs time, and a broken or hostile plugin
that is merely installed must not affect other profiles.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Collection, Mapping
from typing import Final

from attrs import frozen

from freshkey.errors import ConfigurationError, PluginBroken, describe_raise


PROVIDERS: Final = "freshkey.providers"
STORES: Final = "freshkey.stores"
OBSERVERS: Final = "freshkey.observers"

OWN_STORES: Mapping[str, str] = {
    "keyring": "freshkey._stores.keychain.store",
    "file": "freshkey._stores.encrypted_file.store",
    "memory": "freshkey._stores.memory",
}
"""The built-in stores; no distribution can replace them."""


@frozen(kw_only=True)
class Found:
    """The metadata of an installed plugin, which is not imported.

    Attributes:
        name: Name of the entry point, such as the provider's ID.
        distribution: Name of the installed distribution.
        version: Its version.
        module: The module, or object in a module, to import.
    """

    name: str
    distribution: str
    version: str
    module: str


def announced(group: str) -> list[Found]:
    """Return the plugins in a group of entry points, sorted by name; one that is found twice counts once."""
    from importlib.metadata import entry_points

    plugins = {
        Found(
            name=point.name,
            distribution=point.dist.name if point.dist else "?",
            version=point.dist.version if point.dist else "?",
            module=point.value,
        )
        for point in entry_points(group=group)
    }
    return sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution))


def find(group: str = PROVIDERS) -> tuple[Found, ...]:
    """Return the plugins of a group, sorted by name; reads metadata only.

    Raises:
        ConfigurationError: Two distributions use the same name.
    """
    found = announced(group)
    for one, other in itertools.pairwise(found):
        if one.name == other.name:
            raise ConfigurationError(
                f"two packages provide a plugin {one.name!r}: {one.distribution} and {other.distribution}",
                hint="Uninstall one of them",
                code="plugin-name-conflict",
            )
    return tuple(found)


def provider_ids(given: Collection[str] = ()) -> set[str]:
    """Return the IDs of the installed providers, and of those that the application passes."""
    return {*given, *(plugin.name for plugin in find())}


def load_provider(name: str) -> object:
    """Import the provider of that name.

    Raises:
        ConfigurationError: It is not installed.
        PluginBroken: Its import failed.
    """
    return _load(name, PROVIDERS)


def load_store(name: str) -> object:
    """Import the store plugin of that name; the errors are those of `load_provider`."""
    if name in OWN_STORES:
        return importlib.import_module(OWN_STORES[name])
    return _load(name, STORES)


def load_observer(name: str) -> object:
    """Import the observer of that name; the errors are those of `load_provider`."""
    return _load(name, OBSERVERS)


def _load(name: str, group: str) -> object:
    kind = group.rpartition(".")[2].removesuffix("s")
    installed = {plugin.name: plugin for plugin in find(group)}
    if name in installed:
        plugin = installed[name]
        return import_plugin(plugin, f"plugin {name!r} of {plugin.distribution} {plugin.version}")
    known = ", ".join([*(OWN_STORES if group == STORES else ()), *installed])
    hint = f"Install the package that provides {name!r}" + (f", or use one of: {known}" if known else "")
    raise ConfigurationError(f"no {kind} {name!r} is installed", hint=hint, code="unknown-plugin")


def import_plugin(plugin: Found, called: str) -> object:
    """Import a plugin; `called` is its name in messages.

    Raises:
        PluginBroken: Its import raised any exception: a plugin's SystemExit must not end the application.
    """
    module, _, attribute = plugin.module.partition(":")
    try:
        loaded: object = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            loaded = getattr(loaded, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the plugin can raise anything
        reason = describe_raise(error)
        if isinstance(error, ModuleNotFoundError) and error.name:
            reason = f"missing module {error.name!r}: {reason}"
        message, hint = f"cannot import {called} ({reason})", f"Update or uninstall {plugin.distribution}"
        raise PluginBroken(message, plugin=plugin.name, hint=hint, code="plugin-not-loadable") from None
    return loaded
