"""Credentials as text for other programs, checked so that no name or value can be misread."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError, NotForHttp, ProtocolError


if TYPE_CHECKING:
    from freshkey import Credential
    from freshkey_cli.target import Target

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAKS_A_LINE: Final = re.compile(r"[\r\n\0]")


def environment_of(name: Target, credential: Credential) -> dict[str, str]:
    """Return a credential's environment variables, unchecked.

    Raises:
        ConfigurationError: It has none.
    """
    environment = credential.environment()
    if not environment:
        run = f"Run: freshkey export {name.word} --format headers"
        hint: str | None = f"{run}. Or name a variable in the profile, if the provider has a setting for it"
        try:
            credential.headers()
        except NotForHttp:
            hint = None  # its fields are for programs
        raise ConfigurationError(
            "this credential provides no environment variables",
            profile=name.profile,
            hint=hint,
            code="no-environment-form",
        )
    return environment


def child_variables(name: Target, credential: Credential) -> dict[str, str]:
    """Return the variables that authorize a child process; values may span several lines.

    Raises:
        ConfigurationError: The credential has none.
        ProtocolError: A name or value cannot be used in an environment.
    """
    environment = environment_of(name, credential)
    if any("\0" in value for value in environment.values()):
        raise ProtocolError(
            "the credential contains a NUL character; the command was not run", code="unprintable-credential"
        )
    return {variable_name(name): value for name, value in environment.items()}


def one_line(value: str) -> str:
    """Return a value that is a single line: a program that reads lines would misread the rest.

    Raises:
        ProtocolError: It contains a line break or a NUL character.
    """
    if _BREAKS_A_LINE.search(value):
        raise ProtocolError(
            "the credential contains a line break or NUL character; nothing was printed",
            code="unprintable-credential",
        )
    return value


def variable_name(name: str) -> str:
    """Return the name of an environment variable unchanged.

    Raises:
        ProtocolError: It is not a valid name.
    """
    return _matching(_VARIABLE, name)


def header_name(name: str) -> str:
    """Return the name of a header unchanged.

    Raises:
        ProtocolError: It is not a valid name.
    """
    return _matching(_HEADER, name)


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise ProtocolError(
            "the credential has an invalid variable or header name and was not passed on",
            code="unprintable-credential",
        )
    return name
