"""Reads the machine's identity token, a JSON Web Token, from a file or a variable, up to a maximum size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import (
    NotRegularError,
    Secret,
    TooLongError,
    file_version,
    is_jwt,
    is_token,
    path_flaw,
    read_unchangeable,
    shown_path,
)


VARIABLE: Final = "ANTHROPIC_IDENTITY_TOKEN"

FILE: Final = "ANTHROPIC_IDENTITY_TOKEN_FILE"
"""Names a file with the token instead."""

_NAMED_BY: Final = f"{FILE} or identity_token_file"

MAX_LENGTH: Final = 16 * 1024
"""Bytes; the limit of Anthropic's endpoint and of its Python SDK 2.13.0 (``_workload.py``)."""

_HINT: Final = "Put one JSON Web Token there and nothing else, not a key or a certificate"


def read(file: Path | None, environ: Mapping[str, str]) -> Secret:
    """Return the token; it is read again each time, because the platform replaces it before it expires.

    Links are followed, and the file may be world-readable: that is how Kubernetes projects tokens. But no other user
    may be able to change it, or they would choose the identity.

    Args:
        file: The token file; None reads the environment variable `VARIABLE`.
        environ: The current environment.

    Raises:
        ConfigurationError: The token is missing, unreadable or malformed, or another user can change the file. The
            message never quotes it.
    """
    if file is None:
        return _token(environ.get(VARIABLE, "").encode("utf-8", "surrogateescape"), VARIABLE)
    try:
        return _token(read_unchangeable(_NAMED_BY, file, MAX_LENGTH), shown(file))
    except NotRegularError:
        raise ConfigurationError(
            f"the identity token file {shown(file)} is not a regular file",
            hint=_HINT,
            code="claude-invalid-identity-token",
        ) from None
    except TooLongError:
        raise _too_long(shown(file)) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        written = path_flaw(str(file))
        reason = getattr(error, "strerror", "") if written is None else f"its path {written}"
        flaw = f"cannot read the identity token file {shown(file)}: {reason}"
    hint = "Check its path and permissions, and that the platform writes it"
    if written is not None:
        hint = f"Write the whole path in {_NAMED_BY}"
    raise ConfigurationError(flaw, hint=hint, code="claude-invalid-identity-token")


def shown(file: Path) -> str:
    """Return the path of a token file for display, or what names it: the token itself may be in the wrong variable."""
    return shown_path(str(file)) or f"named by {_NAMED_BY}"


def version(file: Path | None, environ: Mapping[str, str]) -> str:
    """Return a text that changes with the token, for `Detected.version`; the token file is not read."""
    return Secret(environ.get(VARIABLE, "")).fingerprint() if file is None else file_version(file)


def _token(found: bytes, where: str) -> Secret:
    text = found.decode("utf-8-sig", "replace").strip()  # editors on Windows put a byte order mark first
    if not text:
        raise ConfigurationError(
            f"the identity token in {where} is empty", hint=_HINT, code="claude-invalid-identity-token"
        )
    if len(found) > MAX_LENGTH:
        raise _too_long(where)
    if not is_token(text, MAX_LENGTH):
        raise ConfigurationError(
            f"the identity token in {where} has characters not allowed in a token",
            hint=_HINT,
            code="claude-invalid-identity-token",
        )
    if not is_jwt(text):
        raise ConfigurationError(
            f"the identity token in {where} is not a JSON Web Token, so it was not sent",
            hint=_HINT,
            code="claude-invalid-identity-token",
        )
    return Secret(text)


def _too_long(where: str) -> ConfigurationError:
    return ConfigurationError(
        f"the identity token in {where} is larger than {MAX_LENGTH} bytes",
        hint=_HINT,
        code="claude-invalid-identity-token",
    )
