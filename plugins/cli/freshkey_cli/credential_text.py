"""What other programs read of a credential, checked so that no name and no value can be taken for another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError, ProtocolError


if TYPE_CHECKING:
    from freshkey import Credential

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAKS_A_LINE: Final = re.compile(r"[\r\n\0]")


def environment_of(name: str, credential: Credential) -> dict[str, str]:
    """Return a credential's variables as it gives them.

    Raises:
        ConfigurationError: It has none.
    """
    environment = credential.environment()
    if not environment:
        hint = f"Run: freshkey export {name} --format headers"
        raise ConfigurationError("this credential has no environment variables", profile=name, hint=hint)
    return environment


def child_variables(name: str, credential: Credential) -> dict[str, str]:
    """Return the variables that authorize a child process; their values may have several lines.

    Raises:
        ConfigurationError: The credential has none.
        ProtocolError: One cannot be a variable.
    """
    environment = environment_of(name, credential)
    if any("\0" in value for value in environment.values()):
        raise ProtocolError("the credential has a NUL inside; it was not handed on")
    return {variable_name(name): value for name, value in environment.items()}


def one_line(value: str) -> str:
    """Return a value that stays one line: whoever reads lines would take the rest for something else.

    Raises:
        ProtocolError: It has a line break.
    """
    if _BREAKS_A_LINE.search(value):
        raise ProtocolError("the credential has a line break inside; nothing was printed")
    return value


def variable_name(name: str) -> str:
    """Return the name of a variable as it is.

    Raises:
        ProtocolError: It could be read as something else.
    """
    return _matching(_VARIABLE, name)


def header_name(name: str) -> str:
    """Return the name of a header as it is.

    Raises:
        ProtocolError: It could be read as something else.
    """
    return _matching(_HEADER, name)


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise ProtocolError("the credential has a name that could be read as something else; it was not handed on")
    return name
