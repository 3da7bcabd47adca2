"""Signing in: the requests, the stored credential, and the command line."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

from free_port import free_port
from freshkey import Keeper
from freshkey._http.messages import form
from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.renewal import renew
from freshkey_vertex.signin import sign_in
from google_cloud import CLIENT_ID, CLIENT_SECRET, TARGET, GoogleCloud
from python_program import command_line, written_program
from raises_code import raises_code
from waiting import until


MakeProfile = Callable[..., Profile]


@pytest.fixture
def make_profile(make_profile: MakeProfile) -> MakeProfile:
    """Return a function that creates a profile with its own OAuth client."""
    return functools.partial(make_profile, client_id=CLIENT_ID)


def signed_in(profile: Profile, **more: Any) -> GoogleCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user, **more)


def test_user_signs_in(cloud: GoogleCloud, make_profile: MakeProfile, clock: ManualClock) -> None:
    opened: list[str] = []

    def browser(url: str) -> object:
        opened.append(url)
        return follow(url)

    with ScriptedUser(browser=browser) as user:
        credential = sign_in(make_profile(region="europe-west1", clock=clock), user)
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
    assert credential.identity.extra["organization_name"] == "example.com"
    assert credential.renewable
    assert credential.refresh_token is not None
    assert cloud.refresh_tokens[credential.refresh_token.reveal()] == "ada@example.com"
    assert cloud.tokens[credential.access_token.reveal()].whose == "ada@example.com"


def test_client_id_is_required(make_profile: MakeProfile) -> None:
    with raises_code(ProviderRefused, "client-id-missing") as caught:
        sign_in(make_profile(client_id=None), NonInteractive("work"))
    assert "[profiles.work]" in str(caught.value.hint)


def test_missing_project_is_reported_before_the_user_is_asked(make_profile: MakeProfile) -> None:
    with raises_code(ConfigurationError, "vertex-no-project"):
        sign_in(make_profile(project=None), NonInteractive("work"))


def test_missing_refresh_token_is_reported_to_the_user(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    profile = make_profile(authorize_parameters={"access_type": "online"})
    with ScriptedUser(browser=follow) as user:
        credential = sign_in(profile, user)
    assert not credential.renewable
    with raises_code(LoginRequired, "not-renewable") as caught:
        renew(profile, credential)
    assert "freshkey login work" in str(caught.value.hint)


def test_sign_in_can_impersonate_a_service_account(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    profile = make_profile(impersonate=TARGET, impersonate_lifetime=600.0)
    first = signed_in(profile)
    second = renew(profile, first)
    for one in (first, second):
        assert cloud.tokens[one.access_token.reveal()].whose == TARGET
        assert (one.kind, one.identity.email, one.source) == ("service account", TARGET, "oauth")
    assert second.refresh_token == first.refresh_token


def test_the_redirect_port_of_the_profile_is_used(make_profile: MakeProfile) -> None:
    port = free_port()
    with ScriptedUser(browser=follow) as user:
        sign_in(evolve(make_profile(), redirect_port=port), user)
    assert parse_qs(urlsplit(user.opened[0]).query)["redirect_uri"] == [f"http://127.0.0.1:{port}/"]


def test_no_secret_is_in_a_repr(make_profile: MakeProfile) -> None:
    profile = make_profile()
    assert "canary" not in f"{signed_in(profile)!r} {profile!r}"
    assert form("https://example.com", {"a": "canary"}).body == b"a=canary"
    assert "canary" not in repr(form("https://example.com", {"a": "canary"}))


def test_sign_in_is_stored_renewed_and_revoked_through_the_command_line(
    cloud: GoogleCloud, keeper: Callable[..., Keeper]
) -> None:
    cloud.lifetime = 4
    one = keeper(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    with ScriptedUser(browser=follow) as user:
        first = one.login("work", interaction=user)
    until(lambda: one.get("work") != first, "an early renewal")
    printed = freshkey("token", "work")
    assert cloud.tokens[printed.stdout.strip()].whose == "ada@example.com"
    status = json.loads(freshkey("status", "--json").stdout)
    assert "ada@example.com" in json.dumps(status)
    assert freshkey("logout", "work").returncode == 0
    assert cloud.refresh_tokens == {}
    assert freshkey("token", "work").returncode == 3


def test_command_line_signs_in_with_a_browser_and_keeps_the_refresh_token_to_itself(
    cloud: GoogleCloud, configure: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    script = "import sys\nfrom freshkey_testing.browser import follow\nfollow(sys.argv[1])"
    monkeypatch.setenv("BROWSER", command_line(written_program(tmp_path / "browser", script)))
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


def test_binding_depends_on_the_client_id(make_profile: MakeProfile) -> None:
    profile = make_profile()
    credential = signed_in(profile)
    assert evolve(credential, client_id="another").binding != credential.binding
