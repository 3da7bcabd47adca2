"""A process whose main thread ends while something hangs, which only its parent could end.

Arguments: what hangs (a function below), and a directory for its state. It prints ``ending`` when the main thread ends,
with the exit still to come, and ``saved`` when a renewed sign-in has been saved. The hang ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from example_provider import HELPER, SIGN_IN, Provider, description, token
from freshkey import Configuration, FreshkeyError, Keeper
from freshkey._renewal import context
from freshkey._renewal.binding import binding_of
from freshkey.clock import SYSTEM
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description
from freshkey.model.source import Detected, Source
from freshkey.plugin import Profile, Record, Secret
from waiting import until


HANGING = threading.Event()


def hang(*_: object) -> Any:
    """Hang until the parent process closes stdin."""
    HANGING.set()
    os.read(0, 1)  # not through a stream, whose lock the interpreter needs at exit


def fresh(name: str = "at-2", *, source: str = SIGN_IN.id) -> OAuthToken:
    """Return a token with a refresh token."""
    secrets = {"access_token": Secret(name), "refresh_token": Secret(name.replace("at", "rt"))}
    return token(obtained=SYSTEM.now(), source=source, **secrets)


def single_use() -> Description:
    """Return a provider whose refresh tokens work once."""
    return description(single_use=True, sources=(SIGN_IN,))


def reusable() -> Description:
    """Return a provider whose refresh tokens work again."""
    return description(single_use=False, sources=(SIGN_IN,))


def _found(_: Profile) -> Detected:
    return Detected(kind="token", origin="here")


def borrowed(detect: Callable[[Profile], Detected] | None = None) -> Callable[[], Description]:
    """Return a provider whose only source is another tool's."""
    source = Source(id=HELPER.id, title="Helper", owned=False, detect=detect or _found)
    return lambda: description(sources=(source,))


@frozen
class Situation:
    """What a process does before it exits.

    Attributes:
        provider: Its hooks.
        act: Is called on a thread that is a daemon.
    """

    provider: Any
    act: Callable[[Keeper], object] = lambda keeper: keeper.get("me")


def signed_in(keeper: Keeper) -> None:
    """Store a sign-in."""
    context = keeper._open_profile("me").context
    with context.store.lock(5.0):
        payload = context.codec.encode(fresh(name="at-1"), bound=binding_of(context))
        context.store.save(Record(generation=1, payload=payload, written_at=SYSTEM.now().wall))


def renew(keeper: Keeper) -> object:
    """Renew a stored sign-in, and return the new one."""
    signed_in(keeper)
    return keeper.refresh("me")


def told(keeper: Keeper) -> object:
    """Renew with a subscriber that hangs."""
    keeper.subscribe(hang)
    return renew(keeper)


def awaited(keeper: Keeper) -> None:
    """Close an event loop while a caller awaits a credential."""

    async def ask() -> None:
        task = asyncio.ensure_future(keeper.aget("me"))
        await asyncio.to_thread(HANGING.wait)
        task.cancel()

    asyncio.run(ask())


def with_store(method: str, act: Callable[[Keeper], object]) -> Situation:
    """Return what happens if one method of a store hangs."""

    def acting(keeper: Keeper) -> object:
        setattr(type(keeper._open_profile("me").context.store), method, hang)
        return act(keeper)

    return Situation(Provider(on_describe=single_use), acting)


def opening_store(keeper: Keeper) -> object:
    """Ask while the store hangs as it is opened."""
    vars(context)["_store"] = hang
    return keeper.get("me")


def answered(credential: Credential) -> Credential:
    """Return a newer credential, once the main thread has ended."""
    HANGING.set()
    threading.main_thread().join()
    return fresh()


SITUATIONS: dict[str, Callable[[], Situation]] = {
    # Nothing has been sent.
    "describe": lambda: Situation(Provider(on_describe=hang)),
    "acquire": lambda: Situation(Provider(on_describe=borrowed(), on_acquire=hang)),
    "prefetch": lambda: Situation(
        Provider(on_describe=borrowed(), on_acquire=hang), lambda keeper: keeper.prefetch("me")
    ),
    "awaited": lambda: Situation(Provider(on_describe=borrowed(), on_acquire=hang), awaited),
    "detect": lambda: Situation(Provider(on_describe=borrowed(hang))),
    "inspect": lambda: Situation(
        Provider(on_describe=borrowed(), on_acquire=lambda: fresh(source=HELPER.id), on_inspect=hang),
        lambda keeper: keeper.inspect("me"),
    ),
    "store-open": lambda: Situation(Provider(on_describe=single_use), opening_store),
    "store-load": lambda: with_store("load", lambda keeper: keeper.get("me")),
    "store-lock": lambda: with_store("lock", lambda keeper: keeper.logout("me")),
    "store-probe": lambda: with_store("probe", lambda keeper: keeper.login("me")),
    # A token that works again can be sent again.
    "reusable": lambda: Situation(Provider(on_describe=reusable, on_refresh=hang), renew),
    # What is saved is not lost any more.
    "subscriber": lambda: Situation(Provider(on_describe=single_use, on_refresh=lambda _: fresh()), told),
    # Sent and answered: the exit waits.
    "answered": lambda: Situation(Provider(on_describe=single_use, on_refresh=answered), renew),
    # Sent, and never answered.
    "silent": lambda: Situation(Provider(on_describe=single_use, on_refresh=hang), renew),
}


def main(what: str, home: Path) -> None:
    """Do it on another thread, and end the main thread once that hangs."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    if "--impatient" in sys.argv:
        vars(importlib.import_module("freshkey._interprocess.exit_hold"))["ANSWER_TIMEOUT"] = 0.2
    situation = SITUATIONS[what]()
    table = {"provider": "example", "store": "file"}
    configuration = Configuration.of({"me": table}, state_dir=home / "state", default="me")
    keeper = Keeper(configuration=configuration, providers={"example": situation.provider})
    atexit.register(lambda: _say(f"generation {_generation(home)}") if what == "answered" else None)
    threading.Thread(target=_act, args=(situation.act, keeper), daemon=True).start()
    until(HANGING.is_set, "the hang")
    if "--fork" in sys.argv and os.fork():
        os.wait()
    _say("ending")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _generation(home: Path) -> int:
    table = {"provider": "example", "store": "file"}
    configuration = Configuration.of({"me": table}, state_dir=home / "state", default="me")
    with Keeper(configuration=configuration, providers={"example": Provider(on_describe=single_use)}) as keeper:
        return keeper.status("me").generation


def _act(act: Callable[[Keeper], object], keeper: Keeper) -> None:
    try:
        act(keeper)
    except FreshkeyError as error:
        _say(f"{error.code} {error}")  # then it did not hang, and the test fails
        HANGING.set()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
