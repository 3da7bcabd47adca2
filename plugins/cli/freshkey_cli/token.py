"""The command ``token``: print the token, renewing it first if necessary, and nothing else."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey import Inspection, Validity
from freshkey.errors import ConfigurationError, OutcomeUnknown, TransientError
from freshkey_cli import exits, options, render
from freshkey_cli.credential_text import one_line


if TYPE_CHECKING:
    from freshkey import Credential, Keeper, Secret
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile and the requirements for the token."""
    options.add_profile(parser, bare=True)
    parser.add_argument(
        "--check",
        action="store_true",
        help="first check that the provider still accepts the token, and renew it if not",
    )
    options.add_min_ttl(parser)


def run(context: Context) -> int:
    """Print only the token."""
    name = context.profile()
    with context.keeper(name) as keeper:
        credential = keeper.get(name.profile, min_ttl=context.arguments.min_ttl, account=name.account)
        _token(name, credential)  # before the check, which another kind of credential could pass
        if context.arguments.check:
            credential = _honored(context, keeper, name, credential)
        context.tell(keeper, name, credential)
    secret = one_line(_token(name, credential).reveal())
    value = {**name.members, "token": secret, "expires_at": render.iso(credential.expires_at)}
    context.out.result(value, [secret], exact=True)
    return exits.OK


def _token(name: Target, credential: Credential) -> Secret:
    """Return a credential's token.

    Raises:
        ConfigurationError: It does not consist of one.
    """
    if credential.token is None:
        raise ConfigurationError(
            "this credential does not consist of a single token",
            profile=name.profile,
            hint=f"Run: freshkey export {name.word} --format json",
            code="not-a-token",
        )
    return credential.token


def _honored(context: Context, keeper: Keeper, name: Target, credential: Credential) -> Credential:
    """Return a credential that the provider accepts: this one, or a newer one if it was refused.

    A program that runs `token` again after a 401 cannot pass on which token was refused, so the token is checked with
    the provider.
    """
    try:
        found = keeper.inspect(name.profile, account=name.account)
    except (TransientError, OutcomeUnknown) as error:
        found = Inspection(validity=Validity.UNREACHABLE, detail=error.message)
    if found.validity in {Validity.REFUSED, Validity.EXPIRED}:
        return keeper.get(name.profile, min_ttl=context.arguments.min_ttl, refused=credential, account=name.account)
    if found.validity is not Validity.VALID:
        context.out.say(f"{name}: the token was printed unchecked: {found.detail or found.validity.value}")
    return credential
