"""Access tokens from the environment: used unchanged, and for an hour at most."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey import Keeper
from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from freshkey_vertex.env_token import GCLOUD_TOKEN, OAUTH_TOKEN, EnvironmentVariable
from freshkey_vertex.formats import GoogleCredential
from google_cloud import TARGET, GoogleCloud
from raises_code import raises_code


MakeProfile = Callable[..., Profile]
Take = Callable[..., GoogleCredential]
BOTH = pytest.mark.parametrize("variable", [GCLOUD_TOKEN, OAUTH_TOKEN], ids=lambda one: str(one.id))


@BOTH
def test_token_is_used_unchanged(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, variable: EnvironmentVariable
) -> None:
    monkeypatch.setenv(variable.name, "ya29.canary-of-the-environment\n")
    profile = make_profile(region="global")
    seen = variable.detect(profile)
    assert seen is not None
    assert (seen.origin, seen.last_four) == (f"environment variable {variable.name}", "ment")
    credential = take(profile, variable.id)
    assert credential.headers() == {"Authorization": "Bearer ya29.canary-of-the-environment"}
    assert (credential.lifetime, credential.kind, credential.region) == (3600.0, "access token", "global")
    assert not credential.renewable


@BOTH
def test_empty_variable_counts_as_unset(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, variable: EnvironmentVariable
) -> None:
    monkeypatch.setenv(variable.name, "")
    assert variable.detect(make_profile()) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        take(make_profile(), variable.id)
    assert variable.name in str(caught.value)


def test_reading_a_token_again_does_not_extend_its_lifetime(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-1")
    first = take(make_profile(clock=clock), OAUTH_TOKEN.id)
    clock.advance(3599)
    again = take(make_profile(clock=clock), OAUTH_TOKEN.id)
    assert (again.obtained, again.expired()) == (first.obtained, False)
    clock.advance(1)
    assert again.expired()
    with raises_code(LoginRequired, "vertex-access-token-expired") as caught:
        take(make_profile(clock=clock), OAUTH_TOKEN.id)
    assert "canary" not in str(caught.value)
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-2")
    assert not take(make_profile(clock=clock), OAUTH_TOKEN.id).expired()


def test_gcloud_token_comes_first(keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, "ya29.canary-1")
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-2")
    credential = keeper().get("work")
    assert (credential.source, credential.token and credential.token.reveal()) == ("gcloud-token", "ya29.canary-1")


def test_token_that_cannot_be_sent_in_a_header_is_refused(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, "canary with spaces")
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        take(make_profile(), GCLOUD_TOKEN.id)
    assert "CLOUDSDK_AUTH_ACCESS_TOKEN" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_token_can_impersonate_a_service_account(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, cloud.issue("ada@example.com"))
    profile = make_profile(impersonate=TARGET)
    with raises_code(ProviderRefused, "vertex-impersonation-refused") as caught:
        take(profile, GCLOUD_TOKEN.id)
    assert "CLOUDSDK_AUTH_ACCESS_TOKEN" in str(caught.value)
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    credential = take(profile, GCLOUD_TOKEN.id)
    assert cloud.tokens[credential.access_token.reveal()].whose == TARGET
    assert credential.kind == "service account"
