"""A sign-in ends at the server, or it is said that it may live on."""

from __future__ import annotations

import pytest

from freshkey.errors import TransientError
from freshkey.model.profile import Profile
from freshkey_bedrock.renewal import revoke
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_testing import ManualClock
from sso_double import SsoDouble


DAY = 24 * 3600.0


def test_signing_out_ends_it_at_the_server(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    revoke(profile, signed_in, clock=clock)
    assert not double.honors(signed_in.session.access_token.reveal())
    revoke(profile, signed_in, clock=clock)
    assert double.count("/logout") == 2


def test_signing_out_late_renews_first_because_only_a_living_token_can(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    clock.advance(DAY)
    revoke(profile, signed_in, clock=clock)
    assert [path.partition(" ")[2] for path in double.asked[-2:]] == ["/token", "/logout"]
    double.end_session()
    revoke(profile, signed_in, clock=clock)


def test_signing_out_that_cannot_be_confirmed_says_so(
    double: SsoDouble, profile: Profile, signed_in: SsoCredential, clock: ManualClock
) -> None:
    double.knobs.portal_status = [500]
    with pytest.raises(TransientError):
        revoke(profile, signed_in, clock=clock)
