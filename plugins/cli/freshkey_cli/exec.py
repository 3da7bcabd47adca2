"""The command ``exec``: another program gets the credential in its environment, and this process's place."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from freshkey.admin import MIN_DESCRIPTOR
from freshkey_cli import exec_process, options, render
from freshkey_cli.credential_text import child_variables


if TYPE_CHECKING:
    from freshkey import Credential
    from freshkey_cli.context import Context

SOON: Final = 3600.0
"""Seconds before its end from which on a person is told when a credential ends; the program cannot renew it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile, and what the program keeps; the parser takes its words off before."""
    parser.usage = "freshkey exec [options] [PROFILE] -- COMMAND [ARG ...]"
    options.add_profile(parser, bare=True)
    options.add_min_ttl(parser)
    parser.add_argument(
        "--keep-fd",
        metavar="N",
        type=_descriptor,
        action="append",
        default=[],
        help="leave this file descriptor open for it; may be repeated",
    )
    parser.set_defaults(check_usage=functools.partial(_check, parser))


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.unknown or not arguments.words:
        parser.error("write the command to run after --")


def _descriptor(text: str) -> int:
    number = int(text)
    if number < MIN_DESCRIPTOR:
        raise ValueError(text)
    return number


_descriptor.__name__ = "file descriptor from 3 up"  # argparse names the function in its message


def run(context: Context) -> int:
    """Run a program that finds the credential where its own client libraries look for one."""
    name, kept = context.profile(), context.arguments.keep_fd
    exec_process.check_descriptors(kept)
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
        family = keeper.describe(name).variables
    environ = _environment(context.environ, family, child_variables(name, credential))
    exec_process.wait_for_renewals()
    _tell_of_its_end(context, name, credential)
    return exec_process.replace(context.arguments.words, environ, kept)


def _environment(inherited: Mapping[str, str], family: Collection[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return what was inherited, with the profile's credential in place of all others of its family."""
    return {name: value for name, value in inherited.items() if name not in family} | dict(own)


def _tell_of_its_end(context: Context, name: str, credential: Credential) -> None:
    left = render.seconds_left(credential)
    if left is not None and left < SOON:
        told = f"{name}: the credential ends in {render.span(left)}, and the command cannot renew it"
        is_old = credential.lifetime is not None and credential.lifetime > SOON
        context.out.say(f"{told}; --min-ttl asks for a fresh one" if is_old else told)
