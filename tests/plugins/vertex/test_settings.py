"""The settings of a profile, the places that come out of them, and what the provider says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from freshkey._config.provider_settings import fields, is_for_projects, structure, takes_command
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, CredentialExpired
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_vertex.description import description
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import from_claims, from_id_token
from freshkey_vertex.places import places
from freshkey_vertex.settings import MAX_IMPERSONATION, VertexSettings


MakeProfile = Callable[..., Profile]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token_url": "http://example.com"}, "token_url: an address that secrets would be sent to does not use https"),
        ({"iam_url": "iam"}, "iam_url: "),
        ({"project": "Demo Project"}, "project holds no id of a Google Cloud project"),
        ({"project": ""}, "project holds no id"),
        ({"quota_project": "a/b"}, "quota_project holds no id"),
        ({"region": "Europe West"}, "region holds no name of a region"),
        ({"impersonate": "robot"}, "hold emails of service accounts"),
        ({"impersonate": "a@b.com/../c"}, "hold emails of service accounts"),
        ({"impersonate_delegates": ("robot",)}, "hold emails of service accounts"),
        ({"impersonate_lifetime": 0.0}, "impersonate_lifetime must be between 0 and 43200 seconds"),
        ({"impersonate_lifetime": MAX_IMPERSONATION + 1}, "impersonate_lifetime must be between"),
        ({"credentials_file": Path("key.json")}, "credentials_file: it must be an absolute path"),
    ],
)
def test_what_cannot_work_is_refused_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        VertexSettings(**wrong)


def test_defaults_are_google_s() -> None:
    settings = VertexSettings()
    assert settings.token_url == "https://oauth2.googleapis.com/token"
    assert settings.scopes == ("https://www.googleapis.com/auth/cloud-platform",)
    assert settings.client_id is None


@pytest.mark.parametrize("name", ["demo-project", "example.com:legacy-project", "123456789012", "a" * 63])
def test_ids_and_numbers_of_projects(name: str) -> None:
    assert VertexSettings(project=name).project == name


def test_what_is_written_in_a_file_is_read() -> None:
    table = {"client_secret": "canary", "auth_refresh": ["gcloud", "auth"], "credentials_file": "/key.json"}
    settings = structure(VertexSettings, table)
    assert isinstance(settings, VertexSettings)
    assert settings.client_secret == Secret("canary")
    assert settings.auth_refresh is not None
    assert settings.auth_refresh.argv == ("gcloud", "auth")
    assert "canary" not in repr(settings)


def test_a_project_s_file_may_choose_places_and_nothing_that_leads_elsewhere() -> None:
    known = fields(VertexSettings)
    assert {name for name, one in known.items() if is_for_projects(one)} == {"project", "region"}
    assert {name for name, one in known.items() if takes_command(one)} == {"auth_refresh"}


# --- places -----------------------------------------------------------------------------------------------------------


def test_settings_come_before_variables_and_those_before_the_credential(make_profile: MakeProfile) -> None:
    environ = {
        "GOOGLE_CLOUD_PROJECT": "google",
        "GCLOUD_PROJECT": "gcloud",
        "ANTHROPIC_VERTEX_PROJECT_ID": "anthropic",
        "GOOGLE_CLOUD_QUOTA_PROJECT": "quota",
        "CLOUD_ML_REGION": "us-east5",
    }
    chosen = make_profile(project="mine", quota_project="payer", region="global")
    found = places(chosen, environ, project="own", quota_project="own-quota")
    assert (found.project, found.quota_project, found.region) == ("mine", "payer", "global")
    plain = make_profile(project=None)
    seen = []
    for name in [*environ][:3]:
        seen.append(places(plain, environ, project="own").project)
        environ[name] = ""
    assert seen == ["google", "gcloud", "anthropic"]
    found = places(plain, environ, project="own", quota_project="own-quota")
    assert (found.project, found.quota_project, found.region) == ("own", "quota", "us-east5")
    found = places(plain, {}, project="own", quota_project="own-quota")
    assert (found.quota_project, found.region) == ("own-quota", None)


@pytest.mark.parametrize(
    ("environ", "own", "said"),
    [
        ({"GOOGLE_CLOUD_PROJECT": "a\nb"}, None, "GOOGLE_CLOUD_PROJECT holds no id"),
        ({"CLOUD_ML_REGION": "a/b"}, "own", "CLOUD_ML_REGION holds no name"),
        ({}, "a b", "project_id of the credential holds no id"),
        ({}, 3, "no Google Cloud project is named anywhere"),
    ],
)
def test_places_that_are_none(make_profile: MakeProfile, environ: dict[str, str], own: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        places(make_profile(project=None), environ, project=own)


# --- the credential ---------------------------------------------------------------------------------------------------

TOKEN = GoogleCredential(
    obtained=SYSTEM.now(), lifetime=3600.0, access_token=Secret("ya29.canary"), kind="user", project="demo-project"
)


def test_headers_name_the_payer_where_there_is_one() -> None:
    assert TOKEN.headers("POST", "https://example.com/") == {"Authorization": "Bearer ya29.canary"}
    paid = evolve(TOKEN, quota_project="payer")
    assert paid.headers() == {"Authorization": "Bearer ya29.canary", "x-goog-user-project": "payer"}


def test_a_child_gets_what_its_tools_read() -> None:
    own = {
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "ya29.canary",
        "GOOGLE_OAUTH_ACCESS_TOKEN": "ya29.canary",
        "CLOUDSDK_CORE_PROJECT": "demo-project",
        "GOOGLE_CLOUD_PROJECT": "demo-project",
        "ANTHROPIC_VERTEX_PROJECT_ID": "demo-project",
    }
    assert TOKEN.environment() == own
    placed = evolve(TOKEN, region="global", quota_project="payer").environment()
    assert placed == {
        **own,
        "CLOUD_ML_REGION": "global",
        "GOOGLE_CLOUD_QUOTA_PROJECT": "payer",
        "CLOUDSDK_BILLING_QUOTA_PROJECT": "payer",
    }


def test_what_has_ended_authorises_nothing() -> None:
    with pytest.raises(CredentialExpired):
        evolve(TOKEN, lifetime=0.0).environment()


# --- what the provider says of itself ---------------------------------------------------------------------------------


def test_every_variable_that_is_handed_down_is_taken_away_first() -> None:
    assert set(evolve(TOKEN, region="a", quota_project="b").environment()) <= set(description(None).variables)


def test_hosts_and_binding_follow_the_settings(make_profile: MakeProfile) -> None:
    assert (description(None).hosts, description(None).binding) == ((), {})
    profile = Profile(name="work", provider="vertex", settings=VertexSettings(client_id="c"), state_dir=Path("/"))
    described = description(profile)
    assert described.hosts == ("iamcredentials.googleapis.com", "oauth2.googleapis.com", "sts.googleapis.com")
    assert described.binding == {"token_endpoint": "https://oauth2.googleapis.com/token", "client_id": "c"}
    assert "127.0.0.1" in description(make_profile()).hosts


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, 3, "", "a.b", "a.b.c", "e30.W10.x", "e30.!!!.x", "e30.eyJzdWIiOiA.x"])
def test_an_id_token_that_cannot_be_read_tells_nothing(token: object) -> None:
    known = Identity(email="ada@example.com", project="p")
    assert from_id_token({"id_token": token}, known) == known


def test_claims_that_are_no_text_are_left_out() -> None:
    known = Identity(project="p")
    assert from_claims({"sub": 3, "email": "a\nb", "hd": "x" * 300}, known) == known
    assert from_claims({"email": "ada@example.com"}, known) == Identity(email="ada@example.com", project="p")
