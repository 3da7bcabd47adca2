"""The settings of a profile: validation, parsing, and what a project file may set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from freshkey._config.provider_settings import fields, is_for_projects, structure, takes_command
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_vertex import adc
from freshkey_vertex.settings import MAX_IMPERSONATION, VertexSettings, sign_in_setup
from raises_code import raises_code


MakeProfile = Callable[..., Profile]


@pytest.mark.parametrize(
    ("wrong", "code", "fact"),
    [
        ({"token_url": "http://example.com"}, "invalid-url", "token_url: "),
        ({"iam_url": "iam"}, "invalid-url", "iam_url: "),
        ({"project": "Demo Project"}, "vertex-invalid-project", "project "),
        ({"project": ""}, "vertex-invalid-project", "project "),
        ({"quota_project": "a/b"}, "vertex-invalid-project", "quota_project "),
        ({"region": "Europe West"}, "vertex-invalid-region", "region "),
        ({"impersonate": "robot"}, "invalid-setting", "impersonate "),
        ({"impersonate": "a@b.com/../c"}, "invalid-setting", "impersonate "),
        ({"impersonate_delegates": ("robot",)}, "invalid-setting", "impersonate_delegates "),
        ({"impersonate_lifetime": 0.0}, "invalid-setting", "impersonate_lifetime must be between 0 and 43200 seconds"),
        ({"impersonate_lifetime": MAX_IMPERSONATION + 1}, "invalid-setting", "impersonate_lifetime must be between"),
        ({"credentials_file": Path("key.json")}, "invalid-setting", "credentials_file "),
    ],
)
def test_invalid_settings_are_refused_immediately(wrong: dict[str, Any], code: str, fact: str) -> None:
    with raises_code(ConfigurationError, code) as caught:
        VertexSettings(**wrong)
    assert fact in caught.value.message


def test_defaults_are_googles() -> None:
    settings = VertexSettings()
    assert settings.token_url == "https://oauth2.googleapis.com/token"
    assert settings.scopes == ("https://www.googleapis.com/auth/cloud-platform",)
    assert settings.client_id is None


@pytest.mark.parametrize("name", ["demo-project", "example.com:legacy-project", "123456789012", "a" * 63])
def test_project_ids_and_numbers_are_accepted(name: str) -> None:
    assert VertexSettings(project=name).project == name


def test_settings_are_parsed_from_a_table() -> None:
    table = {
        "client_secret": "canary",
        "auth_refresh": ["gcloud", "auth"],
        "credentials_file": str(Path("/key.json").absolute()),
    }
    settings = structure(VertexSettings, table)
    assert isinstance(settings, VertexSettings)
    assert settings.client_secret == Secret("canary")
    assert settings.auth_refresh is not None
    assert settings.auth_refresh.argv == ("gcloud", "auth")
    assert "canary" not in repr(settings)


def test_project_file_may_set_only_project_and_region() -> None:
    known = fields(VertexSettings)
    assert {name for name, one in known.items() if is_for_projects(one)} == {"project", "region"}
    assert {name for name, one in known.items() if takes_command(one)} == {"auth_refresh"}


def test_gcloud_is_suggested_only_where_the_profile_would_use_its_sign_in(make_profile: MakeProfile) -> None:
    profile = make_profile()
    for one, suggested in (
        (profile, True),
        (evolve(profile, source="oauth"), False),
        (evolve(profile, skip=(adc.GCLOUD_FILE,)), False),
    ):
        hint = str(sign_in_setup(one))
        assert "et client_id" in hint
        assert ("gcloud auth application-default login" in hint) == suggested
