"""Wires a plugin manager for one provider and one store, and checks which hooks each plugin implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pluggy

from freshkey import hooks
from freshkey.errors import PluginBroken


REQUIRED_OF_PROVIDERS: Final = ("describe", "acquire", "refresh")
REQUIRED_OF_STORES: Final = ("store",)

WRAPPING: Final = "Mark the hooks of an observer with hookimpl(wrapper=True)"


def wire(
    provider_name: str,
    provider: object,
    *,
    store: tuple[str, object],
    store_is_configured: bool,
    observers: Mapping[str, object],
) -> pluggy.PluginManager:
    """Return a manager with one provider, one store plugin and the configured observers, and nothing else.

    Store and observers are passed with their names. A store from configuration comes before the provider's own, and the
    default store after it.

    Raises:
        PluginBroken: A hook has a wrong signature, is misspelled or missing, an observer does not wrap, or another
            plugin implements hooks that it must not.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    ordered = [(provider_name, provider), store] if store_is_configured else [store, (provider_name, provider)]
    # pluggy calls the plugin that was registered last first.
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
            raise PluginBroken(
                f"{name} implements the hook {hook!r}, which only providers may do",
                plugin=name,
                code="plugin-hooks-invalid",
            )
    return manager


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        # pluggy's message contains the hook and the signature, but no values.
        reason = str(error).strip().splitlines()[-1]
        raise PluginBroken(
            f"plugin {name!r} implements the hooks incorrectly: {reason}", plugin=name, code="plugin-hooks-invalid"
        ) from error
    except ValueError as error:
        raise PluginBroken(f"plugin {name!r} is registered twice", plugin=name, code="plugin-name-conflict") from error


def _implementations(manager: pluggy.PluginManager, plugin: object) -> list[tuple[str, bool]]:
    """Return the name of each hook that a plugin implements, and whether it wraps the hook."""
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
                f"observer {name!r} implements the hook {hook!r} instead of wrapping it",
                plugin=name,
                hint=WRAPPING,
                code="plugin-hooks-invalid",
            )
    if not implemented:
        # It may be meant to forbid something: an observer without effect must not go unnoticed.
        raise PluginBroken(
            f"observer {name!r} does not wrap any hook", plugin=name, hint=WRAPPING, code="plugin-hooks-invalid"
        )


def _must_answer(name: str, shown: str, implemented: list[tuple[str, bool]], required: tuple[str, ...]) -> None:
    for hook, wraps in implemented:
        if wraps:
            raise PluginBroken(
                f"plugin {name!r} wraps the hook {hook!r}, which only observers may do",
                plugin=name,
                code="plugin-hooks-invalid",
            )
    missing = [hook for hook in required if (hook, False) not in implemented]
    if missing:
        raise PluginBroken(
            f"{shown} does not implement the hook{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            plugin=name,
            hint="Mark each function with freshkey.hookimpl",
            code="plugin-hooks-invalid",
        )
