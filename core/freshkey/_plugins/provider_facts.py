"""What there is to know of one provider: it is imported and asked, without a profile."""

from __future__ import annotations

from attrs import frozen

from freshkey._config.setting_facts import SettingFacts, setting_facts
from freshkey._plugins import discovery
from freshkey._plugins.discovery import Found
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.hook_checks import contract_of
from freshkey._plugins.wiring import wire
from freshkey.model.description import Description


@frozen(kw_only=True)
class ProviderFacts:
    """One installed provider.

    Attributes:
        found: Its metadata.
        contract: The version of the contract that it was made for.
        description: Its description of itself, without a profile.
        settings: Its settings.
    """

    found: Found
    contract: int
    description: Description
    settings: tuple[SettingFacts, ...]


def provider_facts(name: str) -> ProviderFacts:
    """Import a provider, and return what there is to know of it.

    Raises:
        ConfigurationError: It is not installed, or must not be used.
        PluginBroken: It cannot be loaded, or does not implement the hooks correctly; the message says why.
    """
    plugin = discovery.load_provider(name)
    found = next(each for each in discovery.find() if each.name == name)
    store = ("memory", discovery.load_store("memory"))
    metadata = {name: found}
    manager = wire(name, plugin, store=store, store_is_configured=False, observers={}, found=metadata)
    description = HookCaller(manager, name, lambda _: None, found=metadata).describe(None)
    contract = contract_of(plugin, found.module.partition(":")[0])
    return ProviderFacts(
        found=found,
        contract=int(str(contract)),
        description=description,
        settings=setting_facts(description.settings),
    )
