"""The command ``status``: show stored credentials and when they expire, without network access."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from freshkey import admin
from freshkey.errors import FreshkeyError
from freshkey_cli import exits, options, render
from freshkey_cli.providers import NO_PROVIDER
from freshkey_cli.target import Target, given


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_cli.context import Context

HEADER: Final = ("PROFILE", "PROVIDER", "STORE", "SOURCE", "TIME LEFT", "STATE", "ACCOUNT")

MAX_SHOWN: Final = 50
"""Accounts of one profile; an application may have a hundred thousand, and looking at each opens its record."""

NO_PROFILE: Final = "No profiles are configured, so each provider is a profile of its name, with default settings."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser, bare=True)


def run(context: Context) -> int:
    """Show each profile; one that cannot be shown does not hide the others."""
    targets = _profiles_to_show(context)
    first_run = not (context.arguments.profile or context.configuration.profile_names())
    with context.keeper() as keeper:
        listed = [(target, *_accounts(keeper, target)) for target in targets]
        shown = [
            _status(keeper, each, brief=first_run or (each is target and bool(accounts)))
            for target, accounts, _ in listed
            for each in (target, *accounts)
        ]
    value = {"profiles": [value for value, _, _ in shown]}
    context.out.table(value, HEADER, [row for _, row, _ in shown])
    for _, _, told in shown:
        for text in told:
            context.out.say(text)
    for target, _, more in listed:
        if more:
            context.out.say(f"{target}: {more} more accounts; to see one, run: freshkey status {target.word}/ACCOUNT")
    if first_run and not context.configuration.bare:
        available = [str(value["profile"]) for value, _, _ in shown if value.get("source")]
        context.out.say(*_how_to_start(context, (*available, *(target.profile for target in targets))))
    return exits.OK


def _profiles_to_show(context: Context) -> tuple[Target, ...]:
    """Return the given profile, or else all configured ones, or else one for each installed provider."""
    profile, account = given(context.arguments.profile)
    if profile:
        return (Target(context.configuration.select(profile).name, account),)
    configured = context.configuration.profile_names()
    installed = () if configured else (plugin.name for plugin in admin.find() if plugin.flaw is None)
    return tuple(Target(name) for name in (*configured, *installed))


def _accounts(keeper: Keeper, target: Target) -> tuple[list[Target], int]:
    """Return the accounts of a profile to show below it, and how many more it has."""
    found: tuple[str, ...] = ()
    if target.account is None:
        with suppress(FreshkeyError):  # what is wrong with the profile is in its own row
            found = keeper.accounts(target.profile)
    return [Target(target.profile, account) for account in found[:MAX_SHOWN]], len(found[MAX_SHOWN:])


def _status(keeper: Keeper, target: Target, *, brief: bool) -> tuple[dict[str, object], list[str], list[str]]:
    """Return the value, the row, and messages to print below the table, where sentences do not widen it.

    With `brief`, a source without a credential is no reason for a message: for all providers that would be too many.
    """
    try:
        found = keeper.status(target.profile, account=target.account)
    except FreshkeyError as error:
        error.profile = error.profile or target.profile
        facts = {"code": error.code, "kind": type(error).__name__, "message": error.message}
        members = {name: admin.masked(str(text)) for name, text in target.members.items()}  # a key in its place
        value: dict[str, object] = {**members, "error": facts}
        blanks = ["-"] * (len(HEADER) - 3)
        return value, [admin.masked(str(target)), *blanks, "error", "-"], [admin.masked(str(error))]
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
