"""Where the machine's identity token for Claude is: in a file or a variable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey import plugin
from freshkey.plugin import Secret, file_version, shown_path


VARIABLE: Final = "ANTHROPIC_IDENTITY_TOKEN"

FILE: Final = "ANTHROPIC_IDENTITY_TOKEN_FILE"
"""Names a file with the token instead."""

_NAMED_BY: Final = f"{FILE} or identity_token_file"


def read(file: Path | None, environ: Mapping[str, str]) -> Secret:
    """Return the token; its maximum size of 16 KiB is that of Anthropic's endpoint (Python SDK 2.13.0, _workload.py).

    Args:
        file: The token file; None reads the environment variable `VARIABLE`.
        environ: The current environment.

    Raises:
        ConfigurationError: The token is missing, unreadable or malformed, or another user can change the file. The
            message never quotes it.
    """
    if file is None:
        found = environ.get(VARIABLE, "").encode("utf-8", "surrogateescape")
        return plugin.identity_token(found, where=VARIABLE, code="claude-invalid-identity-token")
    return plugin.identity_token_file(file, named_by=_NAMED_BY, code="claude-invalid-identity-token")


def shown(file: Path) -> str:
    """Return the path of a token file for display, or what names it: the token itself may be in the wrong variable."""
    return shown_path(str(file)) or f"named by {_NAMED_BY}"


def version(file: Path | None, environ: Mapping[str, str]) -> str:
    """Return a text that changes with the token, for `Detected.version`; the token file is not read."""
    return Secret(environ.get(VARIABLE, "")).fingerprint() if file is None else file_version(file)
