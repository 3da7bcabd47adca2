"""A scripted issuer, and profiles that use it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import freshkey_oidc
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock, ScriptedExchanges
from scripted_issuer import ScriptedIssuer


MakeProfile = Callable[..., Profile]


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
