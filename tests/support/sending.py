"""Profiles that are made by hand and send requests: really, as a keeper's do, or from a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve

from freshkey.admin import SendToHosts, with_send
from freshkey.model.description import Description
from freshkey.model.exchange import Request, Response, Send
from freshkey.model.profile import Profile


def sending(profile: Profile, describe: Callable[[Profile], Description], **changes: Any) -> Profile:
    """Return a profile that sends to the hosts of its description, and to no others; `changes` are fields."""
    changed = evolve(profile, **changes)
    return with_send(changed, describe(changed))


def scripted(send: Send, **fields: Any) -> Profile:
    """Return a profile whose requests `send` answers; `fields` are those of `Profile`."""

    def answer(request: Request, *, deadline: float = 0.0) -> Response:
        return send(request)

    known: dict[str, Any] = {"name": "me", "provider": "example", "settings": None, "state_dir": Path("/nowhere")}
    return Profile(**known | {"send": answer} | fields)


def on_loopback(**fields: Any) -> Profile:
    """Return a profile that really sends, to this machine; `fields` are those of `Profile`."""
    send = SendToHosts(["127.0.0.1", "localhost"], allow_insecure_loopback=True)
    return evolve(scripted(send, allow_insecure_loopback=True), send=send, **fields)
