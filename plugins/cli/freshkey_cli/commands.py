"""The available commands: freshkey's own, and those that other packages add through an entry point."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from attrs import frozen

from freshkey.admin import Found, add_note, announced, import_plugin, redactor, traceback_note
from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken, describe_raise
from freshkey.plugin import install_command
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey_cli.context import Context

GROUP: Final = "freshkey.commands"
"""Entry point group; the entry's name is the command's name, its object a module or any other `Command`."""

OWN: Mapping[str, str] = {
    "login": "sign in and store the credential",
    "logout": "revoke the credential and delete it",
    "refresh": "renew the credential now",
    "status": "show stored credentials and when they expire (no network access)",
    "whoami": "check with the provider who is signed in and whether the credential is still valid",
    "explain": "show which source the credential comes from, and why",
    "providers": "list the installed providers",
    "trust": "allow the commands in a project's .freshkey.toml to run",
    "token": "print the token, renewing it first if necessary",
    "export": "print the credential in a format for other programs",
    "exec": "run a program with the credential in its environment",
    "new-provider": "write a package with a new provider, store or observer, and its tests",
}
"""What each of freshkey's own commands does; each lives in the module of that name, with underscores."""

DEMO: Final = "demo"
DEMO_SUMMARY: Final = "watch a credential being obtained, stored, and renewed (no account needed)"
DEMO_PACKAGE: Final = "freshkey-testing"

DISTRIBUTION: Final = "freshkey-cli"

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""A word that cannot be mistaken for an option; a command with any other name would be unreachable."""


class Command(Protocol):
    """A command: a module with these two functions, or any other object that has them."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments; ``--json`` is already declared.

        Args:
            parser: The command's own parser; its description may be changed.
        """

    def run(self, context: Context) -> int:
        """Run the command and return its exit code; the caller turns a `FreshkeyError` into a message and an exit code.

        Args:
            context: The arguments, the output, the configuration, and a keeper.
        """


def summaries() -> dict[str, str]:
    """Return every command with its one-line help; reads package metadata only."""
    others: dict[str, list[str]] = {}
    known = {**OWN, DEMO: DEMO_SUMMARY}
    for claim in _claims():
        if claim.name not in known and _NAME.fullmatch(claim.name):
            others.setdefault(claim.name, []).append(clean(claim.distribution))
    return known | {name: f"from {' and '.join(distributions)}" for name, distributions in others.items()}


def load(name: str) -> Command:
    """Import a command listed by `summaries`.

    Raises:
        ConfigurationError: It is not installed, or more than one package provides it.
        PluginBroken: It cannot be imported, or is not a command.
    """
    if name in OWN:
        return cast("Command", import_module(f"freshkey_cli.{name.replace('-', '_')}"))
    claims = _claims(name)
    if not claims:
        raise ConfigurationError(
            f"the demo requires the package {DEMO_PACKAGE}, which is not installed",
            hint=f"Run: {install_command(DEMO_PACKAGE, 'freshkey-claude-oauth')}",
            code="missing-package",
        )
    distributions = [claim.distribution for claim in claims]
    if name == DEMO:
        distributions = [DEMO_PACKAGE, *(other for other in distributions if other != DEMO_PACKAGE)]
    _refuse_rivals(name, distributions)
    return _Foreign(claims[0], _imported(claims[0]))


def rivals_of(name: str) -> tuple[str, ...]:
    """Return the packages that claim the name of one of freshkey's own commands, for display; theirs is not used."""
    return tuple(clean(claim.distribution) for claim in _claims(name)) if name in OWN else ()


def _claims(name: str | None = None) -> list[Found]:
    """Return the announced commands, all of them or those of one name."""
    return [claim for claim in announced(GROUP) if name in {None, claim.name}]


def _refuse_rivals(name: str, distributions: Iterable[str]) -> None:
    """Refuse a command that more than one package provides.

    Raises:
        ConfigurationError: More than one does; the message names the first two.
    """
    first, *rivals = distributions
    if rivals:
        raise ConfigurationError(
            f"two packages provide the command {name!r}: {first} and {rivals[0]}",
            hint="Uninstall one of them",
            code="plugin-name-conflict",
        )


def _imported(claim: Found) -> Command:
    loaded = import_plugin(claim, f"the command {claim.name!r} of {claim.distribution}")
    if not (callable(getattr(loaded, "add_arguments", None)) and callable(getattr(loaded, "run", None))):
        raise _broken(claim, "lacks the functions add_arguments and run")
    return cast("Command", loaded)


@frozen
class _Foreign:
    """A third-party command; any exception that is not a freshkey error is reported as a bug in its package."""

    claim: Found
    command: Command

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        with self._blamed():
            self.command.add_arguments(parser)

    def run(self, context: Context) -> int:
        with self._blamed():
            code: object = self.command.run(context)
        if type(code) is not int:
            raise _broken(self.claim, "did not return an exit code")
        return code

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (FreshkeyError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  a third-party failure must not look like freshkey's
            failure = _broken(self.claim, f"failed ({describe_raise(error)})")
            add_note(failure, traceback_note(error, redactor()))
            raise failure from None


def _broken(claim: Found, why: str) -> PluginBroken:
    return PluginBroken(
        f"the command {claim.name!r} of {claim.distribution} {why}",
        plugin=claim.name,
        hint=f"Update or uninstall {claim.distribution}",
        code="plugin-command-failed",
    )
