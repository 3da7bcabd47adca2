"""Requests of one profile go only to the hosts of its provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey._http.bound import SendToHosts
from freshkey.errors import ConfigurationError, ProviderRefused
from freshkey.model.exchange import Request
from freshkey.model.profile import Profile
from freshkey_testing import AuthorizationServer


def test_only_the_named_hosts_are_called() -> None:
    with pytest.raises(ProviderRefused) as failure:
        SendToHosts(frozenset({"api.example"}))(Request(method="GET", url="https://other.example/"))
    assert failure.value.code == "host-not-allowed"


def test_http_to_this_machine_needs_the_permission_of_the_profile() -> None:
    with AuthorizationServer() as server:
        request = Request(method="GET", url=server.urls.resource)
        with pytest.raises(ConfigurationError):
            SendToHosts(frozenset({"127.0.0.1"}))(request)
        assert not server.log
        SendToHosts(frozenset({"127.0.0.1"}), allow_insecure_loopback=True)(request)
        assert server.count("bearer.refused") == 1


def test_a_profile_that_was_made_by_hand_cannot_send(tmp_path: Path) -> None:
    profile = Profile(name="me", provider="mine", settings=None, state_dir=tmp_path)
    with pytest.raises(ConfigurationError) as failure:
        profile.send(Request(method="GET", url="https://api.example/"))
    assert failure.value.code == "profile-cannot-send"
