"""The settings of a profile: what is refused, what is read, and what a project may choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freshkey._config.provider_settings import fields, is_for_projects, structure, takes_command
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey.secret import Secret
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
