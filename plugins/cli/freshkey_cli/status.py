"""The command ``status``: show stored credentials and when they expire, without network access."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from freshkey import admin
from freshkey.errors import FreshkeyError
from freshkey_cli import exits, options, render
from freshkey_cli.providers import NO_PROVIDER


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_cli.context import Context

HEADER: Final = ("PROFILE", "PROVIDER", "STORE", "SOURCE", "TIME LEFT", "STATE", "ACCOUNT")

NO_PROFILE: Final = "No profiles are configured, so each provider is a profile of its name, with default settings."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser, bare=True)


def run(context: Context) -> int:
    """Show each profile; one that cannot be shown does not hide the others."""
    names = _profiles_to_show(context)
    first_run = not (context.arguments.profile or context.configuration.profile_names())
    with context.keeper() as keeper:
        shown = [_status(keeper, name, brief=first_run) for name in names]
    value = {"profiles": [value for value, _, _ in shown]}
    context.out.table(value, HEADER, [row for _, row, _ in shown])
    for _, _, told in shown:
        for text in told:
            context.out.say(text)
    if first_run and not context.configuration.bare:
        available = [str(value["profile"]) for value, _, _ in shown if value.get("source")]
        context.out.say(*_how_to_start(context, (*available, *names)))
    return exits.OK


def _profiles_to_show(context: Context) -> tuple[str, ...]:
    """Return the given profile, or else all configured ones, or else one for each installed provider."""
    if context.arguments.profile:
        return (context.configuration.select(context.arguments.profile).name,)
    configured = context.configuration.profile_names()
    if configured:
        return configured
    return tuple(plugin.name for plugin in admin.find() if plugin.flaw is None)


def _status(keeper: Keeper, name: str, *, brief: bool) -> tuple[dict[str, object], list[str], list[str]]:
    """Return the value, the row, and messages to print below the table, where sentences do not widen it.

    With `brief`, a source without a credential is no reason for a message: for all providers that would be too many.
    """
    try:
        found = keeper.status(name)
    except FreshkeyError as error:
        error.profile = error.profile or name
        facts = {"code": error.code, "kind": type(error).__name__, "message": error.message}
        name = admin.masked(name)  # a key in its place
        value: dict[str, object] = {"profile": name, "error": facts}
        blanks = ["-"] * (len(HEADER) - 3)
        return value, [name, *blanks, "error", "-"], [admin.masked(str(error))]
    trouble = render.status_trouble(found, brief=brief)
    told = (trouble, render.hidden_sign_in(found), render.overruled(found), render.ignored(found))
    return render.status(found), render.status_row(found), [text for text in told if text]


def _how_to_start(context: Context, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return (NO_PROVIDER,)
    return (
        f"{NO_PROFILE} To see what it needs next, run for example: freshkey status {names[0]}",
        f"To add a profile, edit {context.configuration.path}, for example:",
        '  default = "me"',
        "  [profiles.me]",
        f'  provider = "{names[0]}"',
        "then run: freshkey status",
    )
