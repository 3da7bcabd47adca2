"""Finds plugins by metadata, and loads one by name."""

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
"""The stores that come with freshkey; no distribution can claim these names."""


@frozen(kw_only=True)
class Found:
    """A plugin as its distribution announces it; nothing of it was imported.

    Attributes:
        name: Name of the entry point: the provider's id.
        distribution: Name of the installed distribution.
        version: Its version.
        module: What would be imported.
    """

    name: str
    distribution: str
    version: str
    module: str


def announced(group: str) -> list[Found]:
    """Return what distributions announce in a group, sorted by name; one that is found twice counts once."""
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
        ConfigurationError: Two distributions claim one name.
    """
    found = announced(group)
    for one, other in itertools.pairwise(found):
        if one.name == other.name:
            raise ConfigurationError(
                f"two distributions claim the name {one.name!r}: {one.distribution} and {other.distribution}",
                hint="Uninstall one of them",
            )
    return tuple(found)


def provider_ids(given: Collection[str] = ()) -> set[str]:
    """Return the ids of the installed providers, and of those that an application hands in."""
    return {*given, *(plugin.name for plugin in find())}


def load_provider(name: str) -> object:
    """Import the provider of that name.

    Raises:
        ConfigurationError: No installed distribution provides it.
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
    raise ConfigurationError(
        f"there is no {kind} {name!r}",
        hint=f"Installed: {known}" if known else f"No {kind} is installed; install the distribution that brings it",
    )


def import_plugin(plugin: Found, called: str) -> object:
    """Import a plugin, which messages call `called`.

    Raises:
        PluginBroken: Its import raised, whatever that was: a SystemExit of theirs is not the application's.
    """
    module, _, attribute = plugin.module.partition(":")
    try:
        loaded: object = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            loaded = getattr(loaded, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  theirs
        reason = describe_raise(error)
        if isinstance(error, ModuleNotFoundError) and error.name:
            reason = f"there is no module {error.name!r}: {reason}"
        message, hint = f"{called} cannot be imported ({reason})", f"Update or uninstall {plugin.distribution}"
        raise PluginBroken(message, plugin=plugin.name, hint=hint) from None
    return loaded
