"""Parses the command line: the global options, the command, and its arguments."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from attrs import frozen

from freshkey import admin
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
    """A parser that raises instead of exiting, so that ``--json`` applies to usage errors too.

    No message quotes a word of the command line, except the name of an option: any other word may be a secret.
    """

    words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  argparse has overloads
        """Parse, and raise a `UsageError` that quotes nothing."""
        self.words = tuple(sys.argv[1:] if args is None else args)
        try:
            return super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            about = f"argument {error.argument_name}: " if error.argument_name else ""
            raised = self.usage_error(about + _without_words(str(error.message), self.words))
        raise raised  # outside the handler: argparse's own error quotes the word

    def error(self, message: str) -> NoReturn:
        raise self.usage_error(_without_words(message, self.words))

    def usage_error(self, message: str, hint: str | None = None) -> UsageError:
        """Return the error for a message that quotes nothing."""
        return UsageError(message, self.format_usage(), hint)


def _without_words(message: str, words: Sequence[str]) -> str:
    """Return a message in which no word of the command line, and no value of one, is quoted."""
    for beginning, (instead, before_names) in _QUOTING.items():
        if message.startswith(beginning):
            _, names, known = message.rpartition(before_names)
            return f"{instead}{names}{known}" if names else instead
    values = {part for word in words for part in (word, word.partition("=")[2]) if part}
    for value in sorted(values, key=len, reverse=True):
        for quoted in (repr(value), ascii(value), f'"{value}"'):
            message = message.replace(quoted, "the given value")
        # Without quotation marks, only what can hardly be a word of the message itself.
        if len(value) >= _MIN_UNQUOTED and not value.startswith("-"):
            message = message.replace(value, "the given value")
    return admin.redacted(message)


_MIN_UNQUOTED: Final = 8

_QUOTING: Final = {
    "invalid choice": ("unknown name ", "(choose from"),
    "ambiguous option": ("ambiguous option; it ", "could match"),
    "ignored explicit argument": ("does not take a value", "\0"),
}
"""Messages of argparse that quote a word: what to say instead, and what begins their list of known names."""


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
        raise parser.usage_error(*_unrecognized(unknown, own))
    return Parsed(name=name, command=command, arguments=arguments)


_OPTION: Final = re.compile(r"--[a-z][a-z-]{0,30}|-[A-Za-z]")
"""The name of an option; with digits, capitals or a single dash, it may as well be a key that begins with a dash."""

_FOR_A_SECRET: Final = re.compile(r"key|token|secret|pass|pwd|credential|auth|bearer|jwt|pat\b", re.IGNORECASE)

_HOW_TO_GIVE: Final = (
    "Keys and tokens are never arguments, which other users see in the list of processes. To store a key, run "
    "freshkey login PROFILE --api-key and enter the key, or pipe it to standard input; to use one once, hand it in "
    "through a variable or a file descriptor with --bare"
)


def _unrecognized(unknown: Sequence[str], words: Sequence[str]) -> tuple[str, str | None]:
    """Return a message that names the options that are unknown, and where the other words are; and a hint."""
    names = {word: word.partition("=")[0] for word in unknown}
    options = list(dict.fromkeys(name for name in names.values() if _OPTION.fullmatch(name)))
    options = [name for name in options if admin.redacted(name) == name]
    values = [word for word, name in names.items() if name not in options or name != word]
    told = [f"unrecognized option{'s' if len(options) > 1 else ''}: {', '.join(options)}"] if options else []
    if values:
        before = words[words.index(values[0]) - 1 :][:1] if values[0] in words[1:] else []
        after = f" after {before[0]}" if before and before[0] in _declared(words) - set(options) else ""
        why = "they may be secrets" if len(values) > 1 else "it may be a secret"
        told.append(f"unexpected value{'s' if len(values) > 1 else ''}{after}, not shown because {why}")
    secret = bool(values) or any(map(_FOR_A_SECRET.search, options))
    return "; ".join(told), _HOW_TO_GIVE if secret else None


def _declared(words: Sequence[str]) -> set[str]:
    return {word for word in words if _OPTION.fullmatch(word) and admin.redacted(word) == word}


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
        exit_on_error=False,
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
            name,
            help=text.replace("%", "%%"),
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            exit_on_error=False,
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
