"""The words of the command line: what freshkey itself takes, and which command takes the rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from attrs import frozen

from freshkey_cli import commands
from freshkey_cli.commands import Command


RUNS_A_PROGRAM: Final = "exec"
"""The command whose words behind the first ``--`` are another program's."""


class UsageError(Exception):
    """The command line cannot be understood.

    Args:
        message: Why.
        usage: The usage line of the command.
    """

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.usage = usage


@frozen(kw_only=True)
class Parsed:
    """A command line that makes sense.

    Attributes:
        name: The command.
        command: What runs it.
        arguments: What it takes; ``words`` are those behind ``exec``'s first ``--``.
    """

    name: str
    command: Command
    arguments: argparse.Namespace


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of exiting, so that ``--json`` holds for usage errors too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, self.format_usage())


class _Version(argparse.Action):
    """Prints the version, which is only looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"freshkey {version('freshkey')}")
        parser.exit()


def parse(argv: Sequence[str] | None = None) -> Parsed:
    """Return the command and its arguments; of all commands only the chosen one is imported.

    Raises:
        UsageError: They make no sense.
        SystemExit: Help or the version was asked for, and was printed.
        FreshkeyError: The command is another distribution's, and cannot be used.
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
    """Return the words up to the first ``--``: those behind it are another program's, or no options."""
    return argv[: argv.index("--")] if "--" in argv else argv


def _without_the_program(argv: list[str]) -> tuple[list[str], list[str]]:
    """Take off what ``exec`` runs, which argparse would take for options of its own."""
    own = list(own_words(argv))
    if _first_word(own) != RUNS_A_PROGRAM:
        return argv, []
    return own, argv[len(own) + 1 :]


def _first_word(argv: Sequence[str]) -> str | None:
    """Return the word that names the command: what comes before it are options without values."""
    return next((word for word in argv if not word.startswith("-")), None)


def _parser() -> _Parser:
    parser = _Parser(
        prog="freshkey",
        description="Keeps credentials fresh: signs in, stores in the keychain, renews before expiry.",
        epilog="Exit codes: 0 ok, 2 usage, 3 sign-in needed, 4 store, 5 network or server for now, 6 configuration.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version")
    parser.add_argument("--json", action="store_true", help="print results and errors as JSON")
    return parser


def _add_commands(parser: _Parser, argv: Sequence[str], chosen: str | None) -> Command | None:
    """Name every command that may be meant, let the chosen one declare what it takes, and return it."""
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
    """Tell whether no other distribution's commands have to be known: one of ours is chosen, and no list is printed."""
    return chosen in commands.OWN and not {"-h", "--help"} & set(argv[: argv.index(chosen)])
