"""Project, region and quota project: from settings, then variables, then the credential."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey_vertex.project import resolve_project
from raises_code import raises_code


MakeProfile = Callable[..., Profile]


def test_settings_come_before_variables_before_the_credential(make_profile: MakeProfile) -> None:
    environ = {
        "GOOGLE_CLOUD_PROJECT": "google",
        "GCLOUD_PROJECT": "gcloud",
        "ANTHROPIC_VERTEX_PROJECT_ID": "anthropic",
        "GOOGLE_CLOUD_QUOTA_PROJECT": "quota",
        "CLOUD_ML_REGION": "us-east5",
    }
    chosen = make_profile(project="mine", quota_project="payer", region="global")
    found = resolve_project(chosen, environ, project="own", quota_project="own-quota")
    assert (found.project, found.quota_project, found.region) == ("mine", "payer", "global")
    plain = make_profile(project=None)
    seen = []
    for name in [*environ][:3]:
        seen.append(resolve_project(plain, environ, project="own").project)
        environ[name] = ""
    assert seen == ["google", "gcloud", "anthropic"]
    found = resolve_project(plain, environ, project="own", quota_project="own-quota")
    assert (found.project, found.quota_project, found.region) == ("own", "quota", "us-east5")
    found = resolve_project(plain, {}, project="own", quota_project="own-quota")
    assert (found.quota_project, found.region) == ("own-quota", None)


@pytest.mark.parametrize(
    ("environ", "own", "code", "fact"),
    [
        ({"GOOGLE_CLOUD_PROJECT": "a\nb"}, None, "vertex-invalid-project", "GOOGLE_CLOUD_PROJECT"),
        ({"CLOUD_ML_REGION": "a/b"}, "own", "vertex-invalid-region", "CLOUD_ML_REGION"),
        ({}, "a b", "vertex-invalid-project", "project_id of the credential"),
        ({}, 3, "vertex-no-project", "[profiles.work]"),
    ],
)
def test_invalid_projects_and_regions(
    make_profile: MakeProfile, environ: dict[str, str], own: object, code: str, fact: str
) -> None:
    with raises_code(ConfigurationError, code) as caught:
        resolve_project(make_profile(project=None), environ, project=own)
    assert fact in str(caught.value)
