"""Checks of credentials that another program keeps, which the fixture `lenders` plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from freshkey import Credential, Description, Profile, Source
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused
from freshkey.plugin import NonInteractive, Reason
from freshkey_testing.clock import ManualClock
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.lender import Lender
from freshkey_testing.provider_contract.probes import outcome_name, reject_broken, require, tried


class Borrowing(ProviderKit):
    """A borrowed credential ends like any other, and only the other program can renew it."""

    def test_what_the_other_program_renewed_is_returned(
        self, hooks: Hooks, profile: Profile, description: Description, lenders: Mapping[str, Lender]
    ) -> None:
        """Once the other program has a newer credential, freshkey gets that one: the place is read again each time.

        As in the core, that is what ``refresh`` returns, or ``acquire`` for a credential that is not renewable.
        """
        for loan in _loans(hooks, profile, description, lenders):
            loan.lender.renew()
            newer, error = loan.again(Reason.DUE)
            reject_broken(error, loan.renewal)
            require(
                error is None,
                f"the other program has a newer credential for source {loan.source.id!r}, and {loan.renewal} ended with"
                f" {outcome_name(error)}: return the newer one",
            )
            require(
                newer is not None and not newer.authorizes_like(loan.held),
                f"the other program has a newer credential for source {loan.source.id!r}, and {loan.renewal} returned"
                " the old one: read the place again",
            )

    def test_what_was_refused_is_not_borrowed_again(
        self, hooks: Hooks, profile: Profile, description: Description, lenders: Mapping[str, Lender]
    ) -> None:
        """With ``reason`` REFUSED and nothing newer there, ``refresh`` raises `LoginRequired`, or another error.

        The old one would be refused again. If the credential is not renewable, the core sees to it.
        """
        for loan in _loans(hooks, profile, description, lenders):
            newer, error = loan.again(Reason.REFUSED) if loan.held.renewable else (None, None)
            reject_broken(error, loan.renewal)
            require(
                newer is None or not newer.authorizes_like(loan.held),
                f"a server refused the credential of source {loan.source.id!r}, and refresh returned it again:"
                " look at reason, and raise LoginRequired if there is nothing newer",
            )

    def test_what_is_gone_needs_the_user(
        self, hooks: Hooks, profile: Profile, description: Description, lenders: Mapping[str, Lender]
    ) -> None:
        """If the user signed out of the other program, the error is `LoginRequired`, or that a setting is wrong.

        That is `ProviderRefused` or `ConfigurationError`. What was read before is not returned again.
        """
        for loan in _loans(hooks, profile, description, lenders):
            loan.lender.remove()
            _, error = loan.again(Reason.DUE)
            reject_broken(error, loan.renewal)
            require(
                isinstance(error, LoginRequired | ProviderRefused | ConfigurationError),
                f"the credential of source {loan.source.id!r} is gone, and {loan.renewal} ended with"
                f" {outcome_name(error)}: raise LoginRequired, with a hint that says how to sign in to the program",
            )


@frozen
class _Loan:
    """A borrowed credential, and how to get it again.

    Attributes:
        renewal: Which hook the core calls for a newer one.
        again: Calls it, a minute later, and returns what it returned or raised.
    """

    source: Source
    lender: Lender
    held: Credential
    renewal: str
    again: Callable[[Reason], tuple[Credential | None, FreshkeyError | None]]


def _loans(hooks: Hooks, profile: Profile, description: Description, lenders: Mapping[str, Lender]) -> Iterator[_Loan]:
    """Borrow from each lender; a test says so if there are none."""
    if not lenders and all(source.owned or source.handed_in for source in description.sources):
        not_applicable("the provider borrows nothing from another program")
    if not lenders:
        not_applicable("the fixture lenders says of no borrowed source how the other program renews it")
    sources = {source.id: source for source in description.sources}
    for name, lender in lenders.items():
        require(name in sources, f"the fixture lenders names {name!r}, which is not the ID of a source")
        yield _borrowed(hooks, profile, sources[name], lender)


def _borrowed(hooks: Hooks, profile: Profile, source: Source, lender: Lender) -> _Loan:
    held = hooks.acquire(profile, source, NonInteractive(profile.name))

    def again(reason: Reason) -> tuple[Credential | None, FreshkeyError | None]:
        if isinstance(profile.clock, ManualClock):
            profile.clock.advance(60.0)
        if held.renewable:
            return tried(lambda: hooks.refresh(profile, held, reason=reason))
        return tried(lambda: hooks.acquire(profile, source, NonInteractive(profile.name)))

    return _Loan(source, lender, held, "refresh" if held.renewable else "acquire", again)
