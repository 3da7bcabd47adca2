"""Describing the provider needs no I/O and no slow imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import pluggy

import freshkey_claude_oauth as provider
from freshkey import hooks
from freshkey.clock import SYSTEM
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeApiKey
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_testing import AuthorizationServer


MakeProfile = Callable[..., Profile]


def test_entry_point_is_registered() -> None:
    (found,) = entry_points(group="freshkey.providers", name="claude_oauth")
    assert found.load() is provider


def test_hooks_match_the_hook_specifications() -> None:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(provider)
    manager.check_pending()
    assert {caller.name for caller in manager.get_hookcallers(provider) or ()} == {"describe", "acquire", "refresh"}


def test_without_a_profile_it_returns_the_description() -> None:
    found = provider.describe(profile=None, credential=None)
    assert isinstance(found, Description)
    assert (found.settings, found.single_use, found.hosts, dict(found.binding)) == (ClaudeSettings, True, (), {})


def test_credential_without_a_profile_is_not_inspected() -> None:
    key = ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1"))
    assert isinstance(provider.describe(profile=None, credential=key), Description)


def test_with_a_profile_it_includes_hosts_and_binding(server: AuthorizationServer, profile: Profile) -> None:
    found = description(profile)
    assert found.hosts == ("127.0.0.1",)
    assert found.binding == {"token_endpoint": server.urls.token, "client_id": server.client_id}
    assert found.revoke is not None
    assert server.requests == []


def test_only_the_settings_say_for_how_long_the_server_repeats_a_response(make_profile: MakeProfile) -> None:
    assert description(None).repeats_for is None
    assert description(make_profile()).repeats_for is None
    assert description(make_profile(repeats_for=30)).repeats_for == 30


def test_revocation_is_offered_only_with_a_revocation_endpoint(make_profile: MakeProfile) -> None:
    assert description(make_profile(token_url="https://a.example/token")).revoke is None
    assert description(make_profile(issuer="https://a.example")).revoke is not None
    assert description(make_profile()).revoke is not None


def test_describing_imports_no_slow_modules() -> None:
    heavy = {"httpx", "ssl", "subprocess", "cattrs", "keyring", "tenacity", "importlib.metadata"}
    code = f"import sys, freshkey_claude_oauth as p; p.describe(None, None); print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
