"""Asks in a terminal whether to trust a file, and compares it with a digest that was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freshkey.admin import shell_quoted
from freshkey.errors import LoginRequired, TrustNeeded
from freshkey_cli.streams import in_mintty


if TYPE_CHECKING:
    from freshkey_cli.context import Context


def expect_digest(context: Context, file: Path, digest: str) -> None:
    """Refuse a file that is not the one of ``--digest``.

    Raises:
        TrustNeeded: Its digest is another one.
    """
    wanted = context.arguments.digest
    if wanted is not None and wanted != digest:
        raise TrustNeeded(
            f"nothing was trusted: the SHA-256 of {file} is {digest}, not the one that was given",
            hint="Review the file, and use its new digest",
            code="trust-digest-mismatch",
        )


def ask(context: Context, file: Path, lines: Sequence[str]) -> None:
    """Ask for confirmation: the last line is the question, and those before say what about.

    Raises:
        TrustNeeded: The user declined, or there is no terminal.
    """
    context.out.instruct(*lines[:-1])
    try:
        agreed = context.user().confirm(lines[-1])
    except LoginRequired:
        command = f"freshkey trust --yes {shell_quoted(str(file))}"
        place = "through winpty: winpty freshkey trust" if in_mintty() else "in a terminal"
        hint = f"Run freshkey trust {place}; or review the file, then run: {command}"
        raise TrustNeeded("nothing was trusted: there is no terminal for the confirmation", hint=hint) from None
    if not agreed:
        hint = "What the project asks for is not used until you trust it; to do so, run freshkey trust again"
        raise TrustNeeded("nothing was trusted: you declined", hint=hint, code="trust-declined")
