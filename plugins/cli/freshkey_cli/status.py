"""The command ``status``: show what is kept and for how long it is good, without the network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from freshkey.errors import FreshkeyError
from freshkey_cli import exits, options, render
from freshkey_cli.providers import NO_PROVIDER


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_cli.context import Context

HEADER: Final = ("PROFILE", "PROVIDER", "STORE", "SOURCE", "LEFT", "STATE", "ACCOUNT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser, bare=True)


def run(context: Context) -> int:
    """Show each profile; one that cannot be shown does not hide the others."""
    names = _profiles_to_show(context)
    with context.keeper() as keeper:
        shown = [_status(keeper, name) for name in names]
    value = {"profiles": [value for value, _, _ in shown]}
    context.out.table(value, HEADER, [row for _, row, _ in shown])
    for _, _, trouble in shown:
        if trouble:
            context.out.say(trouble)
    if not context.configuration.profile_names() and not context.configuration.bare:
        context.out.say(_how_to_start(context, names))
    return exits.OK


def _profiles_to_show(context: Context) -> tuple[str, ...]:
    """Return the named profile, else all configured ones, else the installed providers as bare profiles."""
    if context.arguments.profile:
        return (context.profile(),)
    configured = context.configuration.profile_names()
    if configured:
        return configured
    from freshkey import admin

    return tuple(plugin.name for plugin in admin.find())


def _status(keeper: Keeper, name: str) -> tuple[dict[str, object], list[str], str | None]:
    """Return the value, the row, and what is to be said beside it: sentences would spread the table."""
    try:
        found = keeper.status(name)
    except FreshkeyError as error:
        error.profile = error.profile or name
        value: dict[str, object] = {"profile": name, "error": {"kind": type(error).__name__, "message": error.message}}
        blanks = ["-"] * (len(HEADER) - 3)
        return value, [name, *blanks, "cannot tell", "-"], str(error)
    return render.status(found), render.status_row(found), render.status_trouble(found)


def _how_to_start(context: Context, names: tuple[str, ...]) -> str:
    if not names:
        return NO_PROVIDER
    return (
        f"No profile is configured. Write one into {context.configuration.path}, such as:\n"
        f'  default = "me"\n  [profiles.me]\n  provider = "{names[0]}"\n'
        "then run: freshkey login"
    )
