"""Renewing and revoking a sign-in; its tokens are sent only to the server that issued them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from freshkey.errors import LoginRequired, ProviderRefused, TransientError
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
from raises_code import raises_code


MakeProfile = Callable[..., Profile]


@pytest.fixture
def make_profile(make_profile: MakeProfile) -> MakeProfile:
    """Return a function that creates a profile with its own OAuth client."""
    return functools.partial(make_profile, client_id=CLIENT_ID)


def signed_in(profile: Profile, **more: Any) -> GoogleCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user, **more)


def test_renewal_keeps_the_refresh_token_and_the_identity(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    second = renew(profile, first)
    assert second.access_token != first.access_token
    assert second.refresh_token == first.refresh_token
    assert (second.identity, second.source, second.binding) == (first.identity, "oauth", first.binding)
    sent = next(one for one in cloud.seen if one.form.get("grant_type") == "refresh_token")
    assert sent.form["client_secret"] == CLIENT_SECRET


def test_renewal_uses_the_current_settings(make_profile: MakeProfile) -> None:
    first = signed_in(make_profile())
    second = renew(make_profile(project=None, quota_project="payer"), first)
    assert (second.project, second.quota_project) == ("demo-project", "payer")


@pytest.mark.parametrize("subtype", [None, "invalid_rapt", "rapt_required"])
def test_ended_sign_in_requires_the_user(cloud: GoogleCloud, make_profile: MakeProfile, subtype: str | None) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(400, {"error": "invalid_grant", "error_subtype": subtype})]
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        renew(profile, first)
    assert "invalid_grant" in str(caught.value)


@pytest.mark.parametrize("settings", [{}, {"impersonate": "bot@demo-project.iam.gserviceaccount.com"}])
def test_token_that_is_not_a_bearer_token_is_stored_and_never_served(
    cloud: GoogleCloud, make_profile: MakeProfile, settings: dict[str, str]
) -> None:
    first = signed_in(make_profile())
    answer = {"access_token": "canary", "refresh_token": "1//newer", "token_type": "DPoP", "expires_in": 3600}
    cloud.failures["/token"] = [(200, answer)]
    second = renew(make_profile(**settings), first)
    assert (second.lifetime, second.refresh_token) == (0.0, Secret("1//newer"))
    assert second.unusable is not None
    assert second.unusable.code == "unsupported-token-type"
    assert "DPoP" in second.unusable.message


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, {}), (400, "<html>"), (401, {})])
def test_answer_of_something_in_between_is_temporary(
    cloud: GoogleCloud, make_profile: MakeProfile, status: int, body: object
) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(status, body)]
    with raises_code(TransientError, "answered-in-between") as caught:
        renew(profile, first)
    assert caught.value.local


def test_end_of_the_sign_in_is_read(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(200, {"access_token": "ya29.x", "refresh_token_expires_in": 604800})]
    assert (first.renewable_for, renew(profile, first).renewable_for) == (None, 604800.0)


def test_missing_lifetime_is_an_hour(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(200, {"access_token": "ya29.x", "refresh_token": "1//newer"})]
    second = renew(profile, first)
    assert (second.lifetime, second.refresh_token) == (3600.0, Secret("1//newer"))


def test_busy_server_is_a_temporary_failure(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    first = signed_in(profile)
    cloud.failures["/token"] = [(503, {})]
    with raises_code(TransientError, "server-unavailable"):
        renew(profile, first)


@pytest.mark.parametrize("other", [{"client_id": "another"}, {"token_url": "https://example.com/token"}])
def test_refresh_token_is_sent_only_to_its_own_server(
    cloud: GoogleCloud, make_profile: MakeProfile, other: dict[str, str]
) -> None:
    first = signed_in(make_profile())
    before = len(cloud.seen)
    for act in (renew, revoke):
        with raises_code(LoginRequired, "sign-in-settings-changed"):
            act(make_profile(**other), first)
    assert len(cloud.seen) == before


def test_credential_of_another_provider_is_not_renewed(make_profile: MakeProfile, clock: ManualClock) -> None:
    key = ApiKey(obtained=clock.now(), key=Secret("canary"))
    with raises_code(LoginRequired, "not-renewable"):
        renew(make_profile(), key)
    with raises_code(ProviderRefused, "revocation-not-supported"):
        revoke(make_profile(), key)


def test_sign_in_is_revoked_at_google(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    revoke(profile, credential)
    assert cloud.refresh_tokens == {}
    with pytest.raises(LoginRequired):
        renew(profile, credential)
    revoke(profile, credential)
    assert [dict(one.form).keys() for one in cloud.seen if one.path == "/revoke"] == [{"token"}] * 2


def test_sign_out_while_google_is_unavailable(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    cloud.failures["/revoke"] = [(503, {})]
    with pytest.raises(TransientError):
        revoke(profile, credential)
