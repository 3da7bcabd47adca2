"""Where Claude credentials come from, in order of precedence, and who gets one from each."""

from __future__ import annotations

import functools
from typing import Final

from attrs import evolve

from freshkey.plugin import SYSTEM, Clock, Credential, Interaction, Profile, Source
from freshkey_claude_oauth import anthropic_profiles, federation, key_helper, stored_key
from freshkey_claude_oauth.handed import (
    API_KEY,
    API_KEY_FD,
    AUTH_TOKEN,
    OAUTH_TOKEN,
    OAUTH_TOKEN_FD,
    Descriptor,
    Variable,
)


_HANDED: Final[dict[str, Variable | Descriptor]] = {
    one.id: one for one in (AUTH_TOKEN, API_KEY, API_KEY_FD, OAUTH_TOKEN, OAUTH_TOKEN_FD)
}


def _handed(one: Variable | Descriptor, *, needs_consent: bool = False) -> Source:
    return Source(
        id=one.id, title=one.title, owned=False, handed_in=True, needs_consent=needs_consent, detect=one.detect
    )


def _anthropic(source_id: str, title: str) -> Source:
    return Source(
        id=source_id, title=title, owned=False, detect=functools.partial(anthropic_profiles.detect, source_id)
    )


# Claude Code's order; Anthropic's SDKs ask for the API key first. Only a shell that sets both can tell the difference.
SOURCES: Final = (
    _handed(AUTH_TOKEN),
    _handed(API_KEY, needs_consent=True),
    _handed(API_KEY_FD),
    Source(id="api-key-helper", title="api_key_helper command", owned=False, handed_in=True, detect=key_helper.detect),
    _handed(OAUTH_TOKEN),
    _handed(OAUTH_TOKEN_FD),
    _anthropic(anthropic_profiles.NAMED, "profile of Anthropic's tools, by name"),
    Source(
        id="federation", title="workload identity federation", owned=False, handed_in=True, detect=federation.detect
    ),
    Source(id=stored_key.ID, title="API key kept by freshkey", owned=True, interactive=True, pasted=True),
    Source(id="oauth", title="OAuth sign-in", owned=True, interactive=True),
    _anthropic(anthropic_profiles.ACTIVE, "active profile of Anthropic's tools"),
)


def acquire(profile: Profile, source: Source, interaction: Interaction, *, clock: Clock = SYSTEM) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction, clock), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction, clock: Clock) -> Credential:
    from freshkey_claude_oauth.anthropic_source import take as take_from_anthropic
    from freshkey_claude_oauth.exchange import take as exchange_identity
    from freshkey_claude_oauth.signin import sign_in

    if source_id in _HANDED:
        return _HANDED[source_id].take(profile, clock.now())
    if source_id == "api-key-helper":
        return key_helper.take(profile, interaction, clock=clock)
    if source_id == "federation":
        return exchange_identity(profile, clock=clock)
    if source_id in {anthropic_profiles.NAMED, anthropic_profiles.ACTIVE}:
        return take_from_anthropic(profile, source_id, clock=clock)
    if source_id == stored_key.ID:
        return stored_key.take(profile, interaction, clock=clock)
    return sign_in(profile, interaction, clock=clock)
