"""Reads secrets from environment variables: limited in length, and never quoted in a message."""

from __future__ import annotations

from collections.abc import Mapping

from freshkey._secret_input.shape import looks_like
from freshkey.errors import ConfigurationError, frameless
from freshkey.secret import Secret, is_token


@frameless
def environment_secret(name: str, environ: Mapping[str, str]) -> Secret | None:
    """Return the secret in an environment variable; None if the variable is unset or empty.

    One newline at the end is removed, because most secret files end with one. Spaces are not: a secret with spaces
    around it was probably set by mistake.

    Args:
        name: Name of the variable.
        environ: The environment, usually ``os.environ``.

    Raises:
        ConfigurationError: It has control characters, spaces or other characters that cannot be sent in a header
            (RFC 6750, section 2.1), is longer than 64 KiB, or looks like something else, such as a value in quotes.
            The message names the variable, never the value.
    """
    value = environ.get(name, "").removesuffix("\n").removesuffix("\r")
    if not value:
        return None
    shape = looks_like(value)
    if shape is not None or not is_token(value):
        flaw = "is too long or contains spaces, control characters, or non-ASCII characters"
        message = f"the value of {name} {flaw if shape is None else f'looks like {shape}'}"
        raise ConfigurationError(
            message, hint=f"Set {name} to only the secret, or unset it", code="invalid-secret-input"
        )
    return Secret(value)
