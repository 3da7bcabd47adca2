"""The fixtures that every check of a provider builds on."""

from __future__ import annotations

import attrs
import pytest

from freshkey import Credential, Description, Profile
from freshkey._plugins.discovery import load_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
from freshkey.plugin import NonInteractive
from freshkey_testing.contract import Contract


class ProviderKit(Contract):
    """Fixtures: some for a subclass to provide, the others made of those."""

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def provider(self) -> object:
        """Provide the provider: its module, or an object with the hooks."""
        pytest.fail("override the fixture provider: the module that implements the hooks")

    @pytest.fixture
    def profile(self) -> Profile:
        """Provide a profile of this provider. Plant what its borrowed sources look for, with made-up secrets."""
        pytest.fail("override the fixture profile: a Profile with the provider's own settings")

    @pytest.fixture
    def signed_in(self) -> Credential | None:
        """Provide a fresh owned credential of that profile, obtained as in real life where that is possible."""
        return None

    @pytest.fixture
    def not_renewable(self, held: Credential) -> Credential:
        """Provide an owned credential that cannot be renewed without a person; made from `signed_in` if possible."""
        if not held.renewable:
            return held
        if "refresh_token" not in attrs.fields_dict(type(held)):
            pytest.skip("override the fixture not_renewable to check renewals that need a person")
        return attrs.evolve(held, refresh_token=None)  # type: ignore[call-arg]  # the field was just looked up

    @pytest.fixture
    def revocable(self) -> Credential:
        """Provide an owned credential whose server the test runs, and which may be ended there."""
        pytest.skip("override the fixture revocable to check that a credential can be ended twice")

    # --- what the kit makes of it ----------------------------------------------------------------------------

    @pytest.fixture
    def hooks(self, provider: object, profile: Profile) -> HookCaller:
        """The hooks as the core calls them: answers checked, errors sorted."""
        store = ("memory", load_store("memory"))
        manager = wire(profile.provider, provider, store=store, store_is_configured=False, observers={})
        return HookCaller(manager, profile.provider, lambda _: None)

    @pytest.fixture
    def description(self, hooks: HookCaller, profile: Profile) -> Description:
        """What the provider says of itself for that profile."""
        return hooks.describe(profile)

    @pytest.fixture
    def held(self, signed_in: Credential | None) -> Credential:
        """The owned credential; tests that need one are skipped without."""
        if signed_in is None:
            pytest.skip("override the fixture signed_in to check owned credentials")
        return signed_in

    @pytest.fixture
    def found(
        self, hooks: HookCaller, profile: Profile, description: Description, signed_in: Credential | None
    ) -> list[Credential]:
        """Every credential there is to check: the owned one, and what borrowed sources yield without a person."""
        borrowed = [
            hooks.acquire(profile, source, NonInteractive(profile.name))
            for source in description.sources
            if not source.interactive and not source.owned and hooks.detect(profile, source)
        ]
        everything = borrowed if signed_in is None else [signed_in, *borrowed]
        if not everything:
            pytest.skip("override the fixture signed_in, or plant something for a borrowed source in profile")
        return everything
