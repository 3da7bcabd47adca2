"""What ``login`` and ``refresh`` print: whose credential is now stored, where, and when it expires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freshkey_cli import exits, render


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context
    from freshkey_cli.target import Target


def show_kept(context: Context, keeper: Keeper, name: Target, credential: Credential, verb: str) -> int:
    """Print the result and return the exit code.

    Args:
        context: The run to print for.
        keeper: Provides the name of the store.
        name: The profile or account.
        credential: The stored credential.
        verb: What was done, such as "Signed in as"; the last word is used only if the account is known.
    """
    found = keeper.status(name.profile, account=name.account)
    hidden = found.hidden
    store = hidden.store if hidden and hidden.source.id == credential.source else found.store
    value = {**render.credential(name, credential), "store": store}
    context.out.result(value, _lines(name, credential, verb, store))
    if told := render.hidden_sign_in(found):
        context.out.say(told)
    return exits.OK


def _lines(name: Target, credential: Credential, verb: str, store: str | None) -> Iterator[str]:
    label = credential.identity.label
    yield f"{name}: {verb} {label}" if label else f"{name}: {verb.rpartition(' ')[0]}"
    left = render.seconds_left(credential)
    if left is not None:
        yield f"  expires in {render.span(left)}" + ("; renewed when it is next used" if credential.renewable else "")
    if store is not None:
        yield f"  stored in: {store}"
