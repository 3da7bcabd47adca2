"""The provider fulfills the contract for all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve

import freshkey_vertex
from freshkey.model.profile import Profile
from freshkey_testing import Lender, ProviderContract, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex.adc import GCLOUD_FILE
from freshkey_vertex.formats import GoogleCredential
from google_cloud import CLIENT_ID, GoogleCloud


class TestVertex(ProviderContract):
    @pytest.fixture
    def provider(self) -> object:
        return freshkey_vertex

    @pytest.fixture
    def profile(
        self,
        cloud: GoogleCloud,
        make_profile: Callable[..., Profile],
        write_file: Callable[..., Path],
        machine: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Profile:
        monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "ya29.a-made-up-token-of-gcloud")
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.a-made-up-token-of-terraform")
        named = write_file(cloud.authorized_user(), "named.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(named))
        write_file(cloud.authorized_user(), "gcloud/application_default_credentials.json")
        own = make_profile(client_id=CLIENT_ID, credentials_file=write_file(cloud.service_account()))
        # In bare mode all explicitly provided sources are used, although there is a stored sign-in.
        return evolve(own, bare=True)

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        return {"oauth": ScriptedUser(browser=follow)}

    @pytest.fixture
    def lenders(self, cloud: GoogleCloud, write_file: Callable[..., Path]) -> Mapping[str, Lender]:
        name = "gcloud/application_default_credentials.json"
        path = write_file(cloud.authorized_user(), name)
        return {GCLOUD_FILE: Lender(renew=lambda: write_file(cloud.authorized_user(), name), remove=path.unlink)}

    @pytest.fixture
    def signed_in(self, signed_in_now: GoogleCredential) -> GoogleCredential:
        return signed_in_now

    @pytest.fixture
    def revocable(self, signed_in_now: GoogleCredential) -> GoogleCredential:
        return signed_in_now
