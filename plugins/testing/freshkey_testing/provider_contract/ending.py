"""Checks of ``Description.revoke``, which a sign-out calls to revoke a credential at the provider."""

from __future__ import annotations

from freshkey import Credential, Description, Profile
from freshkey.errors import LoginRequired, OutcomeUnknown, TransientError
from freshkey_testing.exchanges import made_response
from freshkey_testing.guard import offline, read_only
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, outcome_name, reject_broken, require, shown
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


class Ending(ProviderKit):
    """Checks of ``revoke``, for providers that have it."""

    def test_a_revocation_without_a_network_is_not_one(
        self, hooks: Hooks, profile: Profile, held: Credential, description: Description
    ) -> None:
        """If the provider cannot be reached, the credential still works: raise `TransientError`.

        Never return as if it had been revoked, because the sign-out would report that to the user, and never ask for a
        sign-in: signing out must not require one. `Profile.send` and `freshkey.oauth.OAuthClient.revoke`
        already do this.
        """
        _needs_revoke(description)
        wire = Wire(fault="before-sending")
        with offline() as attempts, wire.watched():
            error = caught(lambda: hooks.revoke(description, wire.of(profile), held))
        assert_no_secret(shown(error), secrets_of(held), "the error of revoke")
        reject_broken(error, "revoke")
        assert not isinstance(error, LoginRequired), f"revoke asks for a sign-in: {error}"
        require(
            error is not None or bool(attempts or wire.sent),
            "revoke returned without asking the server, so the credential still works: set Description.revoke to None"
            " if the provider cannot revoke",
        )
        if attempts or wire.sent:
            require(
                isinstance(error, TransientError),
                f"revoke without a network ended with {outcome_name(error)}: let TransientError through",
            )

    def test_a_revocation_that_fails_is_not_one(
        self, hooks: Hooks, profile: Profile, held: Credential, description: Description
    ) -> None:
        """If the server answers 503, the credential still works: raise `TransientError`."""
        _needs_revoke(description)
        wire = Wire(answers=(made_response(503),))
        with wire.watched():
            error = caught(lambda: hooks.revoke(description, wire.of(profile), held))
        reject_broken(error, "revoke")
        if wire.sent:
            require(
                isinstance(error, TransientError | OutcomeUnknown),
                f"a revocation answered with status 503 ended with {outcome_name(error)}: raise TransientError",
            )

    def test_a_revocation_stores_nothing(
        self, hooks: Hooks, profile: Profile, held: Credential, description: Description
    ) -> None:
        """``revoke`` changes no files: the core deletes the stored credential, even if the provider is unreachable."""
        _needs_revoke(description)
        wire = Wire(fault="before-sending")
        with offline(), read_only() as attempts, wire.watched():
            caught(lambda: hooks.revoke(description, wire.of(profile), held))
        assert not attempts, f"revoke tried to change files: {', '.join(attempts)}"

    def test_what_has_ended_can_be_ended_again(
        self, hooks: Hooks, profile: Profile, revocable: Credential, description: Description
    ) -> None:
        """A second revocation is not an error: an unknown token counts as revoked (RFC 7009, section 2.2).

        A sign-out is retried if its response was lost.
        """
        _needs_revoke(description)
        for time in ("first", "second"):
            with read_only() as attempts:
                error = caught(lambda: hooks.revoke(description, profile, revocable))
            assert error is None, f"the {time} revocation ended with {outcome_name(error)}"
            assert not attempts, f"the {time} revocation tried to change files: {', '.join(attempts)}"


def _needs_revoke(description: Description) -> None:
    if description.revoke is None:
        not_applicable("the provider cannot revoke")
