"""Which commands there are: freshkey's own, and those that other distributions add by an entry point."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from attrs import frozen

from freshkey.admin import Found, announced, import_plugin
from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken, describe_raise
from freshkey_cli.output import UnwritableError, clean


if TYPE_CHECKING:
    from freshkey_cli.context import Context

GROUP: Final = "freshkey.commands"
"""The group of entry points; the name is the command's, the object a module or another `Command`."""

OWN: Mapping[str, str] = {
    "login": "sign in and keep the credential",
    "logout": "revoke the credential and delete it",
    "refresh": "renew the credential now",
    "status": "show what is kept and for how long it is good; asks no network",
    "whoami": "ask the provider whose credential it is and whether it is still good",
    "explain": "show where the credential comes from, and why from there",
    "providers": "list the installed providers",
    "trust": "let the commands run that a project's .freshkey.toml names",
    "token": "print the token, renewed if need be, and nothing else",
    "export": "print the credential for another program",
    "exec": "run a program that finds the credential in its environment",
}
"""What each command of this distribution does; its module has its name."""

DEMO: Final = "demo"
DEMO_SUMMARY: Final = "watch a credential being obtained, kept and renewed; needs no account"
DEMO_PACKAGE: Final = "freshkey-testing"

DISTRIBUTION: Final = "freshkey-cli"

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""A word that can be told from an option; others would not be reached."""


class Command(Protocol):
    """What a command is: a module with two functions, or anything else that has them."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what follows the command's name; ``--json`` is there already.

        Args:
            parser: The command's own; its description may be set as well.
        """

    def run(self, context: Context) -> int:
        """Run it and return the exit code; what a `FreshkeyError` leads to is the command line's.

        Args:
            context: The arguments, where to print, the configuration and a keeper.
        """


def summaries() -> dict[str, str]:
    """Return every command with what help says of it; reads metadata only."""
    others: dict[str, list[str]] = {}
    known = {**OWN, DEMO: DEMO_SUMMARY}
    for claim in _claims():
        if claim.name not in known and _NAME.fullmatch(claim.name):
            others.setdefault(claim.name, []).append(clean(claim.distribution))
    return known | {name: f"from {' and '.join(distributions)}" for name, distributions in others.items()}


def load(name: str) -> Command:
    """Import a command that `summaries` names.

    Raises:
        ConfigurationError: It is not installed, or more than one distribution claims its name.
        PluginBroken: It cannot be imported, or is not a command.
    """
    if name in OWN:
        return cast("Command", import_module(f"freshkey_cli.{name}"))
    claims = _claims(name)
    if not claims:
        raise ConfigurationError(
            f"the demonstration is in the package {DEMO_PACKAGE}, which is not installed",
            hint=f"Run: python -m pip install {DEMO_PACKAGE} freshkey-claude-oauth",
        )
    distributions = [claim.distribution for claim in claims]
    if name == DEMO:
        distributions = [DEMO_PACKAGE, *(other for other in distributions if other != DEMO_PACKAGE)]
    _refuse_rivals(name, distributions)
    return _Foreign(claims[0], _imported(claims[0]))


def refuse_claims(name: str) -> None:
    """Refuse a command of this distribution whose name another one claims; those of others were looked at by `load`.

    Raises:
        ConfigurationError: Names both.
    """
    if name in OWN:
        _refuse_rivals(name, [DISTRIBUTION, *(claim.distribution for claim in _claims(name))])


def _claims(name: str | None = None) -> list[Found]:
    """Return what is announced, of one name or of all."""
    return [claim for claim in announced(GROUP) if name in {None, claim.name}]


def _refuse_rivals(name: str, distributions: Iterable[str]) -> None:
    """Refuse a name that more than one distribution claims.

    Raises:
        ConfigurationError: Names the first two.
    """
    first, *rivals = distributions
    if rivals:
        raise ConfigurationError(
            f"two distributions claim the command {name!r}: {first} and {rivals[0]}", hint="Uninstall one of them"
        )


def _imported(claim: Found) -> Command:
    loaded = import_plugin(claim, f"the command {claim.name!r} of {claim.distribution}")
    if not (callable(getattr(loaded, "add_arguments", None)) and callable(getattr(loaded, "run", None))):
        raise _broken(claim, "has no functions add_arguments and run")
    return cast("Command", loaded)


@frozen
class _Foreign:
    """A command of another distribution; what it raises beside errors of freshkey is its own mistake, and says so."""

    claim: Found
    command: Command

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        with self._blamed():
            self.command.add_arguments(parser)

    def run(self, context: Context) -> int:
        with self._blamed():
            code: object = self.command.run(context)
        if type(code) is not int:
            raise _broken(self.claim, "returned no exit code")
        return code

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (FreshkeyError, UnwritableError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is not to look like a fault of freshkey
            raise _broken(self.claim, f"failed ({describe_raise(error)})") from None


def _broken(claim: Found, why: str) -> PluginBroken:
    return PluginBroken(
        f"the command {claim.name!r} of {claim.distribution} {why}",
        plugin=claim.name,
        hint=f"Update or uninstall {claim.distribution}",
    )
