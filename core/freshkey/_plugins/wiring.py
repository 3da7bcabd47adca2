"""Wires a plugin manager for one provider and one store, and checks which hooks each plugin implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pluggy
from attrs import frozen

from freshkey import hooks
from freshkey._plugins.hook_checks import flaw_of_contract, flaw_of_hooks, hint_for_missing
from freshkey.errors import PluginBroken


if TYPE_CHECKING:
    from freshkey._plugins.discovery import Found

REQUIRED_OF_PROVIDERS: Final = ("describe", "acquire", "refresh")
REQUIRED_OF_STORES: Final = ("store",)

WRAPPING: Final = "Mark the hooks of an observer with hookimpl(wrapper=True)"

OBSERVER: Final = "observer "
"""What comes before the name of an observer in the plugin manager: a provider may have the same name."""


@frozen
class _Plugin:
    """A plugin to wire.

    Attributes:
        registered: Its name in the plugin manager.
        name: Its own name.
        shown: What it is called in messages, with its distribution.
        plugin: The module or object.
        found: Its metadata, if it is installed.
    """

    registered: str
    name: str
    shown: str
    plugin: object
    found: Found | None

    def misfit(self, what: str, hint: str | None = None) -> PluginBroken:
        """Return the error about hooks that do not fit; `what` follows its name."""
        return self.broken(what, hint, code="plugin-hooks-invalid")

    def broken(self, what: str, hint: str | None = None, *, code: str) -> PluginBroken:
        """Return the error about it; `what` follows its name."""
        entry = f" (entry point {self.found.entry})" if self.found else ""
        return PluginBroken(f"{self.shown}{entry} {what}", plugin=self.name, hint=hint, code=code)


def shown(what: str, found: Found | None) -> str:
    """Return what a plugin is called in messages, such as ``provider 'example' of freshkey-example 0.3.1``."""
    return f"{what} of {found.origin}" if found else what


def wire(
    provider_name: str,
    provider: object,
    *,
    store: tuple[str, object],
    store_is_configured: bool,
    observers: Mapping[str, object],
    found: Mapping[str, Found] | None = None,
) -> pluggy.PluginManager:
    """Return a manager with one provider, one store plugin and the configured observers, and nothing else.

    Store and observers are passed with their names. A store from configuration comes before the provider's own, and the
    default store after it. `found` has the metadata of those that are installed, by their names in the manager: that of
    an observer begins with `OBSERVER`.

    Raises:
        PluginBroken: A plugin was made for a newer contract, a hook has a wrong signature, is misspelled or missing, an
            observer does not wrap, or another plugin implements hooks that it must not.
    """
    metadata = found or {}

    def named(key: str, name: str, what: str, plugin: object) -> _Plugin:
        return _Plugin(key, name, shown(what, metadata.get(key)), plugin, metadata.get(key))

    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    provides = named(provider_name, provider_name, f"provider {provider_name!r}", provider)
    stores = named(store[0], store[0], store[0], store[1])
    wrapping = [named(f"{OBSERVER}{name}", name, f"observer {name!r}", plugin) for name, plugin in observers.items()]
    # pluggy calls the plugin that was registered last first.
    for one in (provides, stores) if store_is_configured else (stores, provides):
        _register(manager, one, wraps=False)
    for one in wrapping:
        _register(manager, one, wraps=True)
    for one in wrapping:
        _must_only_wrap(one, _implementations(manager, one.plugin))
    _must_answer(provides, _implementations(manager, provider), REQUIRED_OF_PROVIDERS)
    implemented = _implementations(manager, stores.plugin)
    _must_answer(stores, implemented, REQUIRED_OF_STORES)
    for hook, _ in implemented:
        if hook not in REQUIRED_OF_STORES:
            raise stores.misfit(f"implements the hook {hook!r}, which only providers may do")
    return manager


def _register(manager: pluggy.PluginManager, one: _Plugin, *, wraps: bool) -> None:
    module = one.found.module.partition(":")[0] if one.found else None
    if flaw := flaw_of_contract(one.plugin, module):
        raise one.broken(*flaw, code="plugin-contract-unsupported")
    if flaw := flaw_of_hooks(one.plugin, wraps=wraps):
        raise one.misfit(*flaw)
    if manager.is_registered(one.plugin):
        raise one.broken("is registered twice", code="plugin-name-conflict")
    try:
        manager.register(one.plugin, one.registered)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        # Its message contains the hook and the signature, but no values.
        raise one.misfit(f"implements the hooks incorrectly: {str(error).strip().splitlines()[-1]}") from None


def _implementations(manager: pluggy.PluginManager, plugin: object) -> list[tuple[str, bool]]:
    """Return the name of each hook that a plugin implements, and whether it wraps the hook."""
    return [
        (caller.name, implementation.wrapper or implementation.hookwrapper)
        for caller in manager.get_hookcallers(plugin) or ()
        for implementation in caller.get_hookimpls()
        if implementation.plugin is plugin
    ]


def _must_only_wrap(one: _Plugin, implemented: list[tuple[str, bool]]) -> None:
    for hook, wraps in implemented:
        if not wraps:
            raise one.misfit(f"implements the hook {hook!r} instead of wrapping it", WRAPPING)
    if not implemented:
        # It may be meant to forbid something: an observer without effect must not go unnoticed.
        raise one.misfit("does not wrap any hook", WRAPPING)


def _must_answer(one: _Plugin, implemented: list[tuple[str, bool]], required: tuple[str, ...]) -> None:
    for hook, wraps in implemented:
        if wraps:
            raise one.misfit(f"wraps the hook {hook!r}, which only observers may do")
    missing = [hook for hook in required if (hook, False) not in implemented]
    if missing:
        what = f"does not implement the hook{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise one.misfit(what, hint_for_missing(one.plugin, missing[0]))
