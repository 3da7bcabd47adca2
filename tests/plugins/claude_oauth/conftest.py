"""A test authorization server that behaves like Claude's, and profiles that use it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from anthropic_home import AnthropicHome
from freshkey.clock import SYSTEM, Clock
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.signin import sign_in
from freshkey_testing import AuthorizationServer, ManualClock, Policy, ScriptedUser
from freshkey_testing.browser import follow
from sending import sending


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., ClaudeToken]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "CLAUDE_CODE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "anthropic"))
    if sys.platform == "win32":  # tests run Python as a program, which may be in the checkout: a project's program
        (tmp_path / "working").mkdir()
        monkeypatch.chdir(tmp_path / "working")


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(Policy(state_in_body=True)) as running:
        yield running


@pytest.fixture
def make_profile(tmp_path: Path) -> MakeProfile:
    def make(*, allow_insecure_loopback: bool = False, clock: Clock = SYSTEM, **settings: object) -> Profile:
        made = Profile(
            name="me",
            provider="claude_oauth",
            settings=ClaudeSettings(**settings),  # type: ignore[arg-type]  # tests pass what they mean
            state_dir=tmp_path,
            allow_insecure_loopback=allow_insecure_loopback,
            clock=clock,
        )
        return sending(made, description)

    return make


@pytest.fixture
def home(tmp_path: Path) -> AnthropicHome:
    """The profile directory of Anthropic's own tools, which `bare_environment` points to."""
    return AnthropicHome(tmp_path / "anthropic")


@pytest.fixture
def profile(server: AuthorizationServer, make_profile: MakeProfile) -> Profile:
    return make_profile(**server.settings())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def signed_in(profile: Profile, clock: Clock) -> SignIn:
    def run(at: Profile = profile) -> ClaudeToken:
        with ScriptedUser(browser=follow) as user:
            return sign_in(evolve(at, clock=clock), user)

    return run


@pytest.fixture
def signed_in_now(profile: Profile) -> ClaudeToken:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user)


@pytest.fixture
def oauth() -> Source:
    source = description(None).source("oauth")
    assert source is not None
    return source
