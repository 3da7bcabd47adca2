"""Checks of ``refresh``, and of ``describe`` with a credential."""

from __future__ import annotations

import pytest

from freshkey import Credential, Profile, Validity
from freshkey._plugins.hook_caller import HookCaller
from freshkey.errors import LoginRequired, PluginBroken, ProviderRefused, TransientError
from freshkey.plugin import LoggingReporter
from freshkey_testing.guard import offline
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, outcome_name, shown
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


class Renewing(ProviderKit):
    """Checks of what happens to a credential after the sign-in."""

    def test_a_renewal_that_needs_the_user_says_so(
        self, hooks: HookCaller, profile: Profile, not_renewable: Credential
    ) -> None:
        """`refresh` of a non-renewable credential raises `LoginRequired` or `ProviderRefused`, and sends nothing."""
        with offline() as attempts:
            error = caught(lambda: hooks.refresh(profile, not_renewable, LoggingReporter()))
        assert not attempts, f"refresh without a refresh token tried: {', '.join(attempts)}"
        assert_no_secret(shown(error), secrets_of(not_renewable), "the error of refresh")
        assert isinstance(error, LoginRequired | ProviderRefused), f"refresh ended with {outcome_name(error)}"

    def test_a_renewal_without_a_network_is_worth_another_try(
        self, hooks: HookCaller, profile: Profile, held: Credential
    ) -> None:
        """If the connection fails, nothing was sent: raise `TransientError`, and never ask for a sign-in.

        `freshkey.plugin.send` already classifies failures this way.
        """
        if not held.renewable:
            pytest.skip("the credential of signed_in is not renewable")
        with offline() as attempts:
            error = caught(lambda: hooks.refresh(profile, held, LoggingReporter()))
        assert_no_secret(shown(error), secrets_of(held), "the error of refresh")
        assert not isinstance(error, PluginBroken), f"refresh violated the contract: {error}"
        if attempts:
            assert isinstance(error, TransientError), f"refresh without a network ended with {outcome_name(error)}"

    def test_an_unreachable_provider_is_an_answer(self, hooks: HookCaller, profile: Profile, held: Credential) -> None:
        """``describe`` with a credential returns an `Inspection` even without a network: `Validity.UNREACHABLE`.

        ``freshkey whoami`` shows it; an error would hide what is known without the network.
        """
        with offline() as attempts:
            inspection = hooks.inspect(profile, held)
        if attempts:
            assert inspection.validity is not Validity.VALID, "the inspection says VALID without a network"
        assert_no_secret(repr(inspection), secrets_of(held), "the inspection")
