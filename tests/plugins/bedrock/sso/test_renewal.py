"""What becomes of a sign-in: newer role credentials, newer tokens, and every way in which it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_bedrock.renewal import renew
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from sso_double import SsoDouble


HOUR = 3600.0
DAY = 24 * HOUR

Renew = Callable[[SsoCredential], SsoCredential]


class Ear(LoggingReporter):
    """Remembers notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def renewed(profile: Profile, clock: ManualClock, ear: Ear) -> Renew:
    def run(credential: SsoCredential) -> SsoCredential:
        newer = renew(profile, credential, ear, clock=clock)
        assert isinstance(newer, SsoCredential)
        return newer

    return run


def tokens(double: SsoDouble) -> int:
    return double.count("/token")


def test_while_the_access_token_lives_only_role_credentials_are_fetched(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(HOUR - 300)
    newer = renewed(signed_in)
    assert newer.access_key_id != signed_in.access_key_id
    assert newer.lifetime == pytest.approx(HOUR)
    assert newer.session == signed_in.session
    assert tokens(double) == 1


def test_fifteen_minutes_before_its_end_the_access_token_is_renewed_first(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR - 899)
    newer = renewed(signed_in)
    assert newer.session.access_token != signed_in.session.access_token
    assert newer.session.refresh_token != signed_in.session.refresh_token
    assert newer.session.client == signed_in.session.client
    assert newer.access_key_id != signed_in.access_key_id
    assert set(double.bodies[-1][1]) == {"clientId", "clientSecret", "grantType", "refreshToken"}


def test_long_after_its_end_nobody_has_to_act(signed_in: SsoCredential, clock: ManualClock, renewed: Renew) -> None:
    clock.advance(30 * DAY)
    assert not renewed(signed_in).expired()


def test_a_server_that_sends_no_new_refresh_token_leaves_the_old_one(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.refreshes = False
    assert renewed(signed_in).session.refresh_token == signed_in.session.refresh_token


def test_an_access_token_that_was_ended_early_is_renewed(
    double: SsoDouble, signed_in: SsoCredential, renewed: Renew
) -> None:
    double.end_tokens()
    newer = renewed(signed_in)
    assert double.honors(newer.session.access_token.reveal())


@pytest.mark.parametrize("status", [429, 500, 403])
def test_a_new_refresh_token_is_not_lost_where_the_portal_fails(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew, ear: Ear, *, status: int
) -> None:  # ROT-3
    clock.advance(8 * HOUR - 60)
    double.knobs.portal_status = [status]
    kept = renewed(signed_in)
    assert kept.session.refresh_token != signed_in.session.refresh_token
    assert (kept.access_key_id, kept.obtained) == (signed_in.access_key_id, signed_in.obtained)
    assert "no newer role credentials yet" in ear.notices[0]
    later = renewed(kept)
    assert later.access_key_id != kept.access_key_id
    assert tokens(double) == 2, "one for the sign-in, one for the renewal"


def test_without_a_refresh_token_it_ends_with_its_access_token(
    double: SsoDouble, profile: Profile, clock: ManualClock, renewed: Renew
) -> None:
    double.knobs.refreshes = False
    with ScriptedUser(browser=follow) as user:
        alone = sign_in(profile, user, clock=clock)
    clock.advance(8 * HOUR - 10)
    assert not renewed(alone).expired(), "until its very end it is used"
    clock.advance(20)
    with pytest.raises(LoginRequired, match="came without a refresh token"):
        renewed(alone)
    assert tokens(double) == 1


def test_an_expired_registration_needs_a_person_and_sends_nothing(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(91 * DAY)
    with pytest.raises(LoginRequired, match=r"this client's registration .* ended at 2026-04-01 00:00:00 UTC"):
        renewed(signed_in)
    assert tokens(double) == 1


def test_a_registration_that_the_server_has_forgotten_needs_a_person(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.token_error = "invalid_client"
    with pytest.raises(LoginRequired, match="does not know this client any more"):
        renewed(signed_in)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", LoginRequired),
        ("expired_token", LoginRequired),
        ("invalid_scope", ProviderRefused),
        ("slow_down", TransientError),
        ("server_error", TransientError),
    ],
)
def test_a_refusal_says_what_to_do(
    double: SsoDouble,
    signed_in: SsoCredential,
    clock: ManualClock,
    renewed: Renew,
    *,
    error: str,
    kind: type[Exception],
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.token_error = error
    with pytest.raises(kind):
        renewed(signed_in)


def test_an_ended_session_needs_a_person(double: SsoDouble, signed_in: SsoCredential, renewed: Renew) -> None:
    double.end_session()
    with pytest.raises(LoginRequired):
        renewed(signed_in)


@pytest.mark.parametrize(("status", "kind"), [(429, TransientError), (500, TransientError), (403, ProviderRefused)])
def test_trouble_with_the_portal_alone_spends_nothing(
    double: SsoDouble, signed_in: SsoCredential, renewed: Renew, *, status: int, kind: type[Exception]
) -> None:
    double.knobs.portal_status = [status]
    with pytest.raises(kind):
        renewed(signed_in)
    assert tokens(double) == 1


def test_an_answer_of_the_portal_that_is_lost_is_no_answer(
    double: SsoDouble, signed_in: SsoCredential, renewed: Renew
) -> None:
    double.knobs.broken = {"/federation/credentials"}
    with pytest.raises(TransientError):
        renewed(signed_in)


def test_an_answer_to_a_refresh_token_that_is_lost_is_unknown(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.broken = {"/token"}
    with pytest.raises(OutcomeUnknown):
        renewed(signed_in)


def test_the_refresh_token_counts_as_spent_only_where_it_will_be_sent(
    signed_in: SsoCredential, clock: ManualClock
) -> None:
    assert signed_in.renewal_secret is None
    clock.advance(8 * HOUR - 899)
    assert signed_in.renewal_secret == signed_in.session.refresh_token
