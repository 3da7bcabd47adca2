"""Wires one plugin manager for one provider and one store: what each kind of plugin may implement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pluggy

from freshkey import hooks
from freshkey.errors import PluginBroken


REQUIRED_OF_PROVIDERS: Final = ("describe", "acquire", "refresh")

REQUIRED_OF_STORES: Final = ("store",)

WRAPPING: Final = "An observer's hooks are marked hookimpl(wrapper=True)"


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
