"""Inspection: Google accepts or refuses a token, is unreachable, or cannot be asked about it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from attrs import evolve

from freshkey.clock import SYSTEM
from freshkey.model.credential import ApiKey, Credential
from freshkey.model.description import Validity
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.inspection import inspect
from google_cloud import ROBOT, GoogleCloud


MakeProfile = Callable[..., Profile]


@pytest.fixture
def credential(cloud: GoogleCloud) -> GoogleCredential:
    return GoogleCredential(
        obtained=SYSTEM.now(),
        lifetime=3600.0,
        access_token=Secret(cloud.issue(ROBOT)),
        kind="service account",
        project="demo-project",
        identity=Identity(display_name="demo-project", extra={"project": "demo-project"}),
    )


def test_valid_token(cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential) -> None:
    found = inspect(make_profile(), credential)
    assert found.validity is Validity.VALID
    assert found.identity == Identity(email=ROBOT, extra={"project": "demo-project"})
    assert "canary" not in cloud.seen[0].path


def test_revoked_token(cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential) -> None:
    cloud.end_all()
    found = inspect(make_profile(), credential)
    assert (found.validity, found.identity) == (Validity.REFUSED, credential.identity)


def test_expired_token(cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential) -> None:
    found = inspect(make_profile(), evolve(credential, lifetime=0.0))
    assert found.validity is Validity.EXPIRED
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", found.detail)
    assert cloud.seen == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_temporarily_unavailable_endpoint(
    cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential, status: int
) -> None:
    cloud.failures["/tokeninfo"] = [(status, {})]
    assert inspect(make_profile(), credential).validity is Validity.UNREACHABLE


def test_unreachable_endpoint(make_profile: MakeProfile, credential: GoogleCredential) -> None:
    with GoogleCloud() as gone:
        url = gone.at("/tokeninfo")
    found = inspect(make_profile(tokeninfo_url=url), credential)
    assert found.validity is Validity.UNREACHABLE
    assert found.identity == credential.identity


def test_unexpected_responses(cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential) -> None:
    cloud.failures["/tokeninfo"] = [(404, {})]
    found = inspect(make_profile(), credential)
    assert (found.validity, "404" in found.detail) == (Validity.UNCHECKABLE, True)
    cloud.failures["/tokeninfo"] = [(200, {"text": "no JSON"})]
    assert inspect(make_profile(), credential).validity is Validity.UNREACHABLE


@pytest.mark.parametrize("kind", ["federated identity"])
def test_token_that_google_provides_no_information_about(
    cloud: GoogleCloud, make_profile: MakeProfile, credential: GoogleCredential, kind: str
) -> None:
    found = inspect(make_profile(), evolve(credential, kind=kind))  # type: ignore[arg-type]  # one of them
    assert found.validity is Validity.UNCHECKABLE
    assert cloud.seen == []


def test_token_of_another_server_is_not_sent_to_google(make_profile: MakeProfile, credential: GoogleCredential) -> None:
    profile = make_profile(tokeninfo_url="https://oauth2.googleapis.com/tokeninfo")
    assert inspect(profile, credential).validity is Validity.UNCHECKABLE


def test_credential_of_another_provider(make_profile: MakeProfile) -> None:
    key: Credential = ApiKey(obtained=SYSTEM.now(), key=Secret("canary"))
    assert inspect(make_profile(), key).validity is Validity.UNCHECKABLE
