"""The command ``logout``: revoke the credential and delete it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey_cli import exits, options


if TYPE_CHECKING:
    from freshkey_cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser)


def run(context: Context) -> int:
    """Revoke and delete; a credential that could not be revoked is still deleted, and the output says so."""
    name = context.named_profile("logout")
    with context.keeper(name) as keeper:
        done = keeper.logout(name.profile, account=name.account)
    value = {**name.members, "revoked": done.revoked, "detail": done.detail}
    context.out.result(value, [f"{name}: {done.detail}"])
    return exits.OK
