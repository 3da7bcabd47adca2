"""Parses the command line: the global options, the command, and its arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from attrs import frozen

from freshkey_cli import commands
from freshkey_cli.commands import Command
from freshkey_cli.exits import UsageError


RUNS_A_PROGRAM: Final = "exec"
"""The command whose words after the first ``--`` belong to another program."""


@frozen(kw_only=True)
class Parsed:
    """A valid command line.

    Attributes:
        name: Name of the command.
        command: The command.
        arguments: Its arguments; for ``exec``, ``words`` are those after the first ``--``.
    """

    name: str
    command: Command
    arguments: argparse.Namespace


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of exiting, so that ``--json`` applies to usage errors too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, self.format_usage())


class _Version(argparse.Action):
    """Prints the version, which is looked up only when requested."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"freshkey {version('freshkey')}")
        parser.exit()


def parse(argv: Sequence[str] | None = None) -> Parsed:
    """Return the command and its arguments; only the chosen command is imported.

    Raises:
        UsageError: The command line is invalid.
        SystemExit: Help or the version was requested and printed.
        FreshkeyError: A third-party command cannot be used.
    """
    own, words = _without_the_program(list(sys.argv[1:] if argv is None else argv))
    parser = _parser()
    name = _first_word(own)
    command = _add_commands(parser, own, name)
    arguments, unknown = parser.parse_known_args(own)
    if name is None or command is None:
        parser.error("the following arguments are required: COMMAND")
    if name == RUNS_A_PROGRAM:
        arguments.words, arguments.unknown = words, unknown
    if name in commands.OWN and "check_usage" in arguments:
        arguments.check_usage(arguments)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return Parsed(name=name, command=command, arguments=arguments)


def own_words(argv: Sequence[str]) -> Sequence[str]:
    """Return the words before the first ``--``: those after it are another program's, or not options."""
    return argv[: argv.index("--")] if "--" in argv else argv


def _without_the_program(argv: list[str]) -> tuple[list[str], list[str]]:
    """Split off the program that ``exec`` runs: argparse would parse its options as freshkey's."""
    own = list(own_words(argv))
    if _first_word(own) != RUNS_A_PROGRAM:
        return argv, []
    return own, argv[len(own) + 1 :]


def _first_word(argv: Sequence[str]) -> str | None:
    """Return the word that names the command: only options without values come before it."""
    return next((word for word in argv if not word.startswith("-")), None)


def _parser() -> _Parser:
    parser = _Parser(
        prog="freshkey",
        description="Sign in, store credentials in the keychain, and renew them before they expire.",
        epilog="Exit codes: 0 success, 2 usage error, 3 sign-in required, 4 store error, 5 temporary network or server "
        "error, 6 configuration error.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version and exit")
    parser.add_argument("--json", action="store_true", help="print results and errors as JSON")
    return parser


def _add_commands(parser: _Parser, argv: Sequence[str], chosen: str | None) -> Command | None:
    """Add every known command, let the chosen one declare its arguments, and return it."""
    known = commands.OWN if _is_ours(chosen, argv) else commands.summaries()
    added = parser.add_subparsers(dest=argparse.SUPPRESS, metavar="COMMAND", parser_class=_Parser)
    command = None
    for name, text in known.items():
        subparser = added.add_parser(
            name, help=text.replace("%", "%%"), description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        subparser.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print results and errors as JSON"
        )
        if name == chosen:
            command = commands.load(name)
            command.add_arguments(subparser)
    return command


def _is_ours(chosen: str | None, argv: Sequence[str]) -> bool:
    """Return whether third-party commands can be ignored: freshkey's own is chosen, and no list is printed."""
    return chosen in commands.OWN and not {"-h", "--help"} & set(argv[: argv.index(chosen)])
