"""Profiles and keepers for tests: a manual clock, scripted exchanges, nothing outside the test's own folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from freshkey import Configuration, Keeper, Profile
from freshkey._plugins.discovery import load_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
from freshkey.admin import SendToHosts
from freshkey.plugin import BoundSend, Request, Response


if TYPE_CHECKING:
    from freshkey_testing.exchanges import ScriptedExchanges

GROUP: Final = "freshkey.providers"

_DEADLINE: Final = 30.0
"""As that of the real one, in seconds."""


def make_profile(
    provider: object, settings: object, script: ScriptedExchanges, fields: Mapping[str, object]
) -> Profile:
    """Return a profile of a provider that sends to `script`; see the fixture ``freshkey_profile``."""
    provider_id, module = identified(provider)
    hooks = hooks_of(provider_id, module)
    made: Any = settings
    if settings is None or isinstance(settings, Mapping):
        made = hooks.describe(None).settings(**(settings or {}))
    values: dict[str, Any] = {"name": "test", "provider": provider_id, "settings": made, **fields}
    profile = Profile(**values)
    if "send" in values:
        return profile
    # Described when it sends, because a fixture that fails would hide which of the tests found what.
    made_when_used = functools.cache(lambda: SendToHosts.of(profile, hooks.describe(profile), script))
    return evolve(profile, send=_Late(made_when_used), listen=profile.listen or script.listen)


@frozen
class _Late:
    """A `freshkey.plugin.BoundSend` that is made when it is used."""

    _made: Callable[[], SendToHosts]

    def __call__(self, request: Request, *, deadline: float = _DEADLINE) -> Response:
        return self._made()(request, deadline=deadline)

    def with_hosts(self, hosts: Collection[str]) -> BoundSend:
        """Return a copy that also sends to these hosts."""
        return self._made().with_hosts(hosts)

    def allow(self, issuer: str, urls: Iterable[str]) -> None:
        """Also send to the hosts in the metadata of the issuer that the profile is bound to."""
        self._made().allow(issuer, urls)


def make_keeper(
    providers: Mapping[str, object],
    profiles: Mapping[str, Mapping[str, object]] | None,
    state_dir: Path,
    arguments: Mapping[str, Any],
) -> Keeper:
    """Return a keeper with the memory store; see the fixture ``freshkey_keeper``."""
    tables = profiles if profiles is not None else {name: {"provider": name} for name in providers}
    in_memory = {name: {"store": "memory", **table} for name, table in tables.items()}
    configuration = Configuration.of(in_memory, state_dir=state_dir, default=next(iter(tables), None))
    return Keeper(**{"configuration": configuration, "providers": providers, **arguments})


def identified(provider: object) -> tuple[str, object]:
    """Return the ID and the module or object of a provider, from either.

    Raises:
        LookupError: No provider of that ID is installed.
    """
    if not isinstance(provider, str):
        name: object = getattr(provider, "__name__", type(provider).__name__)
        return str(name).rpartition(".")[2].removeprefix("freshkey_").lower(), provider
    for each in entry_points(group=GROUP, name=provider):
        return provider, each.load()
    raise LookupError(f"there is no provider {provider!r}: pass its module, or install the package that has it")


def hooks_of(name: str, provider: object, observers: Mapping[str, object] | None = None) -> HookCaller:
    """Return the hooks of a provider, called as the core calls them, but with texts as the plugin wrote them.

    Raises:
        PluginBroken: They do not fit the contract.
    """
    memory = ("memory", load_store("memory"))
    manager = wire(name, provider, store=memory, store_is_configured=False, observers=observers or {})
    return HookCaller(manager, name, lambda _: None, cleans=False)
