"""Checks that the secrets of a stored credential reach only hosts that its sign-in is bound to."""

from __future__ import annotations

from typing import Any, Final

import attrs

from freshkey import Credential, Description, Profile
from freshkey.errors import FreshkeyError
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import leaks, secrets_of


_ELSEWHERE: Final = "moved.freshkey.example"


class Bound(ProviderKit):
    """Checks of ``refresh``, ``revoke`` and ``describe`` with a stored credential."""

    def test_secrets_reach_only_the_hosts_of_the_description(
        self, hooks: Hooks, profile: Profile, held: Credential, description: Description
    ) -> None:
        """A request with a secret of a stored credential goes only to hosts in ``Description.hosts``.

        A stored sign-in is bound to them: a host that is not listed could be changed in the configuration, and would
        then get the refresh token.
        """
        reached = _reached(hooks, profile, held, description)
        odd = sorted(reached - {host.lower() for host in description.hosts})
        assert not odd, f"a secret of the credential was sent to {', '.join(odd)}, which is not in Description.hosts"

    def test_settings_that_are_not_bound_move_no_secret(self, hooks: Hooks, profile: Profile, held: Credential) -> None:
        """A setting with ``metadata={"bound": False}`` does not decide where a secret of a stored credential is sent.

        Remove the mark from the one that the failure names: then a change of it asks for a new sign-in.
        """
        kind: type = type(profile.settings)
        for each in attrs.fields(kind) if attrs.has(kind) else ():
            if each.metadata.get("bound", True) is not False:
                continue
            for value in (f"https://{_ELSEWHERE}/x", _ELSEWHERE, (f"https://{_ELSEWHERE}/x",)):
                moved = _with(profile, each.name, value)
                if moved is None:
                    continue
                reached = _reached(hooks, moved, held, hooks.describe(moved))
                assert _ELSEWHERE not in reached, f"{each.name} is not bound, and a secret was sent to where it points"


def _with(profile: Profile, name: str, value: object) -> Profile | None:
    """Return the profile with another setting; None if it refuses the value."""
    settings: Any = profile.settings
    try:
        return attrs.evolve(profile, settings=attrs.evolve(settings, **{name: value}))
    except (FreshkeyError, TypeError, ValueError, AttributeError):
        return None


def _reached(hooks: Hooks, profile: Profile, held: Credential, description: Description) -> set[str]:
    """Return the hosts to which a secret was sent while the credential was checked, renewed and revoked."""
    secrets = secrets_of(held)
    wire = Wire()
    watched = wire.of(profile)
    with wire.watched():
        caught(lambda: hooks.inspect(watched, held))
        if held.renewable:
            caught(lambda: hooks.refresh(watched, held))
        caught(lambda: hooks.revoke(description, watched, held))
    return {each.host for each in wire.sent if leaks(each.text, secrets)}
