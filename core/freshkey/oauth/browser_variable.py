"""Reads ``$BROWSER`` as Python's `webbrowser` does: commands in order of preference, each a program with arguments.

No command runs in a shell, and the URL is always one argument, or part of one such as ``--app=%s``.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final

from freshkey._commands.process import are_own_arguments, find_own_program


_PLACEHOLDER: Final = re.compile("%[%s]")

_EXECUTABLES: Final = {
    "brave": ("brave-browser",),
    "chrome": ("google-chrome", "google-chrome-stable", "chromium"),
    "chromium": ("chromium-browser",),
    "edge": ("microsoft-edge", "microsoft-edge-stable"),
    "google-chrome": ("google-chrome-stable",),
    "microsoft-edge": ("microsoft-edge-stable",),
    "mozilla": ("firefox",),
}
"""Common names of browsers, and what their executables are called."""

_MAC_APPLICATIONS: Final = {
    "chrome": "Google Chrome",
    "chromium": "Chromium",
    "edge": "Microsoft Edge",
    "firefox": "Firefox",
    "google-chrome": "Google Chrome",
    "microsoft-edge": "Microsoft Edge",
    "safari": "Safari",
}

_SHELLS: Final = frozenset({"ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh"})
_INTERPRETERS: Final = frozenset({"cmd", "command", "powershell", "pwsh", "ssh", "wsl", "wt"})
"""These, or the shell at their other end, parse their arguments as code again, and URLs contain ``&`` and ``;``."""

_BATCH_FILES: Final = (".bat", ".cmd")
"""Windows starts ``cmd`` for these, which parses their arguments, however they are quoted."""

_CODE_OPTION: Final = re.compile("-[A-Za-z]*c[A-Za-z]*|--command(?:=.*)?", re.DOTALL)
_NO_CODE: Final = re.compile("[0-9A-Za-z_./:+=,()@%-]*")
_WINDOWS_WORD: Final = re.compile(r'(?:[^\s"]|"[^"]*")+')


def browser_commands(url: str, environ: Mapping[str, str], *, platform: str = sys.platform) -> Iterator[list[str]]:
    """Yield the commands in ``$BROWSER`` that open `url`, in order; those that do not exist or are unsafe are left out.

    Unsafe is what is in the current project, whose ``.env`` can set the variable, and what another user can change.

    Args:
        url: A safe URL.
        environ: The environment.
        platform: The value of ``sys.platform``.
    """
    for entry in environ.get("BROWSER", "").split(";" if platform == "win32" else ":"):
        command = _command(entry.strip(), url, environ, platform)
        if command is not None:
            yield command


def _command(entry: str, url: str, environ: Mapping[str, str], platform: str) -> list[str] | None:
    entry = entry.removesuffix("&").rstrip()  # no command is waited for anyway
    if PurePath(entry).is_absolute() and (program := find_own_program(entry, environ)):
        return None if _parses_arguments(program, []) else [program, url]  # may contain spaces
    words = _words(entry, platform)
    if not words:
        return None
    name, *arguments = words
    start = _start(name, environ, platform)
    if start is None or _parses_arguments(name, [*start, *arguments]) or not all(map(_is_safe, arguments)):
        return None
    if not are_own_arguments(name, arguments):
        return None
    filled = [_PLACEHOLDER.sub(lambda found: url if found[0] == "%s" else "%", word) for word in arguments]
    return [*start, *filled] if any(map(_takes_url, arguments)) else [*start, *filled, url]


def _words(entry: str, platform: str) -> list[str]:
    if platform == "win32":  # a backslash is part of a path there, and an apostrophe of a name
        return [] if entry.count('"') % 2 else [word.replace('"', "") for word in _WINDOWS_WORD.findall(entry)]
    try:
        return shlex.split(entry)
    except ValueError:  # unbalanced quotes
        return []


def _start(name: str, environ: Mapping[str, str], platform: str) -> list[str] | None:
    """Return how to start a program: by its absolute path, or by a name on ``PATH``; None if there is none."""
    if PurePath(name).is_absolute() or not {"/", "\\"} & set(name):
        for known in (name, name.lower(), *_EXECUTABLES.get(name.lower(), ())):
            if program := find_own_program(known, environ):
                return [program]
    if platform == "darwin" and (application := _MAC_APPLICATIONS.get(name.lower())):
        return ["/usr/bin/open", "-a", application]
    return None


def _takes_url(word: str) -> bool:
    return "%s" in _PLACEHOLDER.findall(word)


def _is_safe(word: str) -> bool:
    """Whether the URL in this word can only be data: ``sh -c "browser %s"`` would run part of it."""
    return not _takes_url(word) or bool(_NO_CODE.fullmatch(word))


def _parses_arguments(name: str, arguments: list[str]) -> bool:
    # Any word can be the program: others such as ``env`` and ``nohup`` start what their arguments name.
    # Windows ignores dots and spaces at the end of a name.
    names = {PurePath(word.lower()).name.rstrip(". ") for word in (name, *arguments)}
    programs = {one.removesuffix(".exe") for one in names}
    runs_code = programs & _SHELLS and any(map(_CODE_OPTION.fullmatch, arguments))
    return bool(runs_code or programs & _INTERPRETERS or any(one.endswith(_BATCH_FILES) for one in names))
