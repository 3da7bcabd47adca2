"""The command ``token``: print the token, renewed if need be, and nothing else."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey import Inspection, Validity
from freshkey.errors import ConfigurationError, OutcomeUnknown, TransientError
from freshkey_cli import exits, options, render
from freshkey_cli.credential_text import one_line
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile, and what the token has to be good for."""
    options.add_profile(parser, bare=True)
    parser.add_argument("--check", action="store_true", help="ask the provider first, and renew it if it is refused")
    options.add_min_ttl(parser)


def run(context: Context) -> int:
    """Print the token alone."""
    name = context.profile()
    with context.keeper() as keeper:
        credential = keeper.get(name, min_ttl=context.arguments.min_ttl)
        if context.arguments.check:
            credential = _honored(context, keeper, name, credential)
    if credential.token is None:
        raise ConfigurationError(
            "this credential is no single token", profile=name, hint=f"Run: freshkey export {name} --format json"
        )
    secret = one_line(credential.token.reveal())
    value = {"profile": name, "token": secret, "expires_at": render.iso(credential.expires_at)}
    context.out.result(value, [secret])
    return exits.OK


def _honored(context: Context, keeper: Keeper, name: str, credential: Credential) -> Credential:
    """Return a credential that the provider honors: this one, or a newer one if it no longer does.

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
