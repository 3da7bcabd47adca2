"""The command ``refresh``: renew the credential now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey_cli import options
from freshkey_cli.kept import show_kept


if TYPE_CHECKING:
    from freshkey_cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser)


def run(context: Context) -> int:
    """Renew now, even if the credential is still valid for a long time."""
    name = context.profile()
    with context.keeper() as keeper:
        credential = keeper.refresh(name)
        return show_kept(context, keeper, name, credential, "Renewed for" if credential.renewable else "Read again for")
