"""Opens a browser without a shell, and only for URLs that no launcher or browser can misinterpret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from freshkey._commands.environ import browser_environment, for_start, uniform
from freshkey._commands.process import find_own_program, home_directory
from freshkey._http.url import MAX_URL
from freshkey.errors import ConfigurationError
from freshkey.model.endpoints import LOOPBACK
from freshkey.oauth.browser_variable import browser_commands


_SECONDS_TO_FAIL: Final = 1.0
"""A browser that is still running after this many seconds counts as opened."""

_STDERR: Final = 2

# Upper-case escapes only, as urllib writes them: some launchers expand "%action" and "%s" in their arguments.
_SAFE: Final = re.compile(r"https?://(?:[0-9A-Za-z._~:/?&=+,;@!*()\[\]-]|%[0-9A-F]{2})+")


def safe_url(url: str, *, allow_insecure_loopback: bool = False) -> str:
    """Return `url` if it is safe to open in a browser.

    Args:
        url: An absolute URL.
        allow_insecure_loopback: Also accept http to 127.0.0.1, ::1 and localhost, for tests.

    Raises:
        ConfigurationError: It is not https, contains a user name, or contains a character that a launcher, a shell or
            a terminal could interpret. The message does not quote it.
    """
    flaw = _flaw(url, allow_insecure_loopback=allow_insecure_loopback)
    if flaw:
        message = f"the URL to open in the browser {flaw}"
        raise ConfigurationError(message, hint="Check the provider's endpoint settings", code="invalid-url")
    return url


def _flaw(url: str, *, allow_insecure_loopback: bool) -> str | None:
    if len(url) > MAX_URL or not _SAFE.fullmatch(url):
        return "is not a web URL or contains unsafe characters"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for an invalid port
    except ValueError:
        return "cannot be parsed"
    if not parts.hostname or "@" in parts.netloc or "%" in parts.netloc:
        return "has no valid host"
    insecure = parts.scheme == "http" and allow_insecure_loopback and parts.hostname in LOOPBACK
    return None if parts.scheme == "https" or insecure else "does not use https"


def open_browser(url: str, *, allow_insecure_loopback: bool = False, environ: Mapping[str, str] = os.environ) -> bool:
    """Open `url` in the user's browser and return whether that seems to have worked.

    The commands in ``$BROWSER`` are tried first, in order; see `freshkey.oauth.browser_variable`. A program in the
    current project, or one that another user can replace, is not started. The browser's output goes to stderr, because
    stdout belongs to the application.

    Args:
        url: See `safe_url`. Other users can see it in the process list.
        allow_insecure_loopback: See `safe_url`; needed for what `authorize` opens, an address of its own listener.
        environ: The environment; variables that look like secrets are not passed to the browser.

    Raises:
        ConfigurationError: `url` is not safe.
    """
    safe_url(url, allow_insecure_loopback=allow_insecure_loopback)
    if any(_run(command, environ) for command in browser_commands(url, environ)):
        return True
    if sys.platform == "win32":
        with suppress(OSError):
            # No shell parses the checked URL. The browser gets our environment, but no working directory of a project.
            os.startfile(url, cwd=home_directory())  # noqa: S606
            return True
        return False
    program = _desktop_program(environ)
    return program is not None and _run([program, url], environ)


def browser_program(environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of the program that opens URLs on this machine, or None."""
    command = next(browser_commands("https://localhost", environ), None)
    return command[0] if command else _desktop_program(environ)


def _desktop_program(environ: Mapping[str, str]) -> str | None:
    if sys.platform == "win32":
        return None  # it opens URLs itself, see `open_browser`
    if sys.platform == "darwin":
        return "/usr/bin/open"
    # Without a desktop, these would start a text browser in the terminal.
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("WSL_DISTRO_NAME")):
        return None
    names = ("xdg-open", "wslview", "firefox", "chromium", "google-chrome")
    return next(filter(None, (find_own_program(name, environ) for name in names)), None)


def _run(command: list[str], environ: Mapping[str, str]) -> bool:
    environment = browser_environment(environ)
    environment.pop("BROWSER", None)  # xdg-open would run it, whatever it is
    try:
        process = subprocess.Popen(  # noqa: S603  an argument list, no shell; the URL was checked
            command,
            env=for_start(uniform(environment)),
            cwd=home_directory(),  # as other commands: the working directory may be a hostile checkout
            stdin=subprocess.DEVNULL,
            stdout=_errors(),
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return process.wait(_SECONDS_TO_FAIL) == 0
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.wait, name="freshkey-browser", daemon=True).start()
        return True


def _errors() -> int:
    """Return standard error by number, because an application may have replaced `sys.stderr`, if there is one."""
    with suppress(OSError):  # a service has closed it
        os.fstat(_STDERR)
        return _STDERR
    return subprocess.DEVNULL
