"""Secrets that a parent process or a platform hands in, as sources of a provider see them: found, then taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.path_text import shown_path
from freshkey._files.unchangeable import read_unchangeable
from freshkey._secret_input.encoding import decoded
from freshkey._secret_input.env_var import environment_secret
from freshkey._secret_input.file_descriptor import descriptor_is_there
from freshkey.errors import ConfigurationError, LoginRequired, frameless
from freshkey.model.source import Detected
from freshkey.secret import MAX_TOKEN, Secret


MISSING: Final = "no-credential-found"


def detected_variable(name: str | None, environ: Mapping[str, str], *, kind: str) -> Detected | None:
    """Return what an environment variable has, for `Source.detect`; None if it is not set.

    Args:
        name: Name of the variable; None if there is none to look at.
        environ: The environment, usually ``os.environ``.
        kind: What it contains, such as ``API key``.

    Raises:
        ConfigurationError: Its value cannot be a secret; see `environment_secret`.
    """
    secret = None if name is None else environment_secret(name, environ)
    if secret is None:
        return None
    return Detected(
        kind=kind,
        origin=f"environment variable {name}",
        last_four=secret.last_four(),
        fingerprint=secret.fingerprint(),
        version=secret.fingerprint(),
    )


def detected_descriptor(number: int | None, *, kind: str) -> Detected | None:
    """Return that a file descriptor was inherited, for `Source.detect`, without reading from it; None if it was not."""
    if number is None or not descriptor_is_there(number):
        return None
    return Detected(kind=kind, origin=f"file descriptor {number}")


@frameless
def required_variable(name: str, environ: Mapping[str, str], *, code: str = MISSING) -> Secret:
    """Return the secret in an environment variable.

    Args:
        name: Name of the variable.
        environ: The environment, usually ``os.environ``.
        code: Code of the error if it is not set; another one where the secret is no credential, but needed for one.

    Raises:
        LoginRequired: The variable is not set.
        ConfigurationError: Its value cannot be a secret; see `environment_secret`.
    """
    secret = environment_secret(name, environ)
    if secret is None:
        raise LoginRequired(f"the environment variable {name} is not set", unsent=True, hint=f"Set {name}", code=code)
    return secret


@frameless
def secret_file(file: Path, *, named_by: str, code: str = MISSING) -> Secret:
    """Return the secret in a file, such as a client secret or a private key; white space around it does not count.

    Whether other users can read it is the business of who wrote it, as platforms mount such files for all; but none of
    them may be able to change it.

    Args:
        file: The file; links are followed.
        named_by: The setting or variable that names it, for messages.
        code: As for `required_variable`.

    Raises:
        LoginRequired: There is no such file.
        ConfigurationError: It is empty, too large, no text, or cannot be read, or another user can change it.
    """
    where = shown_path(str(file)) or f"named by {named_by}"
    found: bytes | None = None
    try:
        found = read_unchangeable(named_by, file, MAX_TOKEN)
    except FileNotFoundError:
        missing = True
    except (NotRegularError, TooLongError, OSError, ValueError):  # ValueError: a null character in the path
        missing = False
    if found is None and missing:
        message = f"the file {where} ({named_by}) does not exist"
        raise LoginRequired(message, unsent=True, hint="Write the secret to it", code=code)
    text = (decoded(found or b"") or "").strip()
    if not text:
        raise ConfigurationError(
            f"the file {where} ({named_by}) is empty, too large or no text, or cannot be read",
            hint="Check its path, permissions and content",
            code="invalid-secret-input",
        )
    return Secret(text)
