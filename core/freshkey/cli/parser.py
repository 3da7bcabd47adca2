"""The words of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn


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
    """Return the arguments; the chosen command is in ``command``.

    Raises:
        UsageError: They make no sense.
        SystemExit: Help or the version was asked for, and was printed.
    """
    return _parser().parse_args(argv)


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
    _add(commands, "demo", "watch a credential being obtained, kept and renewed; needs no account", profile=False)
    return parser


def _add_signing(commands: argparse._SubParsersAction[_Parser]) -> None:
    login = _add(commands, "login", "sign in and keep the credential")
    login.add_argument("--source", metavar="ID", help="take the credential from this source (see: freshkey explain)")
    login.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    _add(commands, "logout", "revoke the credential and delete it")
    _add(commands, "refresh", "renew the credential now")


def _add_showing(commands: argparse._SubParsersAction[_Parser]) -> None:
    _add(commands, "status", "show what is kept and for how long it is good; asks no network")
    _add(commands, "whoami", "ask the provider whose credential it is and whether it is still good")
    _add(commands, "explain", "show where the credential comes from, and why from there")
    _add(commands, "providers", "list the installed providers", profile=False)
    trust = _add(commands, "trust", "let the commands run that a project's .freshkey.toml names", profile=False)
    instead = trust.add_mutually_exclusive_group()
    instead.add_argument("directory", nargs="?", metavar="DIR", help="in the project; default: the working directory")
    instead.add_argument("--list", action="store_true", help="show what is trusted, and what you agreed to")
    instead.add_argument("--revoke", metavar="NAME", help="no longer trust a profile, directory, or PROFILE/SOURCE")


def _add_giving(commands: argparse._SubParsersAction[_Parser]) -> None:
    token = _add(commands, "token", "print the token, renewed if need be, and nothing else")
    export = _add(commands, "export", "print the credential for another program")
    for command in (token, export):
        command.add_argument(
            "--min-ttl", metavar="SECONDS", type=_seconds, default=0.0, help="be good for so long at the least"
        )
    export.add_argument(
        "--format",
        metavar="NAME",
        default="env",
        help="env (shell lines), headers, json, or a format of the provider; default: env",
    )


def _add(commands: argparse._SubParsersAction[_Parser], name: str, text: str, *, profile: bool = True) -> _Parser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    command.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print results and errors as JSON"
    )
    if profile:
        command.add_argument("profile", nargs="?", metavar="PROFILE", help="name of a profile or a provider")
        command.add_argument("--store", metavar="NAME", help="keyring, file or another, instead of the profile's")
    return command


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(text)
    return seconds


_seconds.__name__ = "number of seconds"  # argparse names the function in its message
