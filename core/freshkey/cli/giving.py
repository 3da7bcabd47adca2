"""Commands that print the credential itself, for other programs: token, export."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from freshkey.cli import exits, views
from freshkey.errors import ConfigurationError, ProtocolError


if TYPE_CHECKING:
    from freshkey.cli.context import Context
    from freshkey.keeper import Keeper
    from freshkey.model import Credential

OWN_FORMATS = ("env", "headers", "json")

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a header's name, RFC 9110, section 5.6.2; a variable's is stricter
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAKS_A_LINE = re.compile(r"[\r\n\0]")


def token(context: Context) -> int:
    """Print the token alone."""
    name = context.profile()
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
    if credential.token is None:
        raise ConfigurationError(
            "this credential is no single token", profile=name, hint=f"Run: freshkey export {name} --format json"
        )
    secret = _one_line(credential.token.reveal())
    value = {"profile": name, "token": secret, "expires_at": views.iso(credential.expires_at)}
    context.out.result(value, [secret])
    return exits.OK


def export(context: Context) -> int:
    """Print the credential in the format that another program reads; ``json`` is that of ``--json``."""
    name, wanted = context.profile(), context.arguments.format
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
        content, lines = _rendered(keeper, name, wanted, credential)
    value = {"profile": name, "format": wanted, "expires_at": views.iso(credential.expires_at), **content}
    context.out.as_json = context.out.as_json or wanted == "json"
    context.out.result(value, lines)
    return exits.OK


def _rendered(keeper: Keeper, name: str, wanted: str, credential: Credential) -> tuple[dict[str, object], list[str]]:
    """Return a format's content for programs, and as lines."""
    if wanted == "json":
        return {"environment": credential.environment(), "headers": credential.headers()}, []
    if wanted == "headers":
        headers = credential.headers()
        return {"headers": headers}, _header_lines(headers)
    if wanted == "env":
        environment = credential.environment()
        if not environment:
            raise ConfigurationError(
                "this credential has no environment variables",
                profile=name,
                hint=f"Run: freshkey export {name} --format headers",
            )
        return {"environment": environment}, _shell_lines(environment)
    content = _provider_format(keeper, name, wanted, credential)
    return {"content": content}, [content]


def _provider_format(keeper: Keeper, name: str, wanted: str, credential: Credential) -> str:
    formats = keeper.describe(name).exports
    if wanted not in formats:
        known = ", ".join([*OWN_FORMATS, *sorted(formats)])
        raise ConfigurationError(f"there is no export format {wanted!r}", profile=name, hint=f"Choose one of: {known}")
    return formats[wanted](credential)


def _shell_lines(environment: dict[str, str]) -> list[str]:
    return [
        f"export {_matching(_VARIABLE, name)}={shlex.quote(_one_line(value))}" for name, value in environment.items()
    ]


def _header_lines(headers: dict[str, str]) -> list[str]:
    return [f"{_matching(_NAME, name)}: {_one_line(value)}" for name, value in headers.items()]


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise ProtocolError("the credential has a name that could be read as something else; nothing was printed")
    return name


def _one_line(value: str) -> str:
    """Return a value that stays one line: whoever reads lines would take the rest for something else."""
    if _BREAKS_A_LINE.search(value):
        raise ProtocolError("the credential has a line break inside; nothing was printed")
    return value
