"""A sign-in of freshkey's own is renewed and ended, and its tokens go where they came from only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.model.credential import ApiKey
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.renewal import renew
from freshkey_vertex.signin import sign_in
from freshkey_vertex.signout import revoke
from google_cloud import CLIENT_ID, CLIENT_SECRET, GoogleCloud


MakeProfile = Callable[..., Profile]


@pytest.fixture
def make_profile(make_profile: MakeProfile) -> MakeProfile:
    """Make a profile with an OAuth client of its own."""
    return functools.partial(make_profile, client_id=CLIENT_ID)


def signed_in(profile: Profile, **more: Any) -> GoogleCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user, **more)


def test_a_renewal_keeps_the_refresh_token_and_the_identity(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    second = renew(profile, first)
    assert second.access_token != first.access_token
    assert second.refresh_token == first.refresh_token
    assert (second.identity, second.source, second.binding) == (first.identity, "oauth", first.binding)
    sent = next(one for one in cloud.seen if one.form.get("grant_type") == "refresh_token")
    assert sent.form["client_secret"] == CLIENT_SECRET


def test_a_renewal_follows_the_settings(make_profile: MakeProfile) -> None:
    first = signed_in(make_profile())
    second = renew(make_profile(project=None, quota_project="payer"), first)
    assert (second.project, second.quota_project) == ("demo-project", "payer")


@pytest.mark.parametrize("subtype", [None, "invalid_rapt", "rapt_required"])
def test_a_sign_in_that_has_ended_needs_a_person(
    cloud: GoogleCloud, make_profile: MakeProfile, subtype: str | None
) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(400, {"error": "invalid_grant", "error_subtype": subtype})]
    with pytest.raises(LoginRequired, match="invalid_grant"):
        renew(profile, first)


def test_a_token_that_is_no_bearer_token_is_not_used(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(200, {"access_token": "canary", "token_type": "DPoP", "expires_in": 3600})]
    with pytest.raises(ProtocolError, match="a token of type DPoP; only bearer tokens can be used"):
        renew(profile, first)


def test_an_end_that_is_not_told_is_an_hour_away(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(200, {"access_token": "ya29.x", "refresh_token": "1//newer"})]
    second = renew(profile, first)
    assert (second.lifetime, second.refresh_token) == (3600.0, Secret("1//newer"))


def test_a_server_that_is_busy_is_asked_again_later(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(503, {})]
    with pytest.raises(TransientError):
        renew(profile, first)


@pytest.mark.parametrize("other", [{"client_id": "another"}, {"token_url": "https://example.com/token"}])
def test_a_refresh_token_goes_where_it_came_from_only(
    cloud: GoogleCloud, make_profile: MakeProfile, other: dict[str, str]
) -> None:
    first = signed_in(make_profile())
    before = len(cloud.seen)
    for act in (renew, revoke):
        with pytest.raises(LoginRequired, match="belongs to another client or server"):
            act(make_profile(**other), first)
    assert len(cloud.seen) == before


def test_a_foreign_credential_is_not_renewed(make_profile: MakeProfile, clock: ManualClock) -> None:
    key = ApiKey(obtained=clock.now(), key=Secret("canary"))
    with pytest.raises(LoginRequired, match="cannot be renewed"):
        renew(make_profile(), key)
    with pytest.raises(ProviderRefused, match="only a sign-in"):
        revoke(make_profile(), key)


def test_a_sign_in_is_ended_at_google(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    revoke(profile, credential)
    assert cloud.refresh_tokens == {}
    with pytest.raises(LoginRequired):
        renew(profile, credential)
    revoke(profile, credential)
    assert [dict(one.form).keys() for one in cloud.seen if one.path == "/revoke"] == [{"token"}] * 2


def test_a_sign_out_that_google_cannot_take_now(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    cloud.failures["/revoke"] = [(503, {})]
    with pytest.raises(TransientError):
        revoke(profile, credential)
