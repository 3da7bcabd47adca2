"""The provider fulfills the contract for all providers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

import freshkey_oidc
from freshkey._secret_input import file_descriptor
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import Lender, ProviderContract, ScriptedUser
from scripted_issuer import ScriptedIssuer


IDENTITY = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ"


@pytest.fixture
def identity_token(tmp_path: Path) -> Path:
    file = tmp_path / "identity-token"
    file.write_text(f"{IDENTITY}.c2ln")
    return file


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Provide a descriptor as inherited from a parent process, with a token to read."""
    handed_over: dict[int, object] = {}
    monkeypatch.setattr(file_descriptor, "_handed_over", handed_over)
    reading, writing = os.pipe()
    os.write(writing, b"another-made-up-token-that-was-handed-in")
    os.close(writing)
    os.set_inheritable(reading, True)
    yield reading
    if reading not in handed_over:  # else it was closed when it was read
        os.close(reading)


class TestOidc(ProviderContract):
    """With a profile in which every source can be used."""

    @pytest.fixture
    def provider(self) -> object:
        return freshkey_oidc

    @pytest.fixture
    def profile(
        self,
        make_profile: Callable[..., Profile],
        identity_token: Path,
        descriptor: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Profile:
        monkeypatch.setenv("APP_TOKEN", "a-made-up-token-that-was-handed-in")
        monkeypatch.setenv("APP_CLIENT_SECRET", "a-made-up-client-secret")
        return make_profile(
            token_variable="APP_TOKEN",
            token_fd=descriptor,
            identity_token_file=identity_token,
            client_secret_variable="APP_CLIENT_SECRET",
        )

    @pytest.fixture
    def users(self, issuer: ScriptedIssuer) -> Mapping[str, ScriptedUser]:
        return {"sign-in": issuer.user()}

    @pytest.fixture
    def lenders(self, identity_token: Path) -> Mapping[str, Lender]:
        renew = partial(identity_token.write_text, f"{IDENTITY}.bmV3")
        return {"identity-token": Lender(renew=renew, remove=identity_token.unlink)}

    @pytest.fixture
    def signed_in(self, profile: Profile, issuer: ScriptedIssuer) -> OidcToken:
        with issuer.user() as user:
            found = freshkey_oidc.acquire(profile, SIGN_IN, user)
        assert isinstance(found, OidcToken)
        return found


class TestOidcOfAnApplication(ProviderContract):
    """With a profile that gets tokens for the application itself, and has no sign-in."""

    @pytest.fixture
    def provider(self) -> object:
        return freshkey_oidc

    @pytest.fixture
    def profile(self, make_profile: Callable[..., Profile], identity_token: Path) -> Profile:
        secret = Secret("a-made-up-client-secret")
        return make_profile(flow="client-credentials", client_secret=secret, identity_token_file=identity_token)

    @pytest.fixture
    def lenders(self, identity_token: Path) -> Mapping[str, Lender]:
        renew = partial(identity_token.write_text, f"{IDENTITY}.bmV3")
        return {"identity-token": Lender(renew=renew, remove=identity_token.unlink)}
