"""Renewal of a sign-in: new role credentials, new tokens, and every way in which it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.plugin import Response, Secret
from freshkey_bedrock.renewal import renew
from freshkey_bedrock.sso import portal
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from raises_code import raises_code
from sso_double import SsoDouble


HOUR = 3600.0
DAY = 24 * HOUR

Renew = Callable[[SsoCredential], SsoCredential]


class Ear(LoggingReporter):
    """Records notices."""

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
        newer = renew(profile, credential, ear)
        assert isinstance(newer, SsoCredential)
        return newer

    return run


def tokens(double: SsoDouble) -> int:
    return double.count("/token")


def test_only_role_credentials_are_fetched_while_the_access_token_is_valid(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(HOUR - 300)
    newer = renewed(signed_in)
    assert newer.access_key_id != signed_in.access_key_id
    assert newer.lifetime == pytest.approx(HOUR)
    assert newer.session == signed_in.session
    assert tokens(double) == 1


def test_access_token_is_renewed_fifteen_minutes_before_expiration(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR - 899)
    newer = renewed(signed_in)
    assert newer.session.access_token != signed_in.session.access_token
    assert newer.session.refresh_token != signed_in.session.refresh_token
    assert newer.session.client == signed_in.session.client
    assert newer.access_key_id != signed_in.access_key_id
    assert set(double.bodies[-1][1]) == {"clientId", "clientSecret", "grantType", "refreshToken"}


def test_renewal_works_long_after_expiration(signed_in: SsoCredential, clock: ManualClock, renewed: Renew) -> None:
    clock.advance(30 * DAY)
    assert not renewed(signed_in).expired()


def test_old_refresh_token_is_kept_if_the_server_sends_no_new_one(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.refreshes = False
    assert renewed(signed_in).session.refresh_token == signed_in.session.refresh_token


def test_access_token_revoked_early_is_renewed(double: SsoDouble, signed_in: SsoCredential, renewed: Renew) -> None:
    double.end_tokens()
    newer = renewed(signed_in)
    assert double.honors(newer.session.access_token.reveal())


@pytest.mark.parametrize("status", [429, 500, 403])
def test_new_refresh_token_is_not_lost_if_the_portal_fails(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew, ear: Ear, *, status: int
) -> None:  # ROT-3
    clock.advance(8 * HOUR - 60)
    double.knobs.portal_status = [status]
    kept = renewed(signed_in)
    assert kept.session.refresh_token != signed_in.session.refresh_token
    assert (kept.access_key_id, kept.obtained) == (signed_in.access_key_id, signed_in.obtained)
    assert len(ear.notices) == 1
    assert f"{status}" in ear.notices[0]
    later = renewed(kept)
    assert later.access_key_id != kept.access_key_id
    assert tokens(double) == 2, "one for the sign-in, one for the renewal"


@pytest.mark.parametrize("change", ['"tokenType": "DPoP"', '"accessToken": "a\\r\\nb"', '"expiresIn": 0'])
def test_new_refresh_token_is_not_lost_if_its_access_token_is_useless(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew, ear: Ear, *, change: str
) -> None:  # ROT-3
    clock.advance(8 * HOUR - 60)
    good = '"accessToken": "a", "refreshToken": "newer", "expiresIn": 60, "tokenType": "Bearer"'
    double.knobs.bodies["/token"] = f"{{{good}, {change}}}".encode()
    kept = renewed(signed_in)
    assert kept.session.refresh_token == Secret("newer")
    assert kept.access_key_id == signed_in.access_key_id
    assert kept.renewal_secret == Secret("newer"), "the next renewal sends it"
    assert "cannot be used" in ear.notices[0]


@pytest.mark.parametrize("body", [b"<html>", b""])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_page_in_place_of_the_portal_does_not_end_the_sign_in(status: int, body: bytes) -> None:
    with pytest.raises(TransientError) as caught:
        portal.role_keys(
            "https://portal.example",
            Secret("a"),
            account_id="111122223333",
            role_name="r",
            send=lambda request: Response(status=status, headers={}, body=body),
            now=0.0,
        )
    assert caught.value.local


def test_sign_in_without_a_refresh_token_ends_with_its_access_token(
    double: SsoDouble, profile: Profile, clock: ManualClock, renewed: Renew
) -> None:
    double.knobs.refreshes = False
    with ScriptedUser(browser=follow) as user:
        alone = sign_in(profile, user)
    clock.advance(8 * HOUR - 10)
    assert not renewed(alone).expired(), "it is used until it expires"
    clock.advance(20)
    with raises_code(LoginRequired, "sign-in-ended"):
        renewed(alone)
    assert tokens(double) == 1


def test_expired_registration_requires_a_sign_in_and_sends_nothing(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(91 * DAY)
    with raises_code(LoginRequired, "bedrock-sso-registration-expired") as caught:
        renewed(signed_in)
    assert "2026-04-01 00:00:00 UTC" in caught.value.message
    assert tokens(double) == 1


def test_registration_unknown_to_the_server_requires_a_sign_in(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.token_error = "invalid_client"
    with raises_code(LoginRequired, "bedrock-sso-registration-expired"):
        renewed(signed_in)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("invalid_grant", LoginRequired, "sign-in-ended"),
        ("expired_token", LoginRequired, "sign-in-ended"),
        ("invalid_scope", ProviderRefused, "request-refused"),
        ("slow_down", TransientError, "server-unavailable"),
        ("server_error", TransientError, "server-unavailable"),
    ],
)
def test_token_error_determines_the_raised_error(
    double: SsoDouble,
    signed_in: SsoCredential,
    clock: ManualClock,
    renewed: Renew,
    *,
    error: str,
    kind: type[FreshkeyError],
    code: str,
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.token_error = error
    with raises_code(kind, code):
        renewed(signed_in)


def test_ended_session_requires_a_sign_in(double: SsoDouble, signed_in: SsoCredential, renewed: Renew) -> None:
    double.end_session()
    with raises_code(LoginRequired, "sign-in-ended"):
        renewed(signed_in)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, TransientError, "server-unavailable"),
        (500, TransientError, "server-unavailable"),
        (403, ProviderRefused, "bedrock-sso-role-refused"),
        (418, ProviderRefused, "request-refused"),
    ],
)
def test_portal_failure_does_not_use_up_the_refresh_token(
    double: SsoDouble, signed_in: SsoCredential, renewed: Renew, *, status: int, kind: type[FreshkeyError], code: str
) -> None:
    double.knobs.portal_status = [status]
    with raises_code(kind, code) as caught:
        renewed(signed_in)
    assert f"status {status}" in caught.value.message
    assert tokens(double) == 1


def test_lost_portal_response_is_a_temporary_failure(
    double: SsoDouble, signed_in: SsoCredential, renewed: Renew
) -> None:
    double.knobs.broken = {"/federation/credentials"}
    with raises_code(TransientError, "response-lost"):
        renewed(signed_in)


def test_lost_response_to_a_refresh_token_is_an_unknown_outcome(
    double: SsoDouble, signed_in: SsoCredential, clock: ManualClock, renewed: Renew
) -> None:
    clock.advance(8 * HOUR)
    double.knobs.broken = {"/token"}
    with raises_code(OutcomeUnknown, "response-lost"):
        renewed(signed_in)


def test_renewal_secret_is_the_refresh_token_only_once_it_will_be_sent(
    signed_in: SsoCredential, clock: ManualClock
) -> None:
    assert signed_in.renewal_secret is None
    clock.advance(8 * HOUR - 899)
    assert signed_in.renewal_secret == signed_in.session.refresh_token
