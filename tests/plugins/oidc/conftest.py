"""A scripted issuer, and profiles that use it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import freshkey_oidc
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import ManualClock, ScriptedExchanges
from scripted_issuer import ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]
Acquire = Callable[[Profile, Source], OidcToken]


@pytest.fixture
def issuer(freshkey_http: ScriptedExchanges, freshkey_clock: ManualClock) -> ScriptedIssuer:
    return ScriptedIssuer(freshkey_http, freshkey_clock)


@pytest.fixture
def make_profile(freshkey_profile: Callable[..., Profile], issuer: ScriptedIssuer) -> MakeProfile:
    """Return profiles at the scripted issuer; arguments are settings."""
    return lambda **settings: freshkey_profile(freshkey_oidc, issuer.settings | settings)


@pytest.fixture
def profile(make_profile: MakeProfile) -> Profile:
    return make_profile()


@pytest.fixture
def sign_in(profile: Profile, issuer: ScriptedIssuer) -> SignIn:
    """Return a function that signs the issuer's user in at a profile."""

    def run(at: Profile = profile) -> OidcToken:
        with issuer.user() as user:
            token = freshkey_oidc.acquire(at, SIGN_IN, user)
        assert isinstance(token, OidcToken)
        return token

    return run


@pytest.fixture
def acquire() -> Acquire:
    """Return a function that gets a token from a source that needs no user."""

    def run(profile: Profile, source: Source) -> OidcToken:
        token = freshkey_oidc.acquire(profile, source, NonInteractive(profile.name))
        assert isinstance(token, OidcToken)
        assert token.source == source.id
        return token

    return run
