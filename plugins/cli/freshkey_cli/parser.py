"""The words of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn


MIN_DESCRIPTOR: Final = 3
"""Those below are standard input, output and error."""


class UsageError(Exception):
    """The command line cannot be understood.

    Args:
        message: Why.
        usage: The usage line of the command.
    """

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.usage = usage


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


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments; the chosen command is in ``command``, and what ``exec`` runs in ``words``.

    Raises:
        UsageError: They make no sense.
        SystemExit: Help or the version was asked for, and was printed.
    """
    own, words = _without_the_program(list(sys.argv[1:] if argv is None else argv))
    parser = _parser()
    arguments, unknown = parser.parse_known_args(own)
    arguments.words = words
    if arguments.command == "exec" and not (words and not unknown):
        arguments.complain("write the command to run after --")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command == "login" and arguments.import_from and not arguments.api_key:
        arguments.complain("argument --import-from: only with --api-key")
    return arguments


def own_words(argv: Sequence[str]) -> Sequence[str]:
    """Return the words up to the first ``--``: those behind it are another program's, or no options."""
    return argv[: argv.index("--")] if "--" in argv else argv


def _without_the_program(argv: list[str]) -> tuple[list[str], list[str]]:
    """Take off what ``exec`` runs, which argparse would take for options of its own."""
    own = list(own_words(argv))
    if next((word for word in own if not word.startswith("-")), None) != "exec":
        return argv, []
    return own, argv[len(own) + 1 :]


def _parser() -> _Parser:
    parser = _Parser(
        prog="freshkey",
        description="Keeps credentials fresh: signs in, stores in the keychain, renews before expiry.",
        epilog="Exit codes: 0 ok, 2 usage, 3 sign-in needed, 4 store, 5 network or server for now, 6 configuration.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version")
    parser.add_argument("--json", action="store_true", help="print results and errors as JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_signing(commands)
    _add_showing(commands)
    _add_giving(commands)
    _add_running(commands)
    _add(commands, "demo", "watch a credential being obtained, kept and renewed; needs no account", profile=False)
    return parser


def _add_signing(commands: argparse._SubParsersAction[_Parser]) -> None:
    login = _add(commands, "login", "sign in and keep the credential")
    source = login.add_mutually_exclusive_group()
    source.add_argument("--source", metavar="ID", help="take the credential from this source (see: freshkey explain)")
    source.add_argument("--api-key", action="store_true", help="keep a key: typed unseen, or a line of standard input")
    login.add_argument(
        "--import-from",
        metavar="SERVICE/USERNAME",
        type=_item,
        help="take the key from this keychain item of another program, and delete it there",
    )
    login.set_defaults(complain=login.error)
    login.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    _add(commands, "logout", "revoke the credential and delete it")
    _add(commands, "refresh", "renew the credential now")


def _add_showing(commands: argparse._SubParsersAction[_Parser]) -> None:
    _add(commands, "status", "show what is kept and for how long it is good; asks no network", bare=True)
    _add(commands, "whoami", "ask the provider whose credential it is and whether it is still good", bare=True)
    _add(commands, "explain", "show where the credential comes from, and why from there", bare=True)
    _add(commands, "providers", "list the installed providers", profile=False)
    trust = _add(commands, "trust", "let the commands run that a project's .freshkey.toml names", profile=False)
    instead = trust.add_mutually_exclusive_group()
    instead.add_argument("directory", nargs="?", metavar="DIR", help="in the project; default: the working directory")
    instead.add_argument("--list", action="store_true", help="show what is trusted, and what you agreed to")
    instead.add_argument("--revoke", metavar="NAME", help="no longer trust a profile, directory, or PROFILE/SOURCE")


def _add_giving(commands: argparse._SubParsersAction[_Parser]) -> None:
    token = _add(commands, "token", "print the token, renewed if need be, and nothing else", bare=True)
    token.add_argument("--check", action="store_true", help="ask the provider first, and renew it if it is refused")
    export = _add(commands, "export", "print the credential for another program", bare=True)
    for command in (token, export):
        _add_min_ttl(command)
    export.add_argument(
        "--format",
        metavar="NAME",
        default="env",
        help="env (shell lines), headers, json, or a format of the provider; default: env",
    )


def _add_running(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = _add(commands, "exec", "run a program that finds the credential in its environment", bare=True)
    command.usage = "freshkey exec [options] [PROFILE] -- COMMAND [ARG ...]"
    command.set_defaults(complain=command.error)
    _add_min_ttl(command)
    command.add_argument(
        "--keep-fd",
        metavar="N",
        type=_descriptor,
        action="append",
        default=[],
        help="leave this file descriptor open for it; may be repeated",
    )


def _add_min_ttl(command: _Parser) -> None:
    command.add_argument(
        "--min-ttl", metavar="SECONDS", type=_seconds, default=0.0, help="be good for so long at the least"
    )


def _add(
    commands: argparse._SubParsersAction[_Parser], name: str, text: str, *, profile: bool = True, bare: bool = False
) -> _Parser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    command.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print results and errors as JSON"
    )
    if profile:
        command.add_argument("profile", nargs="?", metavar="PROFILE", help="name of a profile or a provider")
        command.add_argument("--store", metavar="NAME", help="keyring, file or another, instead of the profile's")
        command.add_argument(
            "--set",
            metavar="KEY=VALUE",
            type=_override,
            action="append",
            default=[],
            dest="overrides",
            help="a setting of the provider for this run; never a secret; may be repeated",
        )
    if bare:
        command.add_argument("--bare", action="store_true", help="use only what is handed in: no keychain, no file")
    return command


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(text)
    return seconds


_seconds.__name__ = "number of seconds"  # argparse names the function in its message


def _descriptor(text: str) -> int:
    number = int(text)
    if number < MIN_DESCRIPTOR:
        raise ValueError(text)
    return number


_descriptor.__name__ = "file descriptor from 3 up"


def _override(text: str) -> tuple[str, object]:
    from freshkey.admin import read_override

    try:
        return read_override(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write KEY=VALUE") from None  # the text itself may be what nobody should see


def _item(text: str) -> tuple[str, str]:
    service, _, username = text.rpartition("/")
    if not service or not username:
        raise argparse.ArgumentTypeError("write SERVICE/USERNAME")
    return service, username
