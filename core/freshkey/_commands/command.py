"""A command that configuration names: the type of a provider's setting, and the only way such a command is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Final, Self

from attrs import field, frozen

from freshkey._commands.helper import HELPER_TIMEOUT, MAX_OUTPUT, run_helper
from freshkey._commands.process import is_bare, is_command
from freshkey._files.bounded import NotRegularError, open_regular
from freshkey.errors import ConfigurationError, TrustNeeded
from freshkey.model.interaction import Reporter
from freshkey.secret import Secret


WORDS_FOR_COMMAND: Final = "a list of strings: an absolute path or the name of a program on PATH, and its arguments"
"""What a person writes in TOML for a command."""

MAX_PROGRAM: Final = 268_435_456
"""Bytes that the files of a project that one command names may have together."""


@frozen(kw_only=True)
class Command:
    """A program and its arguments. No shell sees them, and nothing in them is expanded.

    Attributes:
        argv: The program, by its absolute path or as a name on PATH, and its arguments. Only the program shows in the
            representation: arguments of some tools are secret.
        directory: The project that named it, where it works; None for a command of the user's own, which works in the
            home directory.
        pins: The files of the project that its words name, each with its SHA-256 in hexadecimal at the time when a
            person trusted it: `pinned` says the same at each run, or nothing is run.
    """

    argv: tuple[str, ...] = field(repr=lambda argv: repr((*argv[:1], "…")))
    directory: Path | None = None
    pins: Mapping[Path, str] = field(factory=dict, hash=False, repr=False)

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        """Return a command of the user's own configuration.

        Raises:
            ValueError: It names no program, or one whose place depends on the working directory.
        """
        if not is_command(argv) or (not PurePath(argv[0]).is_absolute() and not is_bare(argv[0])):
            raise ValueError(WORDS_FOR_COMMAND)
        return cls(argv=tuple(argv))

    @property
    def name(self) -> str:
        """What messages call it: the name of its program."""
        return PurePath(self.argv[0]).name


def run_command(
    command: Command,
    *,
    timeout: float = HELPER_TIMEOUT,
    environ: Mapping[str, str] | None = None,
    max_output: int = MAX_OUTPUT,
    reporter: Reporter | None = None,
) -> Secret:
    """Run a command and return what it printed; the files that a project's command names are compared right before.

    See `freshkey._commands.helper.run_helper` for the arguments, the bounds, and the other errors. The reporter hears
    of a command that is slow.

    Raises:
        TrustNeeded: A file is not what it was when the command was trusted, or is new; nothing was run.
    """
    ensure_unchanged(command)
    return run_helper(
        command.argv,
        timeout=timeout,
        environ=environ,
        max_output=max_output,
        directory=command.directory,
        on_slow=None if reporter is None else partial(_tell_slow, command, reporter),
    )


def _tell_slow(command: Command, reporter: Reporter, seconds: float) -> None:
    reporter.notice(f"{command.name!r} has been running for {seconds:.0f} s")


def ensure_unchanged(command: Command) -> None:
    """Compare the files that a project's command names with those that a person trusted; called right before a run.

    Raises:
        TrustNeeded: One is not what it was, or is new.
    """
    why = changed(command)
    if why is not None:
        raise TrustNeeded(f"the command {command.name!r} was not run: {why}", hint=how_to_trust(command.directory))


def changed(command: Command) -> str | None:
    """Say what of a project's command is not as it was when it was trusted; None if all is, or nothing has to be."""
    if command.directory is None:
        return None
    try:
        now = pinned(command.argv, command.directory)
    except ConfigurationError as error:
        return error.message
    different = sorted(file for file, _ in now.items() ^ command.pins.items())
    return f"{different[0]} is not what it was when you trusted it" if different else None


def how_to_trust(directory: Path | None) -> str:
    """Return what a person can do about a command of a project that is not trusted as it is."""
    import shlex

    return f"Look at it, then run: freshkey trust {shlex.quote(str(directory))}"


def pinned(argv: Sequence[str], directory: Path) -> dict[Path, str]:
    """Return the digests of the files that the words of a command name, for `Command.pins`.

    Those are all files that lie in the directory, and all that are named by a path relative to it, wherever that
    leads. A word may also be an option with a file behind its equals sign.

    Args:
        argv: The words of the command.
        directory: The directory that it works in.

    Raises:
        ConfigurationError: One of them cannot be read or is no regular file, or together they are larger than
            `MAX_PROGRAM`.
    """
    pins: dict[Path, str] = {}
    left = MAX_PROGRAM
    for file in sorted({file for word in argv for file in _named(word, directory)}):
        pins[file], size = file_digest(file, left)
        left -= size
    return pins


def _named(word: str, directory: Path) -> Iterator[Path]:
    for part in {word, word.partition("=")[2]} - {""}:
        file = directory / part
        # A word that is too long, or otherwise can be no file's name, names none.
        with suppress(OSError, ValueError, RuntimeError):
            file.lstat()  # a link to nowhere is there
            if not file.is_dir() and (not Path(part).is_absolute() or _inside(file, directory)):
                yield file


def _inside(file: Path, directory: Path) -> bool:
    return file.is_relative_to(directory) or file.resolve().is_relative_to(directory.resolve())


def file_digest(file: Path, most: int = MAX_PROGRAM) -> tuple[str, int]:
    """Return the SHA-256 of a file in hexadecimal, and its size in bytes.

    Raises:
        ConfigurationError: It cannot be read, is no regular file, or has more than `most` bytes.
    """
    import hashlib

    digest, size = hashlib.sha256(), 0
    try:
        with open_regular(file) as opened:
            while size <= most and (chunk := opened.read(1_048_576)):
                digest.update(chunk)
                size += len(chunk)
    except NotRegularError:
        raise ConfigurationError(f"{file} is not a regular file") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    if size > most:
        raise ConfigurationError(f"{file} is too large: commands of a project may name {MAX_PROGRAM} bytes at most")
    return digest.hexdigest(), size
