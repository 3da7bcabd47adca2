"""Skip a test whose counterpart is not installed; in CI, where everything is installed, fail it instead.

Not on Windows, under Wine: few counterparts run there.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest


NODE_FOLDER: Final = Path(__file__).resolve().parents[2] / "counterparts"


class Counterpart(NamedTuple):
    """How to find out whether a counterpart is installed, and how to install it."""

    missing: Callable[[], str | None]
    install: str


def _programs(*names: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        absent = [name for name in names if shutil.which(name) is None]
        return f"{' and '.join(absent)} not found on PATH" if absent else None

    return missing


def node() -> Path | None:
    """Return the Node.js bundled with playwright, which is new enough for oidc-provider (Debian 12's is not)."""
    playwright = importlib.util.find_spec("playwright")
    if playwright is None or playwright.origin is None:
        return None
    return Path(playwright.origin).with_name("driver") / "node"


def _playwright() -> str | None:
    return None if node() else "the Python package playwright is not installed"


def _oidc_provider() -> str | None:
    if not (NODE_FOLDER / "node_modules" / "oidc-provider").is_dir():
        return f"oidc-provider is not installed in {NODE_FOLDER}"
    return _playwright()


def _django() -> str | None:
    missing = importlib.util.find_spec("oauth2_provider") is None
    return "the Python package django-oauth-toolkit is not installed" if missing else None


def _chromium() -> str | None:
    return _playwright() or _programs("chromium")()


CLAUDE: Final = NODE_FOLDER / "node_modules" / ".bin" / "claude"
"""Anthropic's command line, a standalone program that runs without Node.js."""


@functools.cache
def _claude() -> str | None:
    if not CLAUDE.exists():
        return f"@anthropic-ai/claude-code is not installed in {NODE_FOLDER}"
    try:
        done = subprocess.run([str(CLAUDE), "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the claude in {NODE_FOLDER} does not run: {type(error).__name__}"
    return None if done.returncode == 0 else f"the claude in {NODE_FOLDER} does not run"


def faketime() -> Path | None:
    """Return the library that changes the clock of a process it is preloaded into, or None."""
    package = importlib.util.find_spec("libfaketime")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.rglob("libfaketime.so.1"), None)


COUNTERPARTS: Final = {
    "oidc-provider": Counterpart(
        _oidc_provider, "apt-get install npm libatomic1 && npm ci --prefix tests/counterparts && sh scripts/setup"
    ),
    "claude": Counterpart(_claude, "apt-get install npm && npm ci --prefix tests/counterparts"),
    "gnome-keyring": Counterpart(
        _programs("gnome-keyring-daemon", "dbus-daemon"), "apt-get install --no-install-recommends gnome-keyring dbus"
    ),
    "chromium": Counterpart(
        _chromium, "apt-get install --no-install-recommends chromium libatomic1 && sh scripts/setup"
    ),
    "django-oauth-toolkit": Counterpart(_django, "sh scripts/setup"),
    "libfaketime": Counterpart(
        lambda: None if faketime() else "the Python package libfaketime is not installed", "sh scripts/setup"
    ),
}


def require(name: str, environment: Mapping[str, str] = os.environ) -> None:
    """Return if the counterpart is installed; otherwise skip the test, or fail it if `CI=true`, except on Windows."""
    counterpart = COUNTERPARTS[name]
    reason = counterpart.missing()
    if reason is None:
        return
    message = f"needs {name}: {reason}; install it with: {counterpart.install}"
    if environment.get("CI") == "true" and sys.platform != "win32":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
