"""Finds plugins by metadata, loads one by name, and wires one plugin manager for one provider and one store."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy
from attrs import frozen

from freshkey import hooks
from freshkey.errors import ConfigurationError, PluginBroken


if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PROVIDERS = "freshkey.providers"
STORES = "freshkey.stores"
OBSERVERS = "freshkey.observers"

OWN_STORES: Mapping[str, str] = {
    "keyring": "freshkey.stores.keyring",
    "file": "freshkey.stores.file",
    "memory": "freshkey.stores.memory",
}
"""The stores that come with freshkey; no distribution can claim these names."""

REQUIRED_OF_PROVIDERS = ("describe", "acquire", "refresh")


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


def find(group: str = PROVIDERS) -> tuple[Found, ...]:
    """Return the plugins of a group, sorted by name; reads metadata only.

    Raises:
        ConfigurationError: Two distributions claim one name.
    """
    from importlib.metadata import entry_points

    found = sorted({_found(point) for point in entry_points(group=group)}, key=lambda plugin: plugin.name)
    for one, other in itertools.pairwise(found):
        if one.name == other.name:
            raise ConfigurationError(
                f"two distributions claim the name {one.name!r}: {one.distribution} and {other.distribution}",
                hint="Uninstall one of them",
            )
    return tuple(found)


def _found(point: EntryPoint) -> Found:
    distribution = point.dist
    return Found(
        name=point.name,
        distribution=distribution.name if distribution else "?",
        version=distribution.version if distribution else "?",
        module=point.value,
    )


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
    installed = find(group)
    for plugin in installed:
        if plugin.name == name:
            return _import(plugin)
    known = ", ".join([*(OWN_STORES if group == STORES else ()), *(plugin.name for plugin in installed)])
    raise ConfigurationError(
        f"there is no {kind} {name!r}",
        hint=f"Installed: {known}" if known else f"No {kind} is installed; install the distribution that brings it",
    )


def _import(plugin: Found) -> object:
    """Import a plugin, turning whatever its import raises, SystemExit included, into an error that names it."""
    module, _, attribute = plugin.module.partition(":")
    try:
        loaded: object = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            loaded = getattr(loaded, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a plugin's SystemExit must not end the application
        raise PluginBroken(
            f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} cannot be imported"
            f" ({describe_raise(error)})",
            plugin=plugin.name,
            hint=f"Update or uninstall {plugin.distribution}",
        ) from None
    return loaded


def describe_raise(error: BaseException) -> str:
    """Say what was raised and where, without its text, which may quote a secret."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return type(error).__name__
    code = traceback.tb_frame.f_code
    return f"{type(error).__name__} in {Path(code.co_filename).name}, line {traceback.tb_lineno}"


def wire(
    provider_name: str,
    provider: object,
    *,
    store: tuple[str, object],
    store_is_configured: bool,
    observers: Mapping[str, object],
) -> pluggy.PluginManager:
    """Return a manager that holds one provider, one store plugin and the configured observers, and nothing else.

    Args:
        provider_name: Id of the provider.
        provider: Its module or object.
        store: Name and plugin of the store.
        store_is_configured: Configuration named the store, so it is asked before the provider is.
        observers: Name to plugin of each observer.

    Raises:
        PluginBroken: A signature does not fit, a hook is misspelt or missing, or an observer does not wrap.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    ordered = [(provider_name, provider), store] if store_is_configured else [store, (provider_name, provider)]
    # pluggy asks the plugin that was registered last first.
    for name, plugin in [*ordered, *observers.items()]:
        _register(manager, plugin, name)
    for name, plugin in observers.items():
        _must_only_wrap(manager, name, plugin)
    _must_be_complete(manager, provider_name, provider)
    return manager


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        # pluggy's text names the hook and the signature; it quotes no values.
        reason = str(error).strip().splitlines()[-1]
        raise PluginBroken(f"plugin {name!r} does not fit the hooks: {reason}", plugin=name) from error
    except ValueError as error:
        raise PluginBroken(f"plugin {name!r} is registered twice", plugin=name) from error


def _must_only_wrap(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin and not (implementation.wrapper or implementation.hookwrapper):
                raise PluginBroken(
                    f"observer {name!r} answers the hook {caller.name!r} instead of wrapping it",
                    plugin=name,
                    hint="An observer's hooks are marked hookimpl(wrapper=True)",
                )


def _must_be_complete(manager: pluggy.PluginManager, name: str, provider: object) -> None:
    implemented = {caller.name for caller in manager.get_hookcallers(provider) or ()}
    missing = [hook for hook in REQUIRED_OF_PROVIDERS if hook not in implemented]
    if missing:
        raise PluginBroken(
            f"provider {name!r} lacks the hook{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            plugin=name,
            hint="Mark each function with freshkey.hookimpl",
        )
