"""Runs helper commands that print a credential: limited in time and output, and never quoted in a message."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freshkey._commands.environ import uniform
from freshkey._commands.process import Run
from freshkey._json import parse_json_object
from freshkey._secret_input.encoding import decoded
from freshkey._secret_input.shape import looks_like
from freshkey.errors import ProtocolError, TransientError
from freshkey.secret import Secret, is_token, quoted


if TYPE_CHECKING:
    import io

HELPER_TIMEOUT: Final = 30.0
"""Default timeout of a helper command, in seconds."""

SLOW: Final = 10.0
"""Seconds after which a waiting user is notified that a helper command is slow."""

MAX_OUTPUT: Final = 65536
"""Default limit of a helper command's output, in bytes."""

HELPER_VARIABLES: Final = frozenset(
    {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"}
    | {"DBUS_SESSION_BUS_ADDRESS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"}
    | {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"}
    | {"ALLUSERSPROFILE", "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA"}
    | {"PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP"}
    | {"USERDOMAIN", "USERNAME", "USERPROFILE", "WINDIR"}
)
"""The variables that are passed to a helper command.

The list is minimal because the environment often contains credentials of other providers, which a helper does not need.
"""

HELPER_VERSION: Final = 1

MAX_LINE: Final = 16384
"""Default limit of the line that a helper command prints, in characters."""


def helper_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `environ` to pass to a helper command."""
    return {name: value for name, value in uniform(environ).items() if name in HELPER_VARIABLES}


def run_helper(
    argv: Sequence[str],
    *,
    timeout: float = HELPER_TIMEOUT,
    environ: Mapping[str, str] | None = None,
    max_output: int = MAX_OUTPUT,
    directory: Path | None = None,
    on_slow: Callable[[float], None] | None = None,
) -> Secret:
    """Run a helper command and return its output: UTF-8 or, after a byte order mark, UTF-16.

    It runs without a shell. Its standard input is empty, and its standard error is discarded, because some helpers
    print the secret there. It runs in its own session: when it exits, every process that it left in that session is
    killed (on macOS, in its process group; on Windows, in its job object). Otherwise a process that waits for input in
    the background would keep the credential in memory forever. It does not inherit this process's working directory.

    Args:
        argv: The program and its arguments. The program is an absolute path, or a name that is looked up on the
            ``PATH`` of `environ`.
        timeout: Seconds until it is killed.
        environ: Its whole environment; `helper_environment` by default.
        max_output: Maximum bytes of standard output; if it prints more, it is killed.
        directory: Its working directory; by default the home directory, or the root directory if there is none.
        on_slow: Called once with the elapsed seconds, if it is still running after `SLOW` seconds.

    Raises:
        ConfigurationError: The program or directory does not exist, or the program cannot be run.
        TransientError: It timed out, or exited with a status other than 0.
        ProtocolError: Its output is empty, too long, or not UTF-8.

    Messages contain only the name of the program, never an argument or the output.
    """
    helper = _Helper(argv, helper_environment() if environ is None else environ, max_output, directory)
    return helper.output(timeout, on_slow)


def read_helper_json(output: Secret, program: str = "the helper") -> dict[str, Any]:
    """Return the object that a helper printed in freshkey's own format, ``{"version": 1, …}``, without its version.

    Args:
        output: What `run_helper` returned.
        program: Its name in error messages.

    Raises:
        ProtocolError: It is not such an object, has another version, or has a string with a line break or NUL, which
            could inject a line wherever the string is written. The message never quotes it.
    """
    facts = _facts(output)
    if isinstance(facts, str):
        hint = f'Make it print one JSON object with "version": {HELPER_VERSION}'
        raise ProtocolError(f"{program} printed {facts}", hint=hint, code="invalid-command-output")
    return facts


def read_helper_line(output: Secret, program: str = "the helper", longest: int = MAX_LINE) -> Secret:
    """Return the one line that a helper printed, without its line ending (LF or CR LF).

    Args:
        output: What `run_helper` returned.
        program: Its name in error messages.
        longest: Maximum characters of the line.

    Raises:
        ProtocolError: It is not one line of printable ASCII without spaces, and so cannot be sent as a credential in a
            header (RFC 6750, section 2.1), or looks like something else, such as a value in quotes. The message never
            quotes it.
    """
    line = Secret(re.sub(r"\r?\n\Z", "", output.reveal()))
    flaw = _flaw_of_line(line, longest)
    if flaw is not None:
        raise ProtocolError(
            f"{program} printed {flaw}",
            hint="Make it print only the secret, on one line",
            code="invalid-command-output",
        )
    return line


def _flaw_of_line(line: Secret, longest: int) -> str | None:
    """Return what is wrong with a line, or None; raised by the caller, so that no traceback shows the line."""
    text = line.reveal()
    if not text:
        return "an empty line"
    if len(text) > longest:
        return f"more than {longest} characters"
    if "\n" in text or "\r" in text:
        return "more than one line"
    shape = looks_like(text)
    if shape is not None:
        return shape
    return None if is_token(text, longest) else "spaces, control characters, or non-ASCII characters"


def _facts(output: Secret) -> dict[str, Any] | str:
    """Return the printed object, or what is wrong with it; raised by the caller, so that no traceback shows it."""
    try:
        facts = parse_json_object(output.reveal().encode("utf-8", "surrogatepass"))
    except ProtocolError:
        return "something that is not a JSON object"
    version = facts.pop("version", None)
    if type(version) is not int or version != HELPER_VERSION:  # True and 1.0 equal 1 but are not valid
        return "a JSON object without a supported version"
    return "a JSON object that contains a line break or NUL in a string" if _breaks_lines(facts) else facts


def _breaks_lines(value: object) -> bool:
    if isinstance(value, str):
        return any(character in value for character in "\r\n\0")
    if isinstance(value, dict):
        return any(_breaks_lines(part) for part in (*value, *value.values()))
    return isinstance(value, list) and any(_breaks_lines(part) for part in value)


class _Helper:
    """A running helper. Its output is an attribute, not a local variable, because tracebacks can show those."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], most: int, directory: Path | None) -> None:
        self._most = most
        self._printed = bytearray()
        self._run = Run(argv, environ, self._take, directory=directory)
        self._name = quoted(self._run.name)

    def _take(self, pipe: io.RawIOBase) -> None:
        before = -1
        while before < len(self._printed) <= self._most:
            before = len(self._printed)
            self._printed += pipe.read(self._most + 1 - before) or b""

    def output(self, timeout: float, on_slow: Callable[[float], None] | None) -> Secret:
        """Return its output, or raise what is wrong with it."""
        waiting = [] if on_slow is None else [on_slow]

        def meanwhile(passed: float) -> bool:
            if waiting and passed >= SLOW:
                waiting.pop()(passed)
            return len(self._printed) <= self._most

        status = self._run.wait(timeout, meanwhile)
        if len(self._printed) > self._most:
            raise ProtocolError(
                f"the helper {self._name} printed more than {self._most} bytes", code="invalid-command-output"
            )
        if status is None:
            raise TransientError(
                f"the helper {self._name} timed out after {timeout:g} s",
                hint="Run it yourself to see what it is waiting for",
                code="command-timed-out",
            )
        if status != 0:
            hint = "Run it yourself to see why"
            raise TransientError(
                f"the helper {self._name} exited with status {status}", hint=hint, code="command-failed"
            )
        if not self._printed:
            raise ProtocolError(f"the helper {self._name} printed nothing", code="invalid-command-output")
        text = decoded(self._printed)
        if text is None:
            raise ProtocolError(
                f"the helper {self._name} printed text that is not UTF-8",
                hint="Make it print UTF-8",
                code="invalid-command-output",
            )
        return Secret(text)
