"""Runs a program in its own session, without input and with a timeout; then kills what it left running."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from freshkey._commands.batch_file import is_batch_file, refuse_quoting
from freshkey._commands.environ import child_environment, for_start, uniform, with_safe_path
from freshkey._commands.lookup import find_program, find_programs, how_to_name, is_bare, is_command
from freshkey._commands.named_files import TooManyPartsError, named_files, named_paths, parts_of
from freshkey._commands.session import start_session
from freshkey._files.bounded import NotRegularError, open_regular
from freshkey._files.owned import UnsafePathError, check_file
from freshkey._files.path_text import path_flaw
from freshkey._files.permissions import chmod_command
from freshkey._files.project_place import home_outside_project, leads_into_project, without_project_path
from freshkey.errors import ConfigurationError, TransientError
from freshkey.secret import quoted


if TYPE_CHECKING:
    import io


log = logging.getLogger(__name__)

_POLL_INTERVAL: Final = 0.02
_READER_TIMEOUT: Final = 1.0

_INTERPRETERS: Final = 4
_FIRST_LINE: Final = 256
"""Interpreters in a row, and bytes of the line that names one, as in Linux (execve(2))."""


class Run:
    """A running program, whose output is read on a separate thread.

    See `freshkey._commands.helper.run_helper` for how it runs, and for `argv`, `environ` and `directory`.

    Args:
        take: Called once on that thread with the unbuffered pipe of its output; may stop reading at any time.
        with_errors: Whether standard error goes to that pipe too; otherwise it is discarded.
        starts_browser: Whether it may start a browser, which goes on when the program has ended by itself.

    Attributes:
        name: The name of its program, for messages. Arguments can be secret.

    Raises:
        ConfigurationError: The program or directory does not exist, or the program cannot be run.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        take: Callable[[io.RawIOBase], None],
        *,
        with_errors: bool = False,
        starts_browser: bool = False,
        directory: Path | None = None,
    ) -> None:
        import subprocess

        directory = directory or home_directory()
        program = _usable_program(argv, environ, directory)
        # What it starts by name is no program of the project, or of another user, either.
        environ = with_safe_path(without_project_path(child_environment(uniform(environ))))
        self.name = PurePath(program).name
        self._take, self._starts_browser = take, starts_browser
        self._reader = threading.Thread(target=self._read, name="freshkey command", daemon=True)
        reading, writing = os.pipe()
        self._pipe = open(reading, "rb", buffering=0)  # noqa: PTH123, SIM115  a file descriptor, which the reader closes
        errors = writing if with_errors else subprocess.DEVNULL
        try:
            # See docs/decisions.md, "Helper commands run in the home directory".
            self._session = start_session(
                program, argv[1:], for_start(environ), directory, stdout=writing, stderr=errors
            )
        except BaseException as error:
            self._pipe.close()
            if not isinstance(error, OSError):
                raise
            reason = error.strerror or "the operating system refused"
        else:
            return
        finally:
            os.close(writing)
        raise ConfigurationError(f"cannot run the program {quoted(self.name)}: {reason}", code="command-not-runnable")

    def wait(self, timeout: float, meanwhile: Callable[[float], bool]) -> int | None:
        """Wait until it exits, kill the processes it started, and finish reading its output.

        Args:
            timeout: Seconds until it is killed.
            meanwhile: Called repeatedly with the elapsed seconds; the program is killed as soon as it returns False.

        Returns:
            Its exit status; None if it was killed.

        Raises:
            TransientError: Its output cannot be read, because this process cannot start another thread.
        """
        ended = False
        try:
            self._start_reader()
            began = time.monotonic()
            while (
                not (ended := self._session.ended)
                and (passed := time.monotonic() - began) < timeout
                and meanwhile(passed)
            ):
                self._rest(min(timeout - passed, _POLL_INTERVAL))
        finally:
            status = self._end(leave=ended and self._starts_browser)
        return status if ended else None

    def _start_reader(self) -> None:
        try:
            self._reader.start()
        except RuntimeError:
            self._pipe.close()
            raise TransientError(
                f"cannot start a thread to read from the program {quoted(self.name)}", code="out-of-threads"
            ) from None

    def _read(self) -> None:
        with self._pipe:
            self._take(self._pipe)

    def _rest(self, seconds: float) -> None:
        if self._reader.is_alive():
            self._reader.join(seconds)  # the output usually ends together with the program
        else:
            time.sleep(seconds)

    def _end(self, *, leave: bool) -> int:
        status = self._session.end(leave=leave)
        if self._reader.ident is not None:
            # A process that left the session can hold the pipe open forever; do not wait for it.
            self._reader.join(_READER_TIMEOUT)
        return status


def find_own_program(named: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program that a variable names, or None if it does not count as the user's own.

    It is missing or, which is logged, in the current project or such that another user can replace it.
    """
    found = find_program(named, environ)
    if found is None:
        return None
    if leads_into_project(found):
        log.warning("%s was not run: it is in the current project", quoted(PurePath(found).name))
        return None
    try:
        refuse_unsafe_program(found, environ, Path(os.sep))
    except ConfigurationError as error:
        log.warning("%s. %s", error.message, error.hint)
        return None
    return found


def are_own_arguments(named: str, arguments: Sequence[str]) -> bool:
    """Return whether no argument of a program is a file of the project, such as a script; one that is, is logged."""
    if any(map(leads_into_project, arguments)):
        log.warning("%s was not run: its arguments name a file in the current project", quoted(PurePath(named).name))
        return False
    return True


def refuse_unsafe_program(program: str, environ: Mapping[str, str], directory: Path) -> None:
    """Refuse a program, or an interpreter that its first line names, that another user can change or replace.

    Where only this user and root can, what was checked is what runs: nobody else can swap it in between. On Windows,
    nothing is refused: who can change a file is in access control lists there, which are not read.

    Args:
        program: Its absolute path, or another one, which is taken as relative to the working directory.
        environ: Its environment, whose PATH ``env`` searches.
        directory: Its working directory.

    Raises:
        ConfigurationError: Another user can.
    """
    if sys.platform == "win32":  # owners and modes say nothing there
        return
    path: Path | None = directory / program
    for _ in range(_INTERPRETERS):
        if path is None:
            return
        try:
            check_file(path)
            path = _interpreter(path, environ, directory)
        except UnsafePathError as error:
            raise unsafe_program(PurePath(program).name, error) from None
        except (OSError, NotRegularError):  # missing, or not readable; whether it can run shows when it is started
            return


def refuse_unsafe_words(words: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
    """Refuse arguments that name a file, a directory or a program on PATH that another user can change or replace.

    Whatever the program is, it could run what they name, as ``env``, ``timeout`` and a shell do. See `named_files` for
    how a word can name a file. Of a device or a socket, only the directories above count; sticky directories do not.

    Args:
        words: The arguments of the program.
        environ: Its environment, whose PATH counts.
        directory: Its working directory.

    Raises:
        ConfigurationError: Another user can, or the words have too many parts.
    """
    if sys.platform == "win32":
        return
    try:
        files, parts = named_files(words, directory), parts_of(words)
        # One that is missing may be missing only while another user swaps it.
        files |= {path for path in named_paths(words, directory) if path.parent != directory}
    except TooManyPartsError:
        raise too_long() from None
    programs = find_programs(filter(is_bare, parts), environ)
    for place in sorted(programs.union(map(str, files))):
        refuse_unsafe_program(place, environ, directory)


def too_long() -> ConfigurationError:
    """Return the error about a command with too many words to find the files that they name."""
    return ConfigurationError(
        "the command is too long to find the files that it names",
        hint="Move its code to a script",
        code="unreadable-program",
    )


def unsafe_program(name: str, error: UnsafePathError) -> ConfigurationError:
    """Return the error about a program or its script `name`, because of what another user can change."""
    if error.owner is not None:
        what, repair = f"{error.place} belongs to another user (user ID {error.owner})", ""
    else:
        what, repair = f"other users can change {error.place}", ""
        if error.is_ours:
            repair = f"Run: {chmod_command('go-w', error.place)}; or use "
    return ConfigurationError(
        f"{quoted(name)} was not run: {what}, who could replace it",
        hint=f"{repair or 'Use '}a program or script in a directory that only you and root can change",
        code="unsafe-program",
    )


def _interpreter(path: Path, environ: Mapping[str, str], directory: Path) -> Path | None:
    """Return the program that the kernel, or ``env``, runs for a script; None if this is not a script."""
    with open_regular(path) as file:
        first = file.read(_FIRST_LINE)
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:].partition(b"\n")[0]).split()
    if words and PurePath(words[0]).name == "env":
        word = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
        found = None if word is None else find_program(word, environ)
        return None if found is None else Path(found)
    return directory / words[0] if words else None


def checked_program(argv: Sequence[str], environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> str:
    """Return the absolute path of the program that a command runs, if freshkey would run it.

    For a library that runs commands itself: it must look up programs on the same ``PATH``, see `without_project_path`.

    Args:
        argv: The program and its arguments.
        environ: Has the ``PATH`` on which a name is looked up.
        directory: The working directory of the command; that of the process by default.

    Raises:
        ConfigurationError: The program is missing, is given by a relative path, or can be changed by another user, as
            can its interpreter or the script that a shell or another interpreter would run. On Windows also: it is a
            batch file, and only freshkey itself could pass it these arguments.
    """
    program = _usable_program(argv, environ, directory or Path.cwd())
    if sys.platform == "win32" and is_batch_file(program):
        program = os.path.normpath(program)  # with backslashes, as cmd.exe has paths
        refuse_quoting(program, argv[1:])
    return program


def _usable_program(argv: Sequence[str], environ: Mapping[str, str], directory: Path) -> str:
    if not is_command(argv):
        raise ConfigurationError("a command must be a list: a program and its arguments", code="invalid-command")
    name = PurePath(argv[0]).name
    if not PurePath(argv[0]).is_absolute() and os.path.dirname(argv[0]):  # noqa: PTH120  as above
        message = f"the program {quoted(name)} has a relative path"
        raise ConfigurationError(
            message, hint="Use an absolute path, or the name of a program on PATH", code="invalid-command"
        )
    found = find_program(argv[0], environ)
    if found is None:
        message = f"the program {quoted(name)} {path_flaw(argv[0]) or 'was not found or is not executable'}"
        raise ConfigurationError(message, hint=how_to_name(argv[0], environ), code="command-not-runnable")
    refuse_unsafe_program(found, environ, directory)
    refuse_unsafe_words(argv[1:], environ, directory)
    return found


def home_directory() -> Path:
    """Return the home directory, in which commands run; the root directory if there is none."""
    with contextlib.suppress(RuntimeError):  # a user without a passwd entry, and no HOME
        home = home_outside_project()
        if home.is_absolute() and home.is_dir():
            return home
    return Path(os.sep)
