"""The provider ``bedrock`` with a clock that a test moves."""

from __future__ import annotations

import freshkey_bedrock as provider
from freshkey.clock import Clock
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_bedrock.renewal import renew
from freshkey_bedrock.sources import acquire


class AtOurTime:
    """The hooks of the provider, with the test's clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        return provider.describe(profile=profile, credential=credential)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        return acquire(profile, source, interaction, clock=self.clock)

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        return renew(profile, credential, reporter, clock=self.clock)
