"""Checks of ``refresh``, and of ``describe`` with a credential."""

from __future__ import annotations

from freshkey import Credential, Profile, Validity
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey_testing.exchanges import made_response
from freshkey_testing.guard import offline
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, outcome_name, require, shown
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


class Renewing(ProviderKit):
    """Checks of what happens to a credential after the sign-in."""

    def test_a_renewal_that_needs_the_user_says_so(
        self, hooks: Hooks, profile: Profile, held: Credential, not_renewable: Credential | None
    ) -> None:
        """`refresh` of a non-renewable credential raises `LoginRequired` or `ProviderRefused`, and sends nothing."""
        if not_renewable is None:
            require(
                held.renewable,
                "the fixture not_renewable returns None, but the sign-in cannot be renewed: return it",
            )
            not_applicable("every owned credential can be renewed")
        wire = Wire(fault="before-sending")
        with offline() as attempts, wire.watched():
            error = caught(lambda: hooks.refresh(wire.of(profile), not_renewable))
        tried = [*attempts, *sorted(wire.hosts())]
        require(not tried, f"refresh without a refresh token tried to reach the network: {', '.join(tried)}")
        assert_no_secret(shown(error), secrets_of(not_renewable), "the error of refresh")
        require(
            isinstance(error, LoginRequired | ProviderRefused),
            f"refresh of a credential that only a sign-in can replace ended with {outcome_name(error)}:"
            " raise LoginRequired",
        )

    def test_an_unreachable_provider_is_an_answer(self, hooks: Hooks, profile: Profile, held: Credential) -> None:
        """``describe`` with a credential returns an `Inspection` even without a network: `Validity.UNREACHABLE`.

        ``freshkey whoami`` shows it; an error would hide what is known without the network.
        """
        wire = Wire(fault="before-sending")
        with offline(), wire.watched():
            inspection = hooks.inspect(wire.of(profile), held)
        assert inspection.validity is not Validity.VALID, (
            "the inspection says VALID without a network: return UNREACHABLE,"
            " or UNCHECKABLE if the provider has no way to ask"
        )
        assert_no_secret(repr(inspection), secrets_of(held), "the inspection")

    def test_a_rejected_credential_is_not_valid(self, hooks: Hooks, profile: Profile, held: Credential) -> None:
        """If the server answers 401, ``describe`` with that credential does not say `Validity.VALID`."""
        wire, said = Wire(answers=(made_response(401),)), []
        with wire.watched():
            caught(lambda: said.append(hooks.inspect(wire.of(profile), held)))
        require(
            not (wire.sent and any(each.validity is Validity.VALID for each in said)),
            "the server answered 401, and the inspection says VALID: look at the status of the response",
        )
