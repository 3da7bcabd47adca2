"""The command ``providers``: list the installed providers, from package metadata only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from freshkey_cli import exits


if TYPE_CHECKING:
    from freshkey_cli.context import Context

NO_PROVIDER: Final = "No providers are installed. Install a provider package, such as freshkey-claude-oauth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the command takes no arguments."""


def run(context: Context) -> int:
    """List the installed providers without importing them."""
    from freshkey import admin

    found = admin.find()
    value = {
        "providers": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "flaw": plugin.flaw,
            }
            for plugin in found
        ]
    }
    rows = [
        [plugin.shown_name + (" (not used)" if plugin.flaw else ""), plugin.distribution, plugin.version]
        for plugin in found
    ]
    context.out.table(value, ("PROVIDER", "DISTRIBUTION", "VERSION"), rows)
    for sentence in dict.fromkeys(f"{plugin.shown_name} {plugin.flaw}" for plugin in found if plugin.flaw):
        context.out.say(f"{sentence}, and is not used")
    if not found:
        context.out.say(NO_PROVIDER)
    return exits.OK
