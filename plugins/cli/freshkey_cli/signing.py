"""Commands that change what is kept: login, logout, refresh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freshkey_cli import exits, render
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.context import Context


def login(context: Context) -> int:
    """Sign in, with the person's help, or take a key that exists, and keep the credential."""
    name, arguments = context.profile(), context.arguments
    if arguments.api_key:
        return _keep_key(context, name, arguments.import_from)
    user = context.user(browser=not arguments.no_browser)
    with context.keeper() as keeper:
        credential = keeper.login(name, source=arguments.source, interaction=user)
        return _show(context, keeper, name, credential, "Signed in")


def _keep_key(context: Context, name: str, import_from: tuple[str, str] | None) -> int:
    from freshkey_cli.key_input import KeyGiver

    user = KeyGiver(context.out, environ=context.environ)
    with context.keeper() as keeper:
        if import_from is None:
            credential = keeper.login(name, pasted=True, interaction=user)
        else:
            credential = keeper.import_key(name, *import_from, reporter=user)
        return _show(context, keeper, name, credential, "Key kept")


def refresh(context: Context) -> int:
    """Renew now, however long the credential is still good."""
    name = context.profile()
    with context.keeper() as keeper:
        credential = keeper.refresh(name)
        return _show(context, keeper, name, credential, "Renewed")


def logout(context: Context) -> int:
    """Revoke and delete; a credential that could not be revoked is deleted all the same, and that is said."""
    name = context.profile()
    with context.keeper() as keeper:
        done = keeper.logout(name)
    value = {"profile": name, "revoked": done.revoked, "detail": done.detail}
    context.out.result(value, [f"{name}: {clean(done.detail)}"])
    return exits.OK


def _show(context: Context, keeper: Keeper, name: str, credential: Credential, verb: str) -> int:
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
