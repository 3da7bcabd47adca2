"""Commands that print the credential itself, for other programs: token, export."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from freshkey import Inspection, Validity
from freshkey.errors import ConfigurationError, OutcomeUnknown, ProtocolError, TransientError
from freshkey_cli import exits, render
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context

OWN_FORMATS: Final = ("env", "headers", "json")

_NAME: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
)  # a header's name, RFC 9110, section 5.6.2; a variable's is stricter
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAKS_A_LINE: Final = re.compile(r"[\r\n\0]")


def token(context: Context) -> int:
    """Print the token alone."""
    name = context.profile()
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
        if context.arguments.check:
            credential = _honoured(context, keeper, name, credential)
    if credential.token is None:
        raise ConfigurationError(
            "this credential is no single token", profile=name, hint=f"Run: freshkey export {name} --format json"
        )
    secret = _one_line(credential.token.reveal())
    value = {"profile": name, "token": secret, "expires_at": render.iso(credential.expires_at)}
    context.out.result(value, [secret])
    return exits.OK


def _honoured(context: Context, keeper: Keeper, name: str, credential: Credential) -> Credential:
    """Return a credential that the provider honours: this one, or a newer one if it no longer does.

    Programs that run `token` again after a 401 cannot say which token was refused; so the provider is asked.
    """
    try:
        found = keeper.inspect(name)
    except (TransientError, OutcomeUnknown) as error:
        found = Inspection(validity=Validity.UNREACHABLE, detail=error.message)
    if found.validity in {Validity.REFUSED, Validity.EXPIRED}:
        return keeper.get(name, min_ttl=context.arguments.min_ttl, refused=credential)
    if found.validity is not Validity.VALID:
        context.out.say(f"{name}: printed without a check: {clean(found.detail or found.validity.value)}")
    return credential


def export(context: Context) -> int:
    """Print the credential in the format that another program reads; ``json`` is that of ``--json``."""
    name, wanted = context.profile(), context.arguments.format
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
        content, lines = _rendered(keeper, name, wanted, credential)
    value = {"profile": name, "format": wanted, "expires_at": render.iso(credential.expires_at), **content}
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
        environment = _environment(name, credential)
        return {"environment": environment}, _shell_lines(environment)
    content = _provider_format(keeper, name, wanted, credential)
    return {"content": content}, [content]


def _provider_format(keeper: Keeper, name: str, wanted: str, credential: Credential) -> str:
    formats = keeper.describe(name).exports
    if wanted not in formats:
        known = ", ".join([*OWN_FORMATS, *sorted(formats)])
        raise ConfigurationError(f"there is no export format {wanted!r}", profile=name, hint=f"Choose one of: {known}")
    return formats[wanted](credential)


def child_variables(name: str, credential: Credential) -> dict[str, str]:
    """Return the variables that authorise a child process; their values may have several lines.

    Raises:
        ConfigurationError: The credential has none.
        ProtocolError: One cannot be a variable.
    """
    environment = _environment(name, credential)
    if any("\0" in value for value in environment.values()):
        raise ProtocolError("the credential has a NUL inside; it was not handed on")
    return {_matching(_VARIABLE, name): value for name, value in environment.items()}


def _environment(name: str, credential: Credential) -> dict[str, str]:
    environment = credential.environment()
    if not environment:
        hint = f"Run: freshkey export {name} --format headers"
        raise ConfigurationError("this credential has no environment variables", profile=name, hint=hint)
    return environment


def _shell_lines(environment: dict[str, str]) -> list[str]:
    return [
        f"export {_matching(_VARIABLE, name)}={shlex.quote(_one_line(value))}" for name, value in environment.items()
    ]


def _header_lines(headers: dict[str, str]) -> list[str]:
    return [f"{_matching(_NAME, name)}: {_one_line(value)}" for name, value in headers.items()]


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise ProtocolError("the credential has a name that could be read as something else; it was not handed on")
    return name


def _one_line(value: str) -> str:
    """Return a value that stays one line: whoever reads lines would take the rest for something else."""
    if _BREAKS_A_LINE.search(value):
        raise ProtocolError("the credential has a line break inside; nothing was printed")
    return value
