"""The command ``whoami``: check with the provider who is signed in and whether the credential is still valid."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from freshkey import Validity
from freshkey_cli import exits, options, render


if TYPE_CHECKING:
    from freshkey import Inspection
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target

VALIDITY_CODES: Final = {
    Validity.VALID: exits.OK,
    Validity.EXPIRED: exits.SIGN_IN_NEEDED,
    Validity.REFUSED: exits.SIGN_IN_NEEDED,
    Validity.UNREACHABLE: exits.FOR_NOW,
    Validity.UNCHECKABLE: exits.OK,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser, bare=True)


def run(context: Context) -> int:
    """Check with the provider; a credential that it no longer accepts has its own exit code."""
    name = context.profile()
    with context.keeper(name) as keeper:
        inspection = keeper.inspect(name.profile, account=name.account)
        context.tell(keeper, name, keeper.get(name.profile, account=name.account))
    identity = render.identity(inspection.identity) if inspection.identity else {}
    value = {
        **name.members,
        "validity": inspection.validity.value,
        "detail": inspection.detail,
        "identity": identity,
    }
    context.out.result(value, _lines(name, inspection))
    return VALIDITY_CODES[inspection.validity]


def _lines(name: Target, inspection: Inspection) -> Iterator[str]:
    yield f"{name}: {inspection.validity.value}" + (f" ({inspection.detail})" if inspection.detail else "")
    if inspection.identity is not None:
        yield from render.identity_lines(inspection.identity)
