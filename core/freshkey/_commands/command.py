"""A command in configuration: the type of a provider's setting, and the only way to run such a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Final, Self

from attrs import field, frozen

from freshkey._commands.helper import HELPER_TIMEOUT, MAX_OUTPUT, helper_environment, run_helper
from freshkey._commands.lookup import find_program, is_bare, is_command
from freshkey._commands.named_files import TooManyPartsError, is_directory, is_literal, named_files
from freshkey._commands.pins import interpreter_words, pinned
from freshkey._commands.process import home_directory, refuse_unsafe_words, too_long
from freshkey._files.bounded import file_version
from freshkey._files.path_text import path_flaw
from freshkey._files.project_place import project_of
from freshkey._text.shell_words import shell_quoted
from freshkey.errors import ConfigurationError, TrustNeeded
from freshkey.model.interaction import Reporter
from freshkey.secret import Secret


WORDS_FOR_COMMAND: Final = "a list of strings: a program (absolute path, or name on PATH) and its arguments"
"""The description of a command's TOML value, for messages."""


class WrongCommandError(ValueError):
    """A list is not a command, or names its program in a way that only a shell would understand.

    Attributes:
        expected: What is allowed and what is wrong, to follow "must be"; quotes nothing.
    """

    def __init__(self, flaw: str | None = None) -> None:
        self.expected = WORDS_FOR_COMMAND if flaw is None else f"{WORDS_FOR_COMMAND}; the program {flaw}"
        super().__init__(self.expected)


@frozen(kw_only=True)
class Command:
    """A program and its arguments. They run without a shell, and nothing in them is expanded.

    Attributes:
        argv: The program, an absolute path or a name on PATH, and its arguments. Only the program is part of the
            representation: arguments can be secret.
        directory: The project that set it, and its working directory; None for a command of the user's own, which runs
            in the home directory.
        pins: The project's files that its arguments name, each with its SHA-256 in hexadecimal from when the user
            trusted it. The command runs only if `pinned` still returns the same digests.
        ensure_own: `Profile.ensure_own`, called before each run of a command of the user's own with each file of the
            current project that it names; None to call nothing.
        sources: The files that may set it; one of them may be in the current project, if the user trusted it.
    """

    argv: tuple[str, ...] = field(repr=lambda argv: repr((*argv[:1], "…")))
    directory: Path | None = None
    pins: Mapping[Path, str] = field(factory=dict, hash=False, repr=False)
    ensure_own: Callable[[str, Path | str], None] | None = field(default=None, eq=False, repr=False)
    sources: Sequence[Path] = field(default=(), eq=False, repr=False)

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        """Return a command from the user's own configuration.

        Raises:
            WrongCommandError: It does not name a program, or names it by a relative path.
        """
        if not is_command(argv):
            raise WrongCommandError
        if not PurePath(argv[0]).is_absolute() and not is_bare(argv[0]):
            raise WrongCommandError(path_flaw(argv[0]) or "has a relative path")
        return cls(argv=tuple(argv))

    @property
    def name(self) -> str:
        """The name of its program, for messages."""
        return PurePath(self.argv[0]).name

    @property
    def version(self) -> str:
        """Changes when the program or a file that an argument names changes; for `Detected.version`.

        It may name files that the command does not use, which only ends a pause early.
        """
        base = self.directory or home_directory()
        program = find_program(self.argv[0], os.environ) or self.argv[0]
        files: list[Path] = []
        with suppress(TooManyPartsError):
            files += (file for file in sorted(named_files(self.argv[1:], base)) if not is_directory(file))
        return f"{program} {file_version(Path(program), *files)}"


def run_command(
    command: Command,
    *,
    timeout: float = HELPER_TIMEOUT,
    environ: Mapping[str, str] | None = None,
    max_output: int = MAX_OUTPUT,
    reporter: Reporter | None = None,
) -> Secret:
    """Run a command and return its output; first check the files that a project's command names.

    See `freshkey._commands.helper.run_helper` for the arguments, the limits and the other errors. The reporter
    receives a notice if the command is slow.

    Raises:
        TrustNeeded: A file changed, appeared or disappeared after the command was trusted; nothing was run.
    """
    ensure_unchanged(command)
    return run_helper(
        command.argv,
        timeout=timeout,
        environ=command_environment(command, helper_environment() if environ is None else environ),
        max_output=max_output,
        directory=command.directory,
        on_slow=None if reporter is None else partial(_tell_slow, command, reporter),
    )


def _tell_slow(command: Command, reporter: Reporter, seconds: float) -> None:
    reporter.notice(f"{command.name!r} has been running for {seconds:.0f} s")


def command_environment(command: Command, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment for a command; Python must not add its caches to directories that were hashed."""
    return environ if command.directory is None else {**environ, "PYTHONDONTWRITEBYTECODE": "1"}


def ensure_unchanged(command: Command) -> None:
    """Check that the project's files that a command names are those that the user trusted; call this before each run.

    Trust is bound to the content of files, not to their paths: `git pull` can replace a script under the same name.
    See docs/decisions.md, "Trust applies to content, not to a path".

    Raises:
        TrustNeeded: A file changed, appeared or disappeared, or was not trusted yet.
        ConfigurationError: Other users can change one.
    """
    if command.directory is None:
        _ensure_own(command)
        return
    why = _change(command, command.directory)
    if why is not None:
        message = f"the command {command.name!r} was not run: {why}"
        raise TrustNeeded(message, hint=how_to_trust(command.directory), code="trusted-command-changed")


def _ensure_own(command: Command) -> None:
    """Check the files of the current project that a command names which is not set by a project's ``.freshkey.toml``.

    The user may have named them, or a file of the project did that a variable moved there and the user trusted: its
    content says nothing about theirs.
    """
    if command.ensure_own is None:
        return
    called = f"the command {command.name!r}"
    refuse_unsafe_words(command.argv, os.environ, home_directory())  # a plugin may have the program run by a library
    of_project = any(project_of(file) is not None for file in command.sources)
    words, seen = [find_program(command.argv[0], os.environ) or command.argv[0], *command.argv[1:]], set[Path]()
    while new := sorted(_of_project(words) - seen):
        seen.update(new)
        words = []
        for file in new:
            if of_project or not is_directory(file):  # the user may well name a directory to work in
                command.ensure_own(called, file)
                words += interpreter_words(file)
    if of_project and not all(map(is_literal, command.argv)):
        raise TrustNeeded(
            f"{called} was not run: a file of the project sets it, and it has code in which a shell or program can "
            "compute names of the project's files",
            hint="Move the code to a script, and name only the script and plain words in the command",
            code="project-command-not-plain",
        )


def _of_project(words: Sequence[str]) -> set[Path]:
    try:
        return {file for file in named_files(words, home_directory()) if project_of(file) is not None}
    except TooManyPartsError:
        raise too_long() from None


def changed(command: Command) -> str | None:
    """Return what changed about a project's command since it was trusted; None if nothing, or for a user's command."""
    if command.directory is None:
        return None
    try:
        return _change(command, command.directory)
    except ConfigurationError as error:
        return error.message


def _change(command: Command, directory: Path) -> str | None:
    try:
        now = pinned(command.argv, directory)
    except ConfigurationError as error:
        if error.code == "unsafe-program":  # to trust it again would not help
            raise
        return error.message
    # What is in a directory comes before the directory: it says more.
    different = sorted((file for file, _ in now.items() ^ command.pins.items()), reverse=True)
    if not different:
        return None
    why = ""
    if different[0] == directory:
        why = "; to compare less than all of it, move the command's code to a script in the project"
    return f"{different[0]} changed after you trusted it{why}"


def how_to_trust(directory: Path | None) -> str:
    """Return the hint for a project's command that is not trusted, or is no longer trusted."""
    return f"Review it, then run: freshkey trust {shell_quoted(str(directory))}"
