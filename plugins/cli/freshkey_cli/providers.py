"""The command ``providers``: list what is installed, from metadata only; or show one provider, which is imported."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from freshkey_cli import exits


if TYPE_CHECKING:
    from freshkey.admin import Found, ProviderFacts
    from freshkey.plugin import Source
    from freshkey_cli.context import Context

NO_PROVIDER: Final = "No providers are installed. Install a provider package, such as freshkey-claude-oauth"

TRAITS: Final = ("owned", "interactive", "automatic")
"""Attributes of a source that `providers NAME` shows, each as a member and a word."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the provider to show, and what to list."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("provider", metavar="PROVIDER", nargs="?", help="show this provider, or why it cannot be loaded")
    which.add_argument("--all", action="store_true", help="also list stores and observers")


def run(context: Context) -> int:
    """List the installed plugins without importing them, or show one provider."""
    if context.arguments.provider is not None:
        return _show(context, context.arguments.provider)
    from freshkey import admin

    found = {"provider": admin.find()}
    if context.arguments.all:
        found |= {"store": (*_own_stores(), *admin.find(admin.STORES)), "observer": admin.find(admin.OBSERVERS)}
    value = {f"{kind}s": [_metadata(plugin) for plugin in plugins] for kind, plugins in found.items()}
    listed = [(kind, plugin) for kind, plugins in found.items() for plugin in plugins]
    rows = [
        [plugin.shown_name + (" (not used)" if plugin.flaw else ""), plugin.distribution, plugin.version]
        for _, plugin in listed
    ]
    header = ["PROVIDER", "DISTRIBUTION", "VERSION"]
    if context.arguments.all:
        rows = [[kind, *row] for (kind, _), row in zip(listed, rows, strict=True)]
        header = ["KIND", "NAME", *header[1:]]
    context.out.table(value, header, rows)
    for sentence in dict.fromkeys(f"{plugin.shown_name} {plugin.flaw}" for _, plugin in listed if plugin.flaw):
        context.out.say(f"{sentence}, and is not used")
    if not found["provider"]:
        context.out.say(NO_PROVIDER)
    return exits.OK


def _metadata(plugin: Found) -> dict[str, str | None]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "flaw": plugin.flaw,
    }


def _own_stores() -> Iterator[Found]:
    from freshkey import __version__, admin

    for name, module in admin.OWN_STORES.items():
        yield admin.Found(name=name, distribution="freshkey", version=__version__, module=module)


def _show(context: Context, name: str) -> int:
    from freshkey import admin

    facts = admin.provider_facts(name)
    value = _as_json(facts)
    context.out.result(value, _lines(value))
    return exits.OK


def _as_json(facts: ProviderFacts) -> dict[str, Any]:
    described = facts.description
    return {
        **_metadata(facts.found),
        "contract": facts.contract,
        "title": described.title,
        "sources": [_source(each) for each in described.sources],
        "settings": [
            {"name": each.name, "type": each.type, "default": each.default, "about": each.about}
            for each in facts.settings
        ],
        "formats": sorted(described.formats),
        "exports": sorted(described.exports),
        "hosts": list(described.hosts),
        "variables": list(described.variables),
    }


def _source(source: Source) -> dict[str, object]:
    return {"id": source.id, "title": source.title, **{trait: getattr(source, trait) for trait in TRAITS}}


def _lines(value: dict[str, Any]) -> Iterator[str]:
    package = f"{value['distribution']} {value['version']}"
    yield f"{value['title']} ({value['name']} of {package}, contract {value['contract']})"
    yield "Sources, in order:"
    for each in value["sources"]:
        words = ["owned" if each["owned"] else "borrowed", *(one for one in TRAITS if one != "owned" and each[one])]
        yield f"  {each['id']}: {each['title']} ({', '.join(words)})"
    if value["settings"]:
        yield "Settings:"
    for each in value["settings"]:
        default = "" if each["default"] is None else f", by default {each['default']}"
        yield f"  {each['name']}: {each['type']}{default}"
        if each["about"]:
            yield f"    {each['about']}"
    for title in ("formats", "exports", "hosts", "variables"):
        if value[title]:
            yield f"{title.capitalize()}: {', '.join(value[title])}"
