"""The command ``providers``: list what is installed, from metadata alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from freshkey_cli import exits


if TYPE_CHECKING:
    from freshkey_cli.context import Context

NO_PROVIDER: Final = "No provider is installed. Install the distribution that brings yours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: it takes no profile."""


def run(context: Context) -> int:
    """List what is installed, from metadata alone: no provider is imported."""
    from freshkey import admin

    found = admin.find()
    value = {
        "providers": [
            {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version} for plugin in found
        ]
    }
    rows = [[plugin.name, plugin.distribution, plugin.version] for plugin in found]
    context.out.table(value, ("PROVIDER", "DISTRIBUTION", "VERSION"), rows)
    if not found:
        context.out.say(NO_PROVIDER)
    return exits.OK
