"""A double of IAM Identity Center on loopback, a manual clock, and profiles that use both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from freshkey.model.profile import Profile
from freshkey_bedrock.description import description
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from sending import sending
from sso_double import SsoDouble


MakeProfile = Callable[..., Profile]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def double(clock: ManualClock) -> Iterator[SsoDouble]:
    with SsoDouble(clock=clock) as running:
        yield running


@pytest.fixture
def make_profile(tmp_path: Path, double: SsoDouble, clock: ManualClock) -> MakeProfile:
    def make(**settings: object) -> Profile:
        chosen: dict[str, object] = {"region": "us-east-1", **double.settings(), **settings}
        insecure = chosen.pop("allow_insecure_loopback")
        made = Profile(
            name="work",
            provider="bedrock",
            settings=BedrockSettings(**chosen),  # type: ignore[arg-type]  # the tests pass matching types
            state_dir=tmp_path,
            allow_insecure_loopback=bool(insecure),
            clock=clock,
        )
        return sending(made, description)

    return make


@pytest.fixture
def profile(make_profile: MakeProfile) -> Profile:
    return make_profile()


@pytest.fixture
def signed_in(profile: Profile, clock: ManualClock) -> SsoCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user)
