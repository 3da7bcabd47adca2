"""Checks that no sign-in gets what an earlier one got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from freshkey import Credential, Description, Profile, Source
from freshkey.plugin import NonInteractive
from freshkey_testing.clock import ManualClock
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import require, tried
from freshkey_testing.provider_contract.results import check_age
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import leaks
from freshkey_testing.user import ScriptedUser


_COOKIE: Final = "kit-session-of-an-earlier-sign-in-4be0c61d"
_LATER: Final = (0.0, 3600.0)
"""When one signs in again: at once, as the next user of an application, and after what a cache may wait for."""


class Sharing(ProviderKit):
    """Checks of ``acquire``, which serves every user of an application."""

    def test_each_sign_in_gets_its_own_credential(
        self, hooks: Hooks, profile: Profile, description: Description, users: Mapping[str, ScriptedUser]
    ) -> None:
        """A second sign-in returns what the server sends to it, nothing that the module kept of the first.

        Keep no credential and no HTTP client between calls, neither in a variable of the module nor by
        ``functools.cache``: profiles and accounts share the module, and would get each other's.
        """
        for source in description.sources:
            if source.owned and (source.id in users or not source.interactive):
                _sign_in_again(hooks, profile, source, users.get(source.id))


def _sign_in_again(hooks: Hooks, profile: Profile, source: Source, user: ScriptedUser | None) -> None:
    what = f"a second sign-in from source {source.id!r}"
    earlier_wire = Wire(cookie=_COOKIE)
    earlier = _signed_in(hooks, profile, source, user, earlier_wire)
    for seconds in _LATER:
        if isinstance(profile.clock, ManualClock):
            profile.clock.advance(seconds)
        wire = Wire()
        credential = _signed_in(hooks, profile, source, user, wire)
        if earlier is None or credential is None:  # what went wrong, other checks say
            continue
        entered = {each.reveal() for each in user.entered} if user else set()
        require(
            not _is_kept(credential, wire, earlier, earlier_wire, entered),
            f"{what} returned what the server sent to the first: keep no credential between calls, because profiles"
            " and accounts share what the module keeps",
        )
        check_age(credential, profile, what)
        require(
            not any(_COOKIE in each.text for each in wire.sent),
            f"{what} sent a cookie that the server set in the first: make an HTTP client for each call,"
            " or use profile.send",
        )


def _signed_in(
    hooks: Hooks, profile: Profile, source: Source, user: ScriptedUser | None, wire: Wire
) -> Credential | None:
    with wire.watched():
        return tried(lambda: hooks.acquire(wire.of(profile), source, user or NonInteractive(profile.name)))[0]


def _is_kept(later: Credential, wire: Wire, earlier: Credential, earlier_wire: Wire, entered: set[str]) -> bool:
    """Return whether what authorizes can only come from the earlier sign-in."""
    if later.token is None or not later.authorizes_like(earlier) or later.token.reveal() in entered:
        return False
    token = {later.token.reveal()}
    sent_then, sent_now = (leaks(_text(each), token) for each in (earlier_wire, wire))
    return (sent_then and not sent_now) or (bool(earlier_wire.sent) and not wire.sent)


def _text(wire: Wire) -> str:
    return "\n".join(each.body.decode("utf-8", "replace") for each in wire.received)
