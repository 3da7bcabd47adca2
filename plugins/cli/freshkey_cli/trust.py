"""The command ``trust``: review and allow a project's commands, list what is trusted, and revoke it."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import asdict

from freshkey.admin import Answer, Entry, SourceAnswers, TrustedCommands, shown
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey_cli import exits
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey_cli.context import Context

LIST: Final = "Run: freshkey trust --list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the project directory and the alternatives to it."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "directory", nargs="?", metavar="DIR", help="a directory in the project (default: the current directory)"
    )
    instead.add_argument(
        "--list",
        action="store_true",
        help="list trusted commands, and your answers about keys found in the environment",
    )
    instead.add_argument(
        "--revoke",
        metavar="NAME",
        help="stop trusting a profile or project directory, or forget your answer about PROFILE/SOURCE",
    )


def run(context: Context) -> int:
    """Trust a project's commands, list what is trusted, or revoke trust."""
    if context.arguments.list:
        return _list(context)
    if context.arguments.revoke is not None:
        return _revoke(context, context.arguments.revoke)
    return _trust(context, Path(context.arguments.directory or "."))


def _trust(context: Context, directory: Path) -> int:
    from freshkey.admin import proposals

    if not os.path.isdir(directory):  # noqa: PTH112  Path.is_dir raises without permission
        raise ConfigurationError(
            f"directory not found: {directory}", hint="Specify a directory in the project", code="directory-not-found"
        )
    configuration = context.configuration.in_directory(directory)
    if configuration.project is None:
        raise ConfigurationError(
            f"no .freshkey.toml in {_resolved(directory)} or above it in the repository",
            hint="Run this command in the project, or specify its directory",
            code="nothing-to-trust",
        )
    file, entries = configuration.project.path, proposals(configuration, {})
    kept = TrustedCommands(configuration.state_dir)
    new = [entry for entry in entries if kept.find(entry.file, entry.profile) != entry]
    if new:
        _interaction(context, new)
        kept.remember(*new)
    lines = [f"Trusted: {key} in profile {entry.profile}" for entry in entries for key in entry.commands]
    value = {"file": str(file), "commands": [one for entry in entries for one in _commands(entry)]}
    context.out.result(value, lines or [f"{file} contains no commands; there is nothing to trust"])
    return exits.OK


def _resolved(path: Path) -> Path:
    """Return a path with symlinks resolved; unchanged if the current directory was removed or symlinks form a loop."""
    with suppress(OSError, RuntimeError):
        return path.resolve()
    return path


def _interaction(context: Context, entries: list[Entry]) -> None:
    """Show what would run and ask for confirmation.

    Raises:
        TrustNeeded: The user declined, or there is no terminal.
    """
    context.out.instruct(clean(f"{entries[0].file} contains commands that would run as you:"))
    for entry in entries:
        for key, command in entry.commands.items():
            # Cleaned as a whole: a line break in an argument could make it look like another command.
            context.out.instruct(clean(f"  {entry.profile}, {key}: {shown(command)}"))
    context.out.instruct("Anything these programs load or run is not checked.")
    try:
        agreed = context.user().confirm("Trust these commands as they are now?")
    except LoginRequired:
        hint = "Run freshkey trust in a terminal and review the commands there"
        raise TrustNeeded("nothing was trusted: there is no terminal for the confirmation", hint=hint) from None
    if not agreed:
        hint = "The project's commands will not run until you trust them; to do so, run freshkey trust again"
        raise TrustNeeded("nothing was trusted: you declined", hint=hint, code="trust-declined")


def _list(context: Context) -> int:
    state_dir = context.configuration.state_dir
    entries, answers = TrustedCommands(state_dir).all(), SourceAnswers(state_dir).all()
    value = {
        "commands": [{**one, "changed": entry.changed()} for entry in entries for one in _commands(entry)],
        "answers": [_answer(answer) for answer in answers],
    }
    rows = [_row(entry, key) for entry in entries for key in entry.commands]
    rows += [["-", f"{one.profile}/{one.source}", "-", _said(one)] for one in answers]
    context.out.table(value, ("PROJECT", "PROFILE", "COMMAND", "STATE"), rows)
    if not rows:
        context.out.say("Nothing is trusted yet")
    return exits.OK


def _row(entry: Entry, key: str) -> list[str]:
    command = f"{key}: {shlex.join(entry.commands[key].argv)}"
    return [str(entry.file.parent), entry.profile, command, entry.changed() or "trusted"]


def _said(answer: Answer) -> str:
    return "used instead of the sign-in" if answer.agreed else "not used; the sign-in is used instead"


def _answer(answer: Answer) -> dict[str, object]:
    return {key: value for key, value in asdict(answer).items() if key != "fingerprint"}


def _commands(entry: Entry) -> list[dict[str, object]]:
    return [
        {
            "file": str(entry.file),
            "profile": entry.profile,
            "setting": key,
            "argv": list(command.argv),
            "files": [str(file) for file in command.pins],
        }
        for key, command in entry.commands.items()
    ]


def _revoke(context: Context, name: str) -> int:
    """Revoke trust by name: a profile, a project's directory or file, or ``PROFILE/SOURCE``."""
    state_dir = context.configuration.state_dir
    path = _resolved(Path(name))
    gone = TrustedCommands(state_dir).forget(
        lambda entry: name == entry.profile or path in {entry.file, entry.file.parent}
    )
    revoked = [f"profile {entry.profile} in {entry.file}" for entry in gone]
    profile, _, source = name.partition("/")
    if source and SourceAnswers(state_dir).forget(lambda one: (one.profile, one.source) == (profile, source)):
        revoked.append(name)
    if not revoked:
        raise ConfigurationError(f"nothing is trusted under the name {name!r}", hint=LIST, code="nothing-to-revoke")
    context.out.result({"revoked": revoked}, [f"No longer trusted: {one}" for one in revoked])
    return exits.OK
