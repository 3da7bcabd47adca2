"""The provider fulfills the contract for all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import freshkey_oidc
from freshkey.model.profile import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import Lender, ProviderContract, ScriptedUser
from scripted_issuer import ScriptedIssuer


class TestOidc(ProviderContract):
    """With a profile in which every source can be used, but for the descriptor, which is read once per process."""

    @pytest.fixture
    def provider(self) -> object:
        return freshkey_oidc

    @pytest.fixture
    def identity_token(self, tmp_path: Path) -> Path:
        file = tmp_path / "identity-token"
        file.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2ln")
        return file

    @pytest.fixture
    def profile(
        self, make_profile: Callable[..., Profile], identity_token: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Profile:
        monkeypatch.setenv("APP_TOKEN", "a-made-up-token-that-was-handed-in")
        monkeypatch.setenv("APP_CLIENT_SECRET", "a-made-up-client-secret")
        return make_profile(
            token_variable="APP_TOKEN",
            identity_token_file=identity_token,
            client_secret_variable="APP_CLIENT_SECRET",
        )

    @pytest.fixture
    def users(self, issuer: ScriptedIssuer) -> Mapping[str, ScriptedUser]:
        return {"sign-in": issuer.user()}

    @pytest.fixture
    def lenders(self, identity_token: Path) -> Mapping[str, Lender]:
        def renew() -> None:
            identity_token.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.bmV3")

        return {"identity-token": Lender(renew=renew, remove=identity_token.unlink)}

    @pytest.fixture
    def signed_in(self, profile: Profile, issuer: ScriptedIssuer) -> OidcToken:
        with issuer.user() as user:
            found = freshkey_oidc.acquire(profile, SIGN_IN, user)
        assert isinstance(found, OidcToken)
        return found
