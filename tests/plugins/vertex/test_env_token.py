"""Access tokens from the environment: as they are, and for an hour at the most."""

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


MakeProfile = Callable[..., Profile]
Take = Callable[..., GoogleCredential]
BOTH = pytest.mark.parametrize("variable", [GCLOUD_TOKEN, OAUTH_TOKEN], ids=lambda one: str(one.id))


@BOTH
def test_a_token_is_used_as_it_is(
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
def test_an_empty_variable_is_none(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, variable: EnvironmentVariable
) -> None:
    monkeypatch.setenv(variable.name, "")
    assert variable.detect(make_profile()) is None
    with pytest.raises(LoginRequired, match=f"{variable.name} is not set"):
        take(make_profile(), variable.id)


def test_a_token_grows_no_younger(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-1")
    first = take(make_profile(), OAUTH_TOKEN.id, clock=clock)
    clock.advance(3599)
    again = take(make_profile(), OAUTH_TOKEN.id, clock=clock)
    assert (again.obtained, again.expired()) == (first.obtained, False)
    clock.advance(1)
    assert again.expired()
    with pytest.raises(LoginRequired, match="has been used for an hour") as caught:
        take(make_profile(), OAUTH_TOKEN.id, clock=clock)
    assert "canary" not in str(caught.value)
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-2")
    assert not take(make_profile(), OAUTH_TOKEN.id, clock=clock).expired()


def test_the_token_of_gcloud_comes_first(keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, "ya29.canary-1")
    monkeypatch.setenv(OAUTH_TOKEN.name, "ya29.canary-2")
    credential = keeper().get("work")
    assert (credential.source, credential.token and credential.token.reveal()) == ("gcloud-token", "ya29.canary-1")


def test_what_no_header_may_carry_is_no_token(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, "canary with spaces")
    with pytest.raises(ConfigurationError, match="CLOUDSDK_AUTH_ACCESS_TOKEN holds no usable secret") as caught:
        take(make_profile(), GCLOUD_TOKEN.id)
    assert "canary" not in str(caught.value)


def test_a_token_can_act_as_another(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GCLOUD_TOKEN.name, cloud.issue("ada@example.com"))
    profile = make_profile(impersonate=TARGET)
    with pytest.raises(ProviderRefused, match=r"the access token in CLOUDSDK_AUTH_ACCESS_TOKEN may not act as target"):
        take(profile, GCLOUD_TOKEN.id)
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    credential = take(profile, GCLOUD_TOKEN.id)
    assert cloud.tokens[credential.access_token.reveal()].whose == TARGET
    assert credential.kind == "service account"
