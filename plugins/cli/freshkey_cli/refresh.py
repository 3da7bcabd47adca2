"""The command ``refresh``: renew the credential now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey_cli import options
from freshkey_cli.kept import show_kept


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser)


def run(context: Context) -> int:
    """Renew now, even if the credential is still valid for a long time."""
    name = context.profile()
    with context.keeper(name) as keeper:
        credential = keeper.refresh(name.profile, account=name.account)
        return show_kept(context, keeper, name, credential, f"{_what_was_done(keeper, name.profile, credential)} for")


def _what_was_done(keeper: Keeper, profile: str, credential: Credential) -> str:
    if credential.renewable:
        return "Renewed"
    source = keeper.describe(profile).source(credential.source)
    # Another source may have made a new one, or still have the same: nothing tells.
    return "Read again" if source is not None and source.owned else "Obtained again"
