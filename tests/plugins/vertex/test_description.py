"""The description of the provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from freshkey.clock import SYSTEM
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_vertex.description import description
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.settings import VertexSettings


MakeProfile = Callable[..., Profile]


TOKEN = GoogleCredential(
    obtained=SYSTEM.now(), lifetime=3600.0, access_token=Secret("ya29.canary"), kind="user", project="demo-project"
)


def test_every_variable_that_is_set_for_a_child_is_removed_first() -> None:
    assert set(evolve(TOKEN, region="a", quota_project="b").environment()) <= set(description(None).variables)


def test_hosts_and_binding_depend_on_the_settings(make_profile: MakeProfile) -> None:
    assert (description(None).hosts, description(None).binding) == ((), {})
    profile = Profile(name="work", provider="vertex", settings=VertexSettings(client_id="c"), state_dir=Path("/"))
    described = description(profile)
    assert described.hosts == ("iamcredentials.googleapis.com", "oauth2.googleapis.com", "sts.googleapis.com")
    assert described.binding == {"token_endpoint": "https://oauth2.googleapis.com/token", "client_id": "c"}
    assert "127.0.0.1" in description(make_profile()).hosts
