"""The credential: its headers, and its variables for a child process."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey.clock import SYSTEM
from freshkey.errors import CredentialExpired
from freshkey.secret import Secret
from freshkey_vertex.formats import GoogleCredential


TOKEN = GoogleCredential(
    obtained=SYSTEM.now(), lifetime=3600.0, access_token=Secret("ya29.canary"), kind="user", project="demo-project"
)


def test_headers_include_the_quota_project_if_there_is_one() -> None:
    assert TOKEN.headers("POST", "https://example.com/") == {"Authorization": "Bearer ya29.canary"}
    paid = evolve(TOKEN, quota_project="payer")
    assert paid.headers() == {"Authorization": "Bearer ya29.canary", "x-goog-user-project": "payer"}


def test_environment_has_the_variables_that_tools_read() -> None:
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


def test_expired_credential_has_no_environment() -> None:
    with pytest.raises(CredentialExpired):
        evolve(TOKEN, lifetime=0.0).environment()
