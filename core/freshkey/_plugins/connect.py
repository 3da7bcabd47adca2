"""Loads and wires the provider, store and observers of a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from freshkey._config.configuration import Configuration
from freshkey._config.profile_table import ProfileTable
from freshkey._plugins import discovery
from freshkey._plugins.discovery import Loaded
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import OBSERVER, wire
from freshkey.events import Event


def connect(
    table: ProfileTable, configuration: Configuration, given: Mapping[str, object], emit: Callable[[Event], None]
) -> HookCaller:
    """Load provider, store and observers of a profile, and return the caller of their hooks.

    `given` are providers that the application passes by ID; they override installed ones. `emit` receives events
    about observers that fail.

    Raises:
        ConfigurationError: The provider, the store or an observer is not installed.
        PluginBroken: One of them cannot be loaded, or does not implement the hooks correctly.
    """
    known = discovery.provider_ids(given)
    if table.provider not in known:
        discovery.refuse_flawed(table.provider)
        raise configuration.unknown(table, known)
    name, is_given = table.provider, table.provider in given
    loaded = {
        name: Loaded(given[name]) if is_given else discovery.load(name, discovery.PROVIDERS),
        f"store {table.store_name}": discovery.load(table.store_name, discovery.STORES),
        **{f"{OBSERVER}{each}": discovery.load(each, discovery.OBSERVERS) for each in configuration.observers},
    }
    found = {key: one.found for key, one in loaded.items() if one.found is not None}
    provides, stores, *observers = loaded
    manager = wire(
        provides,
        loaded[provides].plugin,
        store=(stores, loaded[stores].plugin),
        store_is_configured=table.store is not None,
        observers={key.removeprefix(OBSERVER): loaded[key].plugin for key in observers},
        found=found,
    )
    return HookCaller(manager, table.provider, emit, found=found)
