"""Signing out ends the session at the server, or reports that it may still be active."""

from __future__ import annotations

from freshkey.errors import TransientError
from freshkey.model.profile import Profile
from freshkey_bedrock.renewal import revoke
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_testing import ManualClock
from raises_code import raises_code
from sso_double import SsoDouble


DAY = 24 * 3600.0


def test_signing_out_ends_the_session_at_the_server(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    revoke(profile, signed_in)
    assert not double.honors(signed_in.session.access_token.reveal())
    revoke(profile, signed_in)
    assert double.count("/logout") == 2


def test_signing_out_with_an_expired_token_renews_it_first(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    clock.advance(DAY)
    revoke(profile, signed_in)
    assert [path.partition(" ")[2] for path in double.asked[-2:]] == ["/token", "/logout"]
    double.end_session()
    revoke(profile, signed_in)


def test_unconfirmed_sign_out_raises(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    double.knobs.portal_status = [500]
    with raises_code(TransientError, "server-unavailable"):
        revoke(profile, signed_in)
