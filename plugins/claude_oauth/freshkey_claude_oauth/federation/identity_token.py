"""Reads what an identity provider signed for this machine: a JSON Web Token in a file or a variable, bounded."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Secret


VARIABLE: Final = "ANTHROPIC_IDENTITY_TOKEN"

MAX_LENGTH: Final = 16 * 1024
"""Bytes; what Anthropic's endpoint and its Python SDK 2.13.0 (``_workload.py``) accept."""

_HINT: Final = "It must hold one JSON Web Token and nothing else, no key and no certificate"


def read(file: Path | None, environ: Mapping[str, str]) -> Secret:
    """Return the token; read anew each time, because whoever puts it there replaces it before it expires.

    A link is followed and everybody may be able to read the file: Kubernetes projects tokens in this way.

    Args:
        file: Where it is; None takes it from `VARIABLE`.
        environ: The environment, at the moment of the call.

    Raises:
        ConfigurationError: There is none, or it is no token. The message never quotes it.
    """
    if file is None:
        return _token(environ.get(VARIABLE, "").encode("utf-8", "surrogateescape"), VARIABLE)
    try:
        return _token(_bytes(file), str(file))
    except OSError as error:
        flaw = f"the identity token file {file} cannot be read: {error.strerror}"
    raise ConfigurationError(flaw, hint="Check its path, its permissions, and whatever puts it there")


def _bytes(file: Path) -> bytes:
    # Not waiting for the other end of a pipe.
    with open(file, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ConfigurationError(f"the identity token file {file} is not a regular file", hint=_HINT)
        return opened.read(MAX_LENGTH + 1)


def _token(found: bytes, where: str) -> Secret:
    text = found.decode("ascii", "replace").strip()
    if not text:
        raise ConfigurationError(f"the identity token in {where} is empty", hint=_HINT)
    if len(found) > MAX_LENGTH:
        raise ConfigurationError(f"the identity token in {where} has more than {MAX_LENGTH} bytes", hint=_HINT)
    if not all("!" <= character <= "~" for character in text):
        raise ConfigurationError(f"the identity token in {where} has characters that no token has", hint=_HINT)
    return Secret(text)
