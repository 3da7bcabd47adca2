"""Paths in AWS's environment variables and files: a mistake in one is named, instead of a file that is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError


_QUOTES: Final = "\"'\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"

NOT_EXPANDED: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
)
"""Variables whose path botocore opens exactly as it is written."""


def shared_path(variable: str, default: str, environ: Mapping[str, str]) -> Path:
    """Return the path in a variable, or else the default path, expanded as botocore expands it.

    Raises:
        ConfigurationError: There is no such file, and the way the path is written explains why.
    """
    value = environ.get(variable)
    path = Path(os.path.expanduser(os.path.expandvars(value or default)))  # noqa: PTH111  like botocore, never raises
    flaw = path_flaw(str(path)) if value else None
    if flaw is not None and not os.path.lexists(path):
        raise wrong_path(variable, flaw)
    return path


def wrong_path(variable: str, flaw: str) -> ConfigurationError:
    """Return the error for a path that is not written as a path."""
    return ConfigurationError(
        f"the path in {variable} {flaw}", hint=f"Write the whole path in {variable}", code="bedrock-invalid-aws-config"
    )


def path_flaw(path: str) -> str | None:
    """Return what is wrong with the way a path is written, or None; never quotes it."""
    if path[:1] in _QUOTES or path[-1:] in _QUOTES:
        return "contains quotes, which are not removed here"
    if path != path.strip():
        return "begins or ends with a space"
    if path.startswith("~"):
        return "begins with ~, which is not expanded here"
    if "$" in path or re.search("%[A-Za-z_]+%", path):
        return "contains a variable, which is not expanded here or not set"
    return None


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
    if url[:1] in _QUOTES or url[-1:] in _QUOTES:
        return "is in quotes, which are not removed here"
    return "does not begin with https:// or http://, or is malformed otherwise"
