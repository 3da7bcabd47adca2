"""The command ``export``: print the credential in a format for other programs."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError, NotForHttp
from freshkey.plugin import quoted
from freshkey_cli import exits, options, render
from freshkey_cli.credential_text import environment_of, header_name, one_line, variable_name


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target

OWN_FORMATS: Final = ("env", "powershell", "headers", "json")

_POWERSHELL_QUOTE: Final = re.compile("['\u2018-\u201b]")
"""PowerShell takes typographic quotes for the plain one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile and the format."""
    options.add_profile(parser, bare=True)
    options.add_min_ttl(parser)
    parser.add_argument(
        "--format",
        metavar="NAME",
        default="env",
        help="env (commands for a Unix shell), powershell, headers, json, or a provider-specific format (default: env)",
    )


def run(context: Context) -> int:
    """Print the credential in the chosen format; ``json`` is the same as ``--json``."""
    name, wanted = context.profile(), context.arguments.format
    with context.keeper(name) as keeper:
        credential = keeper.get(name.profile, min_ttl=context.arguments.min_ttl, account=name.account)
        content, lines = _rendered(keeper, name, wanted, credential)
        context.tell(keeper, name, credential)
    value = {**name.members, "format": wanted, "expires_at": render.iso(credential.expires_at), **content}
    context.out.as_json = context.out.as_json or wanted == "json"
    context.out.result(value, lines, exact=True)
    return exits.OK


def _rendered(keeper: Keeper, name: Target, wanted: str, credential: Credential) -> tuple[dict[str, object], list[str]]:
    """Return a format's content, as JSON members and as lines."""
    if wanted == "json":
        return {"environment": credential.environment(), "headers": _headers_or_none(name, credential)}, []
    if wanted == "headers":
        headers = _headers(name, credential, keeper.describe(name.profile).exports)
        return {"headers": headers}, _header_lines(headers)
    if wanted in {"env", "powershell"}:
        environment = environment_of(name, credential)
        lines = _shell_lines(environment) if wanted == "env" else _powershell_lines(environment)
        return {"environment": environment}, lines
    content = _provider_format(keeper, name, wanted, credential)
    return {"content": content}, [content]


def _headers(name: Target, credential: Credential, others: Collection[str] = ()) -> dict[str, str]:
    """Return the headers that fit every request; `others` are the provider's own formats, for the hint.

    Raises:
        ConfigurationError: There are none, because each request is signed.
        NotForHttp: There are none, because the credential is for something else.
    """
    try:
        return credential.headers()
    except NotForHttp as error:
        fitting = [*(["env"] if credential.environment() else []), *sorted(others)]
        if fitting:
            error.hint = "Run: " + ", or: ".join(f"freshkey export {name.word} --format {each}" for each in fitting)
        raise
    except ConfigurationError as error:
        error.hint = f"Run: freshkey export {name.word}"  # its own is for programs, which know the URL
        raise


def _headers_or_none(name: Target, credential: Credential) -> dict[str, str] | None:
    try:
        return _headers(name, credential)
    except (ConfigurationError, NotForHttp):
        return None


def _shell_lines(environment: dict[str, str]) -> list[str]:
    """Return variables as lines for a shell to evaluate."""
    return [f"export {variable_name(name)}={shlex.quote(one_line(value))}" for name, value in environment.items()]


def _powershell_lines(environment: dict[str, str]) -> list[str]:
    """Return variables as lines for PowerShell's Invoke-Expression, each a statement of its own."""
    quoted = {name: _POWERSHELL_QUOTE.sub(r"\g<0>\g<0>", one_line(value)) for name, value in environment.items()}
    return [f"$env:{variable_name(name)} = '{value}'" for name, value in quoted.items()]


def _header_lines(headers: dict[str, str]) -> list[str]:
    """Return headers as lines, as curl reads them."""
    return [f"{header_name(name)}: {one_line(value)}" for name, value in headers.items()]


def _provider_format(keeper: Keeper, name: Target, wanted: str, credential: Credential) -> str:
    formats = keeper.describe(name.profile).exports
    if wanted not in formats:
        known = ", ".join([*OWN_FORMATS, *sorted(formats)])
        raise ConfigurationError(
            f"unknown export format {quoted(wanted)}",
            profile=name.profile,
            hint=f"Choose one of: {known}",
            code="unknown-export-format",
        )
    return keeper.export(wanted, credential, name.profile, account=name.account)
