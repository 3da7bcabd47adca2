"""Reads the identity token of a machine or a workload, a JSON Web Token that its platform issues, up to a maximum size.

It is read again for each exchange, because the platform replaces it before it expires.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.path_text import path_flaw, shown_path
from freshkey._files.unchangeable import read_unchangeable
from freshkey.errors import ConfigurationError, frameless
from freshkey.secret import Secret, is_jwt, is_token


MAX_LENGTH: Final = 16 * 1024
"""Bytes; those of real platforms have 1 to 4 KiB."""

_HINT: Final = "Put one JSON Web Token there and nothing else, not a key or a certificate"


@frameless
def identity_token_file(file: Path, *, named_by: str, code: str) -> Secret:
    """Return the identity token in a file.

    Links are followed, and the file may be world-readable: that is how Kubernetes projects tokens. But no other user
    may be able to change it, or they would choose the identity.

    Args:
        file: The file.
        named_by: The setting or variable that names it, for messages.
        code: Code of the error.

    Raises:
        ConfigurationError: The token is missing, unreadable or malformed, or another user can change the file. The
            message never quotes it.
    """
    where = shown_path(str(file)) or f"named by {named_by}"
    try:
        return identity_token(read_unchangeable(named_by, file, MAX_LENGTH), where=where, code=code)
    except NotRegularError:
        raise ConfigurationError(
            f"the identity token file {where} is not a regular file", hint=_HINT, code=code
        ) from None
    except TooLongError:
        raise _too_long(where, code) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        written = path_flaw(str(file))
        reason = getattr(error, "strerror", "") if written is None else f"its path {written}"
        flaw = f"cannot read the identity token file {where}: {reason}"
    hint = "Check its path and permissions, and that the platform writes it"
    if written is not None:
        hint = f"Write the whole path in {named_by}"
    raise ConfigurationError(flaw, hint=hint, code=code)


@frameless
def identity_token(found: bytes, *, where: str, code: str) -> Secret:
    """Return the identity token that was found somewhere, if it looks like one; nothing is verified.

    Args:
        found: What was found; white space and a byte order mark around it do not count.
        where: Where it was found, for messages.
        code: Code of the error.

    Raises:
        ConfigurationError: It is empty, too long, or no JSON Web Token. The message never quotes it.
    """
    text = found.decode("utf-8-sig", "replace").strip()  # editors on Windows put a byte order mark first
    if len(found) > MAX_LENGTH:
        raise _too_long(where, code)
    flaw = None
    if not text:
        flaw = "is empty"
    elif not is_token(text, MAX_LENGTH):
        flaw = "has characters not allowed in a token"
    elif not is_jwt(text):
        flaw = "is not a JSON Web Token, so it was not sent"
    if flaw is not None:
        raise ConfigurationError(f"the identity token in {where} {flaw}", hint=_HINT, code=code)
    return Secret(text)


def _too_long(where: str, code: str) -> ConfigurationError:
    return ConfigurationError(f"the identity token in {where} is larger than {MAX_LENGTH} bytes", hint=_HINT, code=code)
