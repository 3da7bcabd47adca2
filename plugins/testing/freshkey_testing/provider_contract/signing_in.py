"""Checks of a sign-in: ``acquire`` from each source that freshkey owns."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from freshkey import Description, Profile, Source
from freshkey.plugin import Interaction, NonInteractive
from freshkey_testing.guard import read_only
from freshkey_testing.overheard import Overheard
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit, fail_once, no_credential
from freshkey_testing.provider_contract.probes import require, tried
from freshkey_testing.provider_contract.results import check_secrecy, check_times
from freshkey_testing.provider_contract.wire import LOOPBACK, Wire
from freshkey_testing.user import ScriptedUser


class SigningIn(ProviderKit):
    """The first credential of a life."""

    def test_each_owned_source_signs_in(  # noqa: PLR0917  fixtures
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        far_zone: str,  # noqa: ARG002  the world it runs in
        request: pytest.FixtureRequest,
    ) -> None:
        """``acquire`` from each owned source returns a credential, and leaves nothing behind.

        Its times are those of ``profile.clock``, its secrets are in `Secret` fields alone, nothing is written, printed
        or logged, and only hosts of the description are called.
        """
        for source in [each for each in description.sources if each.owned]:
            user: Interaction | None = users.get(source.id)
            if user is None and source.interactive:
                fail_once(
                    request.cls,
                    f"define the fixture users: it returns {{{source.id!r}: ScriptedUser(…)}}, who signs in with it",
                )
            _sign_in(request.cls, hooks, profile, description, source, user=user or NonInteractive(profile.name))


def _sign_in(
    cls: type, hooks: Hooks, profile: Profile, description: Description, source: Source, *, user: Interaction
) -> None:
    what, wire, heard = f"acquire from source {source.id!r}", Wire(), Overheard()
    with wire.watched(), heard.records(), heard.output(), read_only() as writes:
        credential, error = tried(lambda: hooks.acquire(wire.of(profile), source, user))
    require(not writes, f"{what} tried to change files ({', '.join(writes)}): the core stores the credential")
    if error is not None or credential is None:
        no_credential(cls, source, error)
    require(
        hooks.raw.source in ("", source.id),
        f"{what} returned a credential with source={hooks.raw.source!r}: set it to source.id",
    )
    check_times(credential, profile, wire.received, what)
    entered = user.entered if isinstance(user, ScriptedUser) else ()
    check_secrecy(credential, wire.received, heard, what, entered)
    # A scripted browser goes to the listener on this machine, where the sign-in waits for it.
    odd = sorted(wire.hosts() - {host.lower() for host in description.hosts} - LOOPBACK)
    require(not odd, f"{what} called {', '.join(odd)}: add it to Description.hosts")
