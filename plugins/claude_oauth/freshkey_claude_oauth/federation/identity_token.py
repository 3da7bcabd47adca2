"""Reads what an identity provider signed for this machine: a JSON Web Token in a file or a variable, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import NotRegularError, Secret, TooLongError, is_token, read_bounded


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
        return _token(read_bounded(file, MAX_LENGTH), str(file))
    except NotRegularError:
        raise ConfigurationError(f"the identity token file {file} is not a regular file", hint=_HINT) from None
    except TooLongError:
        raise _too_long(str(file)) from None
    except OSError as error:
        flaw = f"the identity token file {file} cannot be read: {error.strerror}"
    raise ConfigurationError(flaw, hint="Check its path, its permissions, and whatever puts it there")


def _token(found: bytes, where: str) -> Secret:
    text = found.decode("ascii", "replace").strip()
    if not text:
        raise ConfigurationError(f"the identity token in {where} is empty", hint=_HINT)
    if len(found) > MAX_LENGTH:
        raise _too_long(where)
    if not is_token(text, MAX_LENGTH):
        raise ConfigurationError(f"the identity token in {where} has characters that no token has", hint=_HINT)
    return Secret(text)


def _too_long(where: str) -> ConfigurationError:
    return ConfigurationError(f"the identity token in {where} has more than {MAX_LENGTH} bytes", hint=_HINT)
