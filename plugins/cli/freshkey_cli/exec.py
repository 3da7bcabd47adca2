"""The command ``exec``: replace this process with another program that has the credential in its environment."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from freshkey.admin import MIN_DESCRIPTOR, child_environment, sending_nothing
from freshkey_cli import exec_process, options, render
from freshkey_cli.credential_text import child_variables


if TYPE_CHECKING:
    from freshkey import Credential
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target

SOON: Final = 3600.0
"""Remaining seconds below which a notice says when the credential expires; the program cannot renew it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile and the options; the parser has already removed the program's own words."""
    parser.usage = "freshkey exec [options] [PROFILE] -- COMMAND [ARG ...]"
    options.add_profile(parser, bare=True)
    options.add_min_ttl(parser)
    parser.add_argument(
        "--keep-fd",
        metavar="N",
        type=_descriptor,
        action="append",
        default=[],
        help="keep this file descriptor open for the command (repeatable)",
    )
    parser.set_defaults(check_usage=functools.partial(_check, parser))


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.unknown or not arguments.words:
        parser.error("missing command; expected: -- COMMAND [ARG ...]")


def _descriptor(text: str) -> int:
    with suppress(ValueError):
        if (number := int(text)) >= MIN_DESCRIPTOR:
            return number
    raise argparse.ArgumentTypeError(f"expected a file descriptor ({MIN_DESCRIPTOR} or higher)")


def run(context: Context) -> int:
    """Run a program with the credential in the variables that its client libraries read."""
    kept = context.arguments.keep_fd
    exec_process.check_descriptors(kept)
    environ, told = _prepared(context)
    with sending_nothing():  # so that what is waited for is all that could be cut off
        exec_process.wait_for_renewals()
        if told is not None:
            context.out.say(told)
        return exec_process.replace(context.arguments.words, environ, kept)


def _prepared(context: Context) -> tuple[dict[str, str], str | None]:
    """Return the program's environment, which alone has the credential where this process stays, and what to say."""
    name = context.profile()
    with context.keeper(name) as keeper:
        credential = keeper.get(name.profile, min_ttl=context.arguments.min_ttl, account=name.account)
        family = keeper.describe(name.profile).variables
        context.tell(keeper, name, credential)
    return _environment(context.environ, family, child_variables(name, credential)), _its_end(name, credential)


def _environment(inherited: Mapping[str, str], family: Collection[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the inherited variables, with the provider's family of them replaced by this profile's credential.

    Nothing that unlocks freshkey's store is passed on: the program would have the refresh token, too.
    """
    ours = {_same(name) for name in (*family, *own)}
    kept = child_environment(inherited)
    return {name: value for name, value in kept.items() if _same(name) not in ours} | dict(own)


def _same(name: str) -> str:
    """Return what variables have in common that are one: on Windows, their names are the same in either case."""
    return name.upper() if sys.platform == "win32" else name


def _its_end(name: Target, credential: Credential) -> str | None:
    left = render.seconds_left(credential)
    if left is None or left >= SOON:
        return None
    told = f"{name}: the credential expires in {render.span(left)}, and the command cannot renew it"
    is_old = credential.lifetime is not None and credential.lifetime > SOON
    return f"{told}; use --min-ttl to get a fresh one" if is_old else told
