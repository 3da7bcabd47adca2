"""The command ``trust``: review and allow what a project's file asks for, list what is trusted, and revoke it."""

from __future__ import annotations

import argparse
import functools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import asdict

from freshkey.admin import (
    UNCHECKED,
    Answer,
    Entry,
    SourceAnswers,
    TrustedCommands,
    check_fits,
    demands,
    outcome,
    revoke_file,
    spelled_out,
    trusted_files,
)
from freshkey.errors import ConfigurationError
from freshkey.plugin import quoted, shown_path
from freshkey_cli import exits
from freshkey_cli.trust_file import trust_file
from freshkey_cli.trust_question import ask, expect_digest


if TYPE_CHECKING:
    from freshkey_cli.context import Context

FILE_NAME: Final = ".freshkey.toml"

LIST: Final = "Run: freshkey trust --list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the project and the alternatives to it."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help=f"a project's {FILE_NAME}, a directory in the project (default: the current directory), or a file in it "
        "that an environment variable names",
    )
    instead.add_argument(
        "--list",
        action="store_true",
        help="list what is trusted, and your answers about keys found in the environment",
    )
    instead.add_argument(
        "--revoke",
        metavar="NAME",
        help="stop trusting a profile, project directory or file, or forget your answer about PROFILE/SOURCE",
    )
    parser.add_argument(
        "--yes", action="store_true", help="trust exactly this file as it is now, without asking (for CI)"
    )
    parser.add_argument(
        "--digest",
        metavar="SHA256",
        type=_digest,
        help="refuse a file whose text has another SHA-256; trust prints it",
    )
    parser.set_defaults(check_usage=functools.partial(_check, parser))


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise argparse.ArgumentTypeError("expected a SHA-256: 64 hexadecimal digits")
    return text.lower()


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if (arguments.yes or arguments.digest) and (arguments.list or arguments.revoke is not None):
        parser.error("--yes and --digest are for trusting a file")
    if arguments.yes and not arguments.path:
        parser.error(f"argument --yes: requires the path of a file, or of the directory of a {FILE_NAME}")


def run(context: Context) -> int:
    """Trust a project's file, list what is trusted, or revoke trust."""
    if context.arguments.list:
        return _list(context)
    if context.arguments.revoke is not None:
        return _revoke(context, context.arguments.revoke)
    path = Path(context.arguments.path or ".")
    # Path.is_dir and Path.exists raise without permission.
    if path.name != FILE_NAME and os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
        return trust_file(context, path)
    return _trust(context, path)


def _trust(context: Context, path: Path) -> int:
    from freshkey.admin import proposals

    configuration = context.configuration.in_directory(_directory(path, exactly=context.arguments.yes))
    project = configuration.project
    if project is None:
        raise _nothing_in(path)
    file = project.path
    expect_digest(context, file, project.digest)
    entries = proposals(configuration, {})
    kept = TrustedCommands(configuration.state_dir)
    new = [entry for entry in entries if kept.find(entry.file, entry.profile) != entry]
    if new:
        if not context.arguments.yes:
            _ask(context, new)
        kept.remember(*new)
    lines = [f"Trusted: {key} in profile {entry.profile}" for entry in entries for key, _ in demands(entry)]
    value = {"file": str(file), "digest": project.digest, **_values(entries)}
    lines = [*lines, f"SHA-256 of {file}: {project.digest}"] if lines else [f"{file} asks for nothing that needs trust"]
    context.out.result(value, lines)
    return exits.OK


def _directory(path: Path, *, exactly: bool) -> Path:
    """Return the directory of a project, given by itself or by its file.

    Raises:
        ConfigurationError: There is no such directory or file; with `exactly`, the file is not in that directory.
    """
    directory = path.parent if path.name == FILE_NAME and not os.path.isdir(path) else path  # noqa: PTH112  see below
    if not os.path.isdir(directory):  # noqa: PTH112  Path.is_dir raises without permission
        raise ConfigurationError(
            f"file or directory not found: {_shown(str(path))}",
            hint=f"Specify a {FILE_NAME}, a directory in the project, or a file that a variable names",
            code="directory-not-found",
        )
    if (exactly or directory is not path) and not os.path.lexists(directory / FILE_NAME):
        raise _nothing_in(directory)
    return directory


def _nothing_in(directory: Path) -> ConfigurationError:
    return ConfigurationError(
        f"no {FILE_NAME} in {_resolved(directory)} or above it in the repository",
        hint="Run this command in the project, or specify its directory",
        code="nothing-to-trust",
    )


def _resolved(path: Path) -> Path:
    """Return a path with symlinks resolved; unchanged if the current directory was removed or symlinks form a loop."""
    with suppress(OSError, RuntimeError):
        return path.resolve()
    return path


def _ask(context: Context, entries: Sequence[Entry]) -> None:
    """Show what would be trusted and ask for confirmation.

    Raises:
        TrustNeeded: The user declined, there is no terminal, or the question would not fit one.
    """
    file = entries[0].file
    lines = [f"{spelled_out(str(file))} asks for:"]
    lines += [f"  {entry.profile}, {key}: {told}" for entry in entries for key, told in demands(entry)]
    lines += [UNCHECKED] if any(one.commands for one in entries) else []
    asked = f"Trust this file as it is now, and let it {outcome(entries)}?"
    check_fits([*lines, f"{asked} [y/N]"], file)
    ask(context, file, [*lines, asked])


def _list(context: Context) -> int:
    state_dir = context.configuration.state_dir
    entries, answers = TrustedCommands(state_dir).all(), SourceAnswers(state_dir).all()
    files = [
        {"file": str(one.file), "digest": one.digest, "changed": one.changed()} for one in trusted_files(state_dir)
    ]
    value = {**_values(entries, listed=True), "files": files, "answers": [_answer(answer) for answer in answers]}
    rows = [row for entry in entries for row in _rows(entry)]
    rows += [["-", "-", f"file: {spelled_out(str(one['file']))}", _state(one["changed"])] for one in files]
    rows += [[one.project or "-", f"{one.profile}/{one.source}", "-", _said(one)] for one in answers]
    context.out.table(value, ("PROJECT", "PROFILE", "TRUSTED", "STATE"), rows)
    if not rows:
        context.out.say("Nothing is trusted yet")
    return exits.OK


def _rows(entry: Entry) -> Iterator[list[str]]:
    state = _state(entry.changed())
    for key, told in demands(entry):
        yield [spelled_out(str(entry.file.parent)), entry.profile, f"{key}: {told}", state]


def _state(changed: str | None) -> str:
    return spelled_out(changed or "trusted")


def _said(answer: Answer) -> str:
    return "used instead of the sign-in" if answer.agreed else "not used; the sign-in is used instead"


def _answer(answer: Answer) -> dict[str, object]:
    members = asdict(answer, filter=lambda member, _: member.name != "fingerprint")
    return members if answer.project else {key: value for key, value in members.items() if key != "project"}


def _values(entries: Sequence[Entry], *, listed: bool = False) -> dict[str, object]:
    """Return what entries trust, as JSON members; `listed` with what changed since then."""
    commands, choices = [], []
    for entry in entries:
        about = {"file": str(entry.file), "profile": entry.profile}
        state = {"changed": entry.changed()} if listed else {}
        for key, command in entry.commands.items():
            files = [str(file) for file in command.pins]
            commands.append({**about, "setting": key, "argv": list(command.argv), "files": files, **state})
        made = {**({"profile": entry.profile} if entry.selected else {}), **entry.choices}
        choices += [{**about, "setting": key, "value": value, **state} for key, value in made.items()]
    return {"commands": commands, "choices": choices}


def _shown(typed: str) -> str:
    return shown_path(typed) or quoted(typed)


def _revoke(context: Context, name: str) -> int:
    """Revoke trust by name: a profile, a project's directory, a file, or ``PROFILE/SOURCE``."""
    state_dir = context.configuration.state_dir
    path = _resolved(Path(name))
    gone = TrustedCommands(state_dir).forget(
        lambda entry: name == entry.profile or path in {entry.file, entry.file.parent}
    )
    revoked = [f"profile {entry.profile} in {entry.file}" for entry in gone]
    revoked += [f"file {one.file}" for one in revoke_file(state_dir, path)]
    profile, _, source = name.partition("/")
    if source and SourceAnswers(state_dir).forget(lambda one: (one.profile, one.source) == (profile, source)):
        revoked.append(name)
    if not revoked:
        raise ConfigurationError(
            f"nothing is trusted under the name {_shown(name)}", hint=LIST, code="nothing-to-revoke"
        )
    context.out.result({"revoked": revoked}, [f"No longer trusted: {one}" for one in revoked])
    return exits.OK
