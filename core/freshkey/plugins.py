"""Finds plugins by metadata, loads one by name, and wires one plugin manager for one provider and one store."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pluggy
from attrs import frozen

from freshkey import hooks
from freshkey.errors import ConfigurationError, PluginBroken, describe_raise


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
REQUIRED_OF_STORES = ("store",)

WRAPPING = "An observer's hooks are marked hookimpl(wrapper=True)"


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

    announced = {_found(point) for point in entry_points(group=group)}
    found = sorted(announced, key=lambda plugin: (plugin.name, plugin.distribution))
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
        reason = describe_raise(error)
        if isinstance(error, ModuleNotFoundError) and error.name:
            reason = f"there is no module {error.name!r}: {reason}"
        raise PluginBroken(
            f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} cannot be imported ({reason})",
            plugin=plugin.name,
            hint=f"Update or uninstall {plugin.distribution}",
        ) from None
    return loaded


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
        PluginBroken: A signature does not fit, a hook is misspelt or missing, an observer does not wrap, or another
            plugin does what is not its part.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    ordered = [(provider_name, provider), store] if store_is_configured else [store, (provider_name, provider)]
    # pluggy asks the plugin that was registered last first.
    for name, plugin in [*ordered, *observers.items()]:
        _register(manager, plugin, name)
    for name, plugin in observers.items():
        _must_only_wrap(manager, name, plugin)
    _must_only_answer(manager, provider_name, provider)
    _must_implement(manager, f"provider {provider_name!r}", provider, REQUIRED_OF_PROVIDERS)
    _must_only_answer(manager, *store)
    _must_only_keep(manager, *store)
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


def _implementations(manager: pluggy.PluginManager, plugin: object) -> Iterator[tuple[str, bool]]:
    """Yield the name of each hook that a plugin implements, and whether it wraps it."""
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                yield caller.name, implementation.wrapper or implementation.hookwrapper


def _must_only_wrap(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    implemented = list(_implementations(manager, plugin))
    for hook, wraps in implemented:
        if not wraps:
            raise PluginBroken(
                f"observer {name!r} answers the hook {hook!r} instead of wrapping it", plugin=name, hint=WRAPPING
            )
    if not implemented:
        # It may be there to forbid something: doing nothing must not pass for that.
        raise PluginBroken(f"observer {name!r} wraps no hook", plugin=name, hint=WRAPPING)


def _must_only_answer(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    for hook, wraps in _implementations(manager, plugin):
        if wraps:
            raise PluginBroken(f"plugin {name!r} wraps the hook {hook!r}, as only observers may", plugin=name)


def _must_implement(manager: pluggy.PluginManager, name: str, plugin: object, required: tuple[str, ...]) -> None:
    implemented = {hook for hook, _ in _implementations(manager, plugin)}
    missing = [hook for hook in required if hook not in implemented]
    if missing:
        raise PluginBroken(
            f"{name} lacks the hook{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            plugin=manager.get_name(plugin) or name,
            hint="Mark each function with freshkey.hookimpl",
        )


def _must_only_keep(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    """Refuse a store plugin that would answer in the provider's place."""
    _must_implement(manager, name, plugin, REQUIRED_OF_STORES)
    for hook, _ in _implementations(manager, plugin):
        if hook not in REQUIRED_OF_STORES:
            raise PluginBroken(f"{name} answers the hook {hook!r}, which is the provider's", plugin=name)
