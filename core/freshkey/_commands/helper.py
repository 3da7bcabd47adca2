"""Helper commands that print a credential: bounded in time and output, and never quoted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freshkey._commands.process import Run
from freshkey._json import parse_json_object
from freshkey.errors import ProtocolError, TransientError
from freshkey.secret import Secret, is_token


if TYPE_CHECKING:
    import io

HELPER_TIMEOUT: Final = 30.0
"""Seconds that a helper command has, unless the caller says otherwise."""

SLOW: Final = 10.0
"""Seconds after which a person who waits is told that a helper command is slow."""

MAX_OUTPUT: Final = 65536
"""Bytes that a helper command may print, unless the caller says otherwise."""

HELPER_VARIABLES: Final = frozenset(
    {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"}
    | {"DBUS_SESSION_BUS_ADDRESS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"}
    | {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"}
    | {"APPDATA", "LOCALAPPDATA", "PATHEXT", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE"}
)
"""What a helper command sees of the environment; above all no other provider's credentials."""

HELPER_VERSION: Final = 1

MAX_LINE: Final = 16384
"""Characters of the one line that a helper command prints, unless the caller says otherwise."""


def helper_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the part of `environ` that a helper command may see."""
    return {name: value for name, value in environ.items() if name in HELPER_VARIABLES}


def run_helper(
    argv: Sequence[str],
    *,
    timeout: float = HELPER_TIMEOUT,
    environ: Mapping[str, str] | None = None,
    max_output: int = MAX_OUTPUT,
    directory: Path | None = None,
    on_slow: Callable[[float], None] | None = None,
) -> Secret:
    """Run a helper command and return what it printed, as it is.

    There is no shell, nothing to read on its standard input, and nobody who reads its standard error, where some
    helpers print what they were about to hand over. It runs in a session of its own: when it is over, whatever it
    started in that session is killed (on macOS, what stayed in its process group). The directory that this process
    works in means nothing to it.

    Args:
        argv: The program and its arguments. The program is an absolute path, or a name that is looked up on the
            ``PATH`` of `environ`.
        timeout: Seconds until it is killed.
        environ: Its whole environment; `helper_environment` by default.
        max_output: Bytes of standard output, beyond which it is killed.
        directory: The directory it works in; the home directory by default, or the root where there is none.
        on_slow: Called once with the seconds that have passed, if it still runs after `SLOW` seconds.

    Raises:
        ConfigurationError: There is no such program or directory, or it cannot be run.
        TransientError: It took too long, or ended with another status than 0.
        ProtocolError: It printed nothing, too much, or no UTF-8.

    No message quotes an argument or the output; each names the program alone.
    """
    helper = _Helper(argv, helper_environment() if environ is None else environ, max_output, directory)
    return helper.output(timeout, on_slow)


def read_helper_json(output: Secret, program: str = "the helper") -> dict[str, Any]:
    """Return the object that a helper printed in freshkey's own form, ``{"version": 1, …}``, without its version.

    Args:
        output: What `run_helper` returned.
        program: How to call it in an error.

    Raises:
        ProtocolError: It is no such object, of another version, or has text with a line break or a NUL in it, which
            could smuggle a line into whatever the text is written to. The message never quotes it.
    """
    facts = _facts(output)
    if isinstance(facts, str):
        hint = f'A helper prints one JSON object with "version": {HELPER_VERSION}'
        raise ProtocolError(f"{program} printed {facts}", hint=hint)
    return facts


def read_helper_line(output: Secret, program: str = "the helper", longest: int = MAX_LINE) -> Secret:
    """Return the one line that a helper printed; one line end is dropped, LF or CR LF.

    Args:
        output: What `run_helper` returned.
        program: How to call it in an error.
        longest: Characters that the line may have.

    Raises:
        ProtocolError: It is no line of printable ASCII without spaces: nothing, several lines, or what no header may
            carry as a credential (RFC 6750, section 2.1). The message never quotes it.
    """
    line = Secret(re.sub(r"\r?\n\Z", "", output.reveal()))
    flaw = _flaw_of_line(line, longest)
    if flaw is not None:
        raise ProtocolError(f"{program} printed {flaw}", hint="A helper prints the secret alone, on one line")
    return line


def _flaw_of_line(line: Secret, longest: int) -> str | None:
    """Return what is wrong with a line, or None; found elsewhere, so that no traceback shows the characters."""
    text = line.reveal()
    if not text:
        return "an empty line"
    if len(text) > longest:
        return f"more than {longest} characters"
    if "\n" in text or "\r" in text:
        return "more than one line"
    return None if is_token(text, longest) else "spaces or characters that are not ASCII"


def _facts(output: Secret) -> dict[str, Any] | str:
    """Return what was printed, or what is wrong with it; raised elsewhere, so that no traceback shows the facts."""
    try:
        facts = parse_json_object(output.reveal().encode("utf-8", "surrogatepass"))
    except ProtocolError:
        return "no JSON object"
    version = facts.pop("version", None)
    if type(version) is not int or version != HELPER_VERSION:  # True and 1.0 equal 1 and are something else
        return "an object of no version, or of one that is not known here"
    return "text with a line break or a NUL in it" if _breaks_lines(facts) else facts


def _breaks_lines(value: object) -> bool:
    if isinstance(value, str):
        return any(character in value for character in "\r\n\0")
    if isinstance(value, dict):
        return any(_breaks_lines(part) for part in (*value, *value.values()))
    return isinstance(value, list) and any(_breaks_lines(part) for part in value)


class _Helper:
    """One helper while it runs. What it prints is kept here and not in local variables, which tracebacks may show."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], most: int, directory: Path | None) -> None:
        self._most = most
        self._printed = bytearray()
        self._run = Run(argv, environ, self._take, directory=directory)
        self._name = repr(self._run.name)

    def _take(self, pipe: io.RawIOBase) -> None:
        before = -1
        while before < len(self._printed) <= self._most:
            before = len(self._printed)
            self._printed += pipe.read(self._most + 1 - before) or b""

    def output(self, timeout: float, on_slow: Callable[[float], None] | None) -> Secret:
        """Return what it printed, or say what was wrong."""
        waiting = [] if on_slow is None else [on_slow]

        def meanwhile(passed: float) -> bool:
            if waiting and passed >= SLOW:
                waiting.pop()(passed)
            return len(self._printed) <= self._most

        status = self._run.wait(timeout, meanwhile)
        if len(self._printed) > self._most:
            raise ProtocolError(f"the helper {self._name} printed more than {self._most} bytes")
        if status is None:
            raise TransientError(f"the helper {self._name} did not end within {timeout:g} s", hint="Run it yourself")
        if status != 0:
            hint = "Run it yourself to see why"
            raise TransientError(f"the helper {self._name} failed with status {status}", hint=hint)
        if not self._printed:
            raise ProtocolError(f"the helper {self._name} printed nothing")
        try:
            return Secret(self._printed.decode("utf-8"))
        except UnicodeDecodeError:
            message = f"the helper {self._name} printed something that is not UTF-8"
        # Raised outside the handler: the decoder's own error carries the whole output.
        raise ProtocolError(message)
