"""Wires one plugin manager for one provider and one store: what each kind of plugin may implement."""

from __future__ import annotations

from collections.abc import Mapping
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

    Store and observers come with their names. A store that configuration named is asked before the provider is.

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
        _must_only_wrap(name, _implementations(manager, plugin))
    implemented = _implementations(manager, provider)
    _must_answer(provider_name, f"provider {provider_name!r}", implemented, REQUIRED_OF_PROVIDERS)
    name, plugin = store
    implemented = _implementations(manager, plugin)
    _must_answer(name, name, implemented, REQUIRED_OF_STORES)
    for hook, _ in implemented:
        if hook not in REQUIRED_OF_STORES:
            raise PluginBroken(f"{name} answers the hook {hook!r}, which is the provider's", plugin=name)
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


def _implementations(manager: pluggy.PluginManager, plugin: object) -> list[tuple[str, bool]]:
    """Return the name of the hook of each implementation that a plugin has, and whether it wraps the hook."""
    return [
        (caller.name, implementation.wrapper or implementation.hookwrapper)
        for caller in manager.get_hookcallers(plugin) or ()
        for implementation in caller.get_hookimpls()
        if implementation.plugin is plugin
    ]


def _must_only_wrap(name: str, implemented: list[tuple[str, bool]]) -> None:
    for hook, wraps in implemented:
        if not wraps:
            raise PluginBroken(
                f"observer {name!r} answers the hook {hook!r} instead of wrapping it", plugin=name, hint=WRAPPING
            )
    if not implemented:
        # It may be there to forbid something: doing nothing must not pass for that.
        raise PluginBroken(f"observer {name!r} wraps no hook", plugin=name, hint=WRAPPING)


def _must_answer(name: str, shown: str, implemented: list[tuple[str, bool]], required: tuple[str, ...]) -> None:
    for hook, wraps in implemented:
        if wraps:
            raise PluginBroken(f"plugin {name!r} wraps the hook {hook!r}, as only observers may", plugin=name)
    missing = [hook for hook in required if (hook, False) not in implemented]
    if missing:
        raise PluginBroken(
            f"{shown} lacks the hook{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            plugin=name,
            hint="Mark each function with freshkey.hookimpl",
        )
