"""The command ``login``: sign in or enter an existing key, and store the credential."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from freshkey.errors import ConfigurationError
from freshkey_cli import options
from freshkey_cli.kept import show_kept


if TYPE_CHECKING:
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile and how to obtain the credential."""
    options.add_profile(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", metavar="ID", help="get the credential from this source (see: freshkey explain)")
    source.add_argument("--api-key", action="store_true", help="store an API key, read from a prompt or stdin")
    parser.add_argument(
        "--import-from",
        metavar="SERVICE/USERNAME",
        type=_item,
        help="move the API key from another program's keychain item (requires --api-key)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the URL instead of opening a browser")
    parser.add_argument("--replace", action="store_true", help="replace an existing sign-in without asking")
    parser.set_defaults(check_usage=functools.partial(_check, parser))


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.import_from and not arguments.api_key:
        parser.error("argument --import-from: requires --api-key")


def _item(text: str) -> tuple[str, str]:
    service, _, username = text.rpartition("/")
    if not service or not username:
        raise argparse.ArgumentTypeError("expected SERVICE/USERNAME")
    return service, username


def run(context: Context) -> int:
    """Sign in or read an existing key, and store the credential."""
    name, arguments = context.named_profile("login"), context.arguments
    _check_store(context, name)
    if arguments.api_key:
        return _keep_key(context, name)
    user = context.user(browser=not arguments.no_browser)
    with context.keeper(name) as keeper:
        credential = keeper.login(
            name.profile,
            source=arguments.source,
            replace=arguments.replace,
            interaction=user,
            account=name.account,
        )
        return show_kept(context, keeper, name, credential, "Signed in as")


def _check_store(context: Context, name: Target) -> None:
    """Refuse a sign-in that would end with this command, before the user is asked for anything."""
    try:
        store = context.configuration.table(name.profile).store
    except ConfigurationError:
        return  # the keeper reports it, if it matters
    if store == "memory":
        raise ConfigurationError(
            "a sign-in in the store 'memory' would end with this command",
            profile=name.profile,
            hint='Set store = "keyring" or store = "file" for the profile in config.toml',
            code="store-not-persistent",
        )


def _keep_key(context: Context, name: Target) -> int:
    from freshkey_cli.key_input import KeyGiver

    user, arguments = KeyGiver(context.out, environ=context.environ), context.arguments
    profile, account = name.profile, name.account
    with context.keeper(name) as keeper:
        if arguments.import_from is None:
            credential = keeper.login(
                profile, pasted=True, replace=arguments.replace, interaction=user, account=account
            )
        else:
            credential = keeper.import_key(profile, *arguments.import_from, reporter=user, account=account)
        return show_kept(context, keeper, name, credential, "API key stored for")
