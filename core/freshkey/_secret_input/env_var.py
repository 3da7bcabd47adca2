"""Secrets in environment variables: bounded, and never quoted."""

from __future__ import annotations

from collections.abc import Mapping

from freshkey.errors import ConfigurationError, frameless
from freshkey.secret import Secret, is_token


@frameless
def environment_secret(name: str, environ: Mapping[str, str]) -> Secret | None:
    """Return the secret in an environment variable; None if the variable is unset or empty.

    One newline at the end is dropped, because command substitution in some shells and most secret files leave one.
    Nothing else is: a secret with surrounding spaces is more likely broken than meant.

    Args:
        name: Name of the variable.
        environ: The environment, usually ``os.environ`` at the moment of the call.

    Raises:
        ConfigurationError: It has control characters, spaces or other characters that no header may carry
            (RFC 6750, section 2.1), or is longer than 64 KiB. The message names the variable, never the value.
    """
    value = environ.get(name, "").removesuffix("\n").removesuffix("\r")
    if not value:
        return None
    if not is_token(value):
        message = f"the environment variable {name} holds no usable secret: it is too long or has odd characters"
        raise ConfigurationError(message, hint=f"Set {name} to the bare value, or unset it")
    return Secret(value)
