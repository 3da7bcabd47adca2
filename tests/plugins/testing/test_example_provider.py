"""The provider of most tests of the core meets the contract, once its sign-in asks and its renewal refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import pytest

from example_provider import Provider, token
from freshkey import Credential, Profile, Secret, Source, hookimpl
from freshkey.errors import LoginRequired
from freshkey.plugin import Inspection, Interaction, Validity
from freshkey_testing import ManualClock, ProviderContract, ScriptedUser


class Asking(Provider):
    """Asks before it signs in."""

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> object:
        if source.interactive:
            interaction.open_url("https://id.example.com/authorize")
        return self.on_acquire()


def needs_the_user(credential: Credential) -> NoReturn:
    raise LoginRequired(f"a sign-in from {credential.source} cannot be renewed", unsent=True)


class TestExample(ProviderContract):
    @pytest.fixture
    def provider(self, freshkey_clock: ManualClock) -> object:
        def acquired() -> Credential:
            return token(obtained=freshkey_clock.now(), access_token=Secret("example-access-token"))

        unchecked = Inspection(validity=Validity.UNCHECKABLE)
        return Asking(on_acquire=acquired, on_refresh=needs_the_user, on_inspect=lambda: unchecked)

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        return {"sign-in": ScriptedUser(paste="a-made-up-code")}
