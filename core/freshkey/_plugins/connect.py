"""Loads and wires the provider, store and observers of a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from freshkey._config.configuration import Configuration
from freshkey._config.profile_table import ProfileTable
from freshkey._plugins import discovery
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
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
    provider = given[table.provider] if table.provider in given else discovery.load_provider(table.provider)
    manager = wire(
        table.provider,
        provider,
        store=(f"store {table.store_name}", discovery.load_store(table.store_name)),
        store_is_configured=table.store is not None,
        observers={observer: discovery.load_observer(observer) for observer in configuration.observers},
    )
    return HookCaller(manager, table.provider, emit)
