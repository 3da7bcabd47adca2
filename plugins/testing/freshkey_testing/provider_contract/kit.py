"""The fixtures used by all checks of a provider."""

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
    """Fixtures: some are provided by the subclass, the others are derived from them."""

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def provider(self) -> object:
        """Return the provider: its module, or an object with the hooks."""
        pytest.fail("override the fixture provider to return the module that implements the hooks")

    @pytest.fixture
    def profile(self) -> Profile:
        """Return a profile of this provider. Also create what its borrowed sources look for, with made-up secrets."""
        pytest.fail("override the fixture profile to return a Profile with the provider's settings")

    @pytest.fixture
    def signed_in(self) -> Credential | None:
        """Return a fresh owned credential of that profile, obtained by a real sign-in if possible."""
        return None

    @pytest.fixture
    def not_renewable(self, held: Credential) -> Credential:
        """Return an owned credential that needs a sign-in to renew; made from `signed_in` if possible."""
        if not held.renewable:
            return held
        if "refresh_token" not in attrs.fields_dict(type(held)):
            pytest.skip("override the fixture not_renewable to check renewals that need a sign-in")
        return attrs.evolve(held, refresh_token=None)  # type: ignore[call-arg]  # checked above

    @pytest.fixture
    def revocable(self) -> Credential:
        """Return an owned credential of a server run by the test, where it may be revoked."""
        pytest.skip("override the fixture revocable to check that a credential can be revoked twice")

    # --- what the kit derives from it ------------------------------------------------------------------------

    @pytest.fixture
    def hooks(self, provider: object, profile: Profile) -> HookCaller:
        """The hooks as the core calls them: return values are checked and errors classified."""
        store = ("memory", load_store("memory"))
        manager = wire(profile.provider, provider, store=store, store_is_configured=False, observers={})
        return HookCaller(manager, profile.provider, lambda _: None, cleans=False)

    @pytest.fixture
    def description(self, hooks: HookCaller, profile: Profile) -> Description:
        """The provider's description for that profile."""
        return hooks.describe(profile)

    @pytest.fixture
    def held(self, signed_in: Credential | None) -> Credential:
        """The owned credential; tests that need one are skipped if there is none."""
        if signed_in is None:
            pytest.skip("override the fixture signed_in to check owned credentials")
        return signed_in

    @pytest.fixture
    def found(
        self, hooks: HookCaller, profile: Profile, description: Description, signed_in: Credential | None
    ) -> list[Credential]:
        """Every credential to check: the owned one, and those from borrowed sources that need no user."""
        borrowed = [
            hooks.acquire(profile, source, NonInteractive(profile.name))
            for source in description.sources
            if not source.interactive and not source.owned and hooks.detect(profile, source)
        ]
        everything = borrowed if signed_in is None else [signed_in, *borrowed]
        if not everything:
            pytest.skip("override the fixture signed_in, or create a credential for a borrowed source in profile")
        return everything
