"""Where Claude credentials come from, in order, and how to take one that another tool put there."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from freshkey.clock import SYSTEM, Clock, Moment
from freshkey.errors import LoginRequired
from freshkey.helpers import environment_secret
from freshkey.model import Credential, Interaction, Profile, Sighting, Source
from freshkey.secret import Secret
from freshkey_claude_oauth import anthropic_profiles, federation
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken


@frozen(kw_only=True)
class _Variable:
    """A source that is one environment variable of other Claude tools."""

    id: str
    variable: str
    kind: str

    def read(self, environ: Mapping[str, str]) -> Secret | None:
        return environment_secret(self.variable, environ)

    def look(self, profile: Profile) -> Sighting | None:  # noqa: ARG002  the signature is Source.look's
        secret = self.read(os.environ)
        if secret is None:
            return None
        origin = f"environment variable {self.variable}"
        return Sighting(kind=self.kind, origin=origin, last_four=secret.last_four())

    def source(self) -> Source:
        return Source(id=self.id, title=f"{self.kind} in {self.variable}", owned=False, look=self.look)

    def take(self, obtained: Moment) -> Credential:
        secret = self.read(os.environ)
        if secret is None:
            raise LoginRequired(f"the environment variable {self.variable} is not set", hint=f"Set {self.variable}")
        if self.variable == "ANTHROPIC_API_KEY":
            return ClaudeApiKey(obtained=obtained, key=secret, source=self.id)
        return ClaudeAuthToken(obtained=obtained, key=secret, source=self.id)


# Claude Code's order; Anthropic's SDKs ask for the key first. Only a shell that sets both can tell the difference.
_VARIABLES: Final = {
    "auth-token": _Variable(id="auth-token", variable="ANTHROPIC_AUTH_TOKEN", kind="bearer token"),
    "api-key": _Variable(id="api-key", variable="ANTHROPIC_API_KEY", kind="API key"),
}


def _anthropic(source_id: str, title: str) -> Source:
    return Source(id=source_id, title=title, owned=False, look=functools.partial(anthropic_profiles.look, source_id))


SOURCES: Final = (
    *(variable.source() for variable in _VARIABLES.values()),
    _anthropic(anthropic_profiles.NAMED, "profile of Anthropic's tools, by name"),
    Source(id="federation", title="workload identity federation", owned=False, handed_in=True, look=federation.look),
    Source(id="oauth", title="OAuth sign-in", owned=True, interactive=True),
    _anthropic(anthropic_profiles.ACTIVE, "active profile of Anthropic's tools"),
)


def acquire(profile: Profile, source: Source, ask: Interaction, *, clock: Clock = SYSTEM) -> Credential:
    """Get a credential from one of `SOURCES`."""
    from freshkey_claude_oauth.anthropic_source import take
    from freshkey_claude_oauth.exchange import take as exchange_identity
    from freshkey_claude_oauth.signin import sign_in

    if source.id == "federation":
        return evolve(exchange_identity(profile, clock=clock), source=source.id)
    if source.id in {anthropic_profiles.NAMED, anthropic_profiles.ACTIVE}:
        return take(profile, source.id, clock=clock)
    variable = _VARIABLES.get(source.id)
    return variable.take(clock.now()) if variable else evolve(sign_in(profile, ask, clock=clock), source=source.id)
