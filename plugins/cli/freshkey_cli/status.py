"""The command ``status``: show stored credentials and when they expire, without network access."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from freshkey.errors import FreshkeyError
from freshkey_cli import exits, options, render
from freshkey_cli.providers import NO_PROVIDER


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_cli.context import Context

HEADER: Final = ("PROFILE", "PROVIDER", "STORE", "SOURCE", "TIME LEFT", "STATE", "ACCOUNT")


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
    """Return the given profile, or else all configured ones, or else one for each installed provider."""
    if context.arguments.profile:
        return (context.profile(),)
    configured = context.configuration.profile_names()
    if configured:
        return configured
    from freshkey import admin

    return tuple(plugin.name for plugin in admin.find())


def _status(keeper: Keeper, name: str) -> tuple[dict[str, object], list[str], str | None]:
    """Return the value, the row, and a message to print below the table, where sentences do not widen it."""
    try:
        found = keeper.status(name)
    except FreshkeyError as error:
        error.profile = error.profile or name
        facts = {"code": error.code, "kind": type(error).__name__, "message": error.message}
        value: dict[str, object] = {"profile": name, "error": facts}
        blanks = ["-"] * (len(HEADER) - 3)
        return value, [name, *blanks, "error", "-"], str(error)
    return render.status(found), render.status_row(found), render.status_trouble(found)


def _how_to_start(context: Context, names: tuple[str, ...]) -> str:
    if not names:
        return NO_PROVIDER
    return (
        f"No profiles are configured. Add one to {context.configuration.path}, for example:\n"
        f'  default = "me"\n  [profiles.me]\n  provider = "{names[0]}"\n'
        "then run: freshkey login"
    )
