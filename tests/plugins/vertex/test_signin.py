"""A sign-in of freshkey's own: what is asked for, what is kept, how it is renewed and ended."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

from freshkey import Keeper
from freshkey._http.messages import form
from freshkey.errors import ConfigurationError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.model.credential import ApiKey
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.signin import renew, revoke, sign_in
from google_cloud import CLIENT_ID, CLIENT_SECRET, TARGET, GoogleCloud


MakeProfile = Callable[..., Profile]


@pytest.fixture
def make_profile(make_profile: MakeProfile) -> MakeProfile:
    """Make a profile with an OAuth client of its own."""
    return functools.partial(make_profile, client_id=CLIENT_ID)


def signed_in(profile: Profile, **more: Any) -> GoogleCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user, **more)


def test_a_person_signs_in(cloud: GoogleCloud, make_profile: MakeProfile, clock: ManualClock) -> None:
    opened: list[str] = []

    def browser(url: str) -> object:
        opened.append(url)
        return follow(url)

    with ScriptedUser(browser=browser) as user:
        credential = sign_in(make_profile(region="europe-west1"), user, clock=clock)
    asked = parse_qs(urlsplit(opened[0]).query)
    assert asked["client_id"] == [CLIENT_ID]
    assert asked["access_type"] == ["offline"]
    assert asked["prompt"] == ["consent"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == [
        "https://www.googleapis.com/auth/cloud-platform openid https://www.googleapis.com/auth/userinfo.email"
    ]
    assert asked["redirect_uri"][0].startswith("http://127.0.0.1:")
    assert credential.obtained == clock.now()
    assert (credential.kind, credential.project, credential.region) == ("user", "demo-project", "europe-west1")
    assert (credential.identity.email, credential.identity.account) == ("ada@example.com", "1066")
    assert credential.identity.organization_name == "example.com"
    assert credential.renewable
    assert credential.refresh_token is not None
    assert cloud.refresh_tokens[credential.refresh_token.reveal()] == "ada@example.com"
    assert cloud.tokens[credential.access_token.reveal()].whose == "ada@example.com"


def test_a_client_of_your_own_is_needed(make_profile: MakeProfile) -> None:
    with pytest.raises(ProviderRefused, match=r"none is set\. Write client_id = .* under \[profiles\.work\]"):
        sign_in(make_profile(client_id=None), NonInteractive("work"))


def test_a_project_is_needed_before_anybody_is_asked(make_profile: MakeProfile) -> None:
    with pytest.raises(ConfigurationError, match="no Google Cloud project"):
        sign_in(make_profile(project=None), NonInteractive("work"))


def test_without_a_refresh_token_the_person_is_told(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile(authorize_parameters={"access_type": "online"})
    with ScriptedUser(browser=follow) as user:
        credential = sign_in(profile, user)
    assert not credential.renewable
    with pytest.raises(LoginRequired, match=r"cannot be renewed: nothing came along.*freshkey login work"):
        renew(profile, credential)


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


def test_a_sign_in_acts_as_another(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    profile = make_profile(impersonate=TARGET, impersonate_lifetime=600.0)
    first = signed_in(profile)
    second = renew(profile, first)
    for one in (first, second):
        assert cloud.tokens[one.access_token.reveal()].whose == TARGET
        assert (one.kind, one.identity.email, one.source) == ("service account", TARGET, "oauth")
    assert second.refresh_token == first.refresh_token


def test_no_secret_shows(make_profile: MakeProfile) -> None:
    profile = make_profile()
    assert "canary" not in f"{signed_in(profile)!r} {profile!r}"
    assert form("https://example.com", {"a": "canary"}).body == b"a=canary"
    assert "canary" not in repr(form("https://example.com", {"a": "canary"}))


def test_it_is_kept_renewed_and_ended_through_the_command_line(
    cloud: GoogleCloud, keeper: Callable[..., Keeper]
) -> None:
    cloud.lifetime = 4
    one = keeper(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    with ScriptedUser(browser=follow) as user:
        first = one.login("work", interaction=user)
    for _ in range(200):
        newer = one.get("work")
        if newer != first:
            break
        time.sleep(0.05)
    assert newer != first
    printed = freshkey("token", "work")
    assert cloud.tokens[printed.stdout.strip()].whose == "ada@example.com"
    status = json.loads(freshkey("status", "--json").stdout)
    assert "ada@example.com" in json.dumps(status)
    assert freshkey("logout", "work").returncode == 0
    assert cloud.refresh_tokens == {}
    assert freshkey("token", "work").returncode == 3


def test_a_browser_signs_in_from_the_command_line_and_no_child_gets_what_renews_it(
    cloud: GoogleCloud, configure: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\nimport sys\nfrom freshkey_testing.browser import follow\nfollow(sys.argv[1])\n"
    )
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    signed_in = freshkey("login", "work")
    assert signed_in.returncode == 0, signed_in.stderr
    asked = freshkey("whoami", "work")
    assert (asked.returncode, "ada@example.com" in asked.stdout) == (0, True)
    exported = freshkey("export", "work")
    child = freshkey("exec", "work", "--", sys.executable, "-c", "import os; print(dict(os.environ))")
    explained = freshkey("explain", "work")
    (renewing,) = cloud.refresh_tokens
    (token,) = cloud.tokens
    assert token in exported.stdout
    assert token in child.stdout
    for done in (signed_in, asked, exported, child, explained):
        assert not [secret for secret in (renewing, CLIENT_SECRET) if secret in done.stdout + done.stderr]


def freshkey(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "freshkey", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_what_the_credential_is_bound_to_can_be_compared(make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    assert evolve(credential, client_id="another").binding != credential.binding
