"""Paths in AWS's environment variables and files: a mistake in one is named, instead of a file that is not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import path_flaw


NOT_EXPANDED: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
)
"""Variables whose path botocore opens exactly as it is written."""


MAX_PATH: Final = 4096
"""Longest path in characters that is expanded; Linux opens none that is longer (PATH_MAX)."""


def expanded(path: str) -> Path:
    """Return a path expanded as botocore expands it; one that is too long is returned as it is, and does not exist."""
    return Path(path if len(path) > MAX_PATH else os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111


def shared_path(variable: str, default: str, environ: Mapping[str, str]) -> Path:
    """Return the path in a variable, or else the default path, expanded as botocore expands it.

    Raises:
        ConfigurationError: It is too long, or there is no such file and the way the path is written explains why.
    """
    value = environ.get(variable)
    if value and len(value) > MAX_PATH:  # expanding it would take time that grows with its square
        raise wrong_path(variable, f"is longer than {MAX_PATH} characters")
    path = Path(os.path.expanduser(os.path.expandvars(value or default)))  # noqa: PTH111  like botocore, never raises
    if not value or os.path.lexists(path):
        return path
    flaw = "contains a variable that is not set" if "$" in str(path) else path_flaw(str(path))
    if flaw is not None:
        raise wrong_path(variable, flaw)
    return path


def wrong_path(variable: str, flaw: str) -> ConfigurationError:
    """Return the error for a path that is not written as a path."""
    return ConfigurationError(
        f"the path in {variable} {flaw}", hint=f"Write the whole path in {variable}", code="bedrock-invalid-aws-config"
    )


def flaw_of_opened(opened: str, environ: Mapping[str, str]) -> ConfigurationError | None:
    """Return the error for a file that botocore could not open, if the way its path is written explains it.

    Args:
        opened: The path, as botocore was given it.
        environ: The environment, which may have named it.
    """
    flaw = path_flaw(opened)
    if flaw is None:
        return None
    return wrong_path(named_by(opened, environ), flaw)


def named_by(opened: str, environ: Mapping[str, str]) -> str:
    """Return which variable or setting names a file of a token, as botocore was given its path."""
    variable = next((name for name in NOT_EXPANDED if environ.get(name) == opened), None)
    return variable or "web_identity_token_file of the AWS profile"


def url_flaw(url: str) -> str:
    """Return what is wrong with the way a URL is written that botocore does not accept; never quotes it."""
    # Mistakes of a shell are the same in URLs, but here the URL of a file is not wrong for being a URL.
    written = path_flaw(url.removeprefix("file:"))
    return written or "does not begin with https:// or http://, or is malformed otherwise"
