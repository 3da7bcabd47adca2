"""What ``login`` and ``refresh`` print: whose credential is kept now, where, and for how long it is good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freshkey_cli import exits, render
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context


def show_kept(context: Context, keeper: Keeper, name: str, credential: Credential, verb: str) -> int:
    """Print it and return the exit code.

    Args:
        context: Where to print.
        keeper: Knows the store.
        name: The profile's.
        credential: What is kept.
        verb: What was done.
    """
    store = keeper.status(name).store
    value = {**render.credential(name, credential), "store": store}
    context.out.result(value, _lines(name, credential, verb, store))
    return exits.OK


def _lines(name: str, credential: Credential, verb: str, store: str | None) -> Iterator[str]:
    label = credential.identity.label
    yield f"{name}: {verb}" + (f" as {clean(label)}" if label else "")
    left = render.seconds_left(credential)
    if left is not None:
        yield f"  good for {render.span(left)}" + (", then renewed by itself" if credential.renewable else "")
    if store is not None:
        yield f"  kept in: {store}"
