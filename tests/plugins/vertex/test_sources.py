"""The sources of the provider, and the settings that each of them ignores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from attrs import evolve

from freshkey._commands.command import Command
from freshkey.model.profile import Profile
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.sources import SOURCES, USED_BY


MakeProfile = Callable[..., Profile]

EMAIL = "robot@example.iam.gserviceaccount.com"
EVERY: dict[str, object] = {
    "credentials_file": Path("/key.json").absolute(),
    "auth_refresh": Command.of([sys.executable]),
    "on_google_cloud": False,
    "client_id": "client",
    "authorize_parameters": {"hd": "example.com"},
    "redirect_host": "localhost",
    "redirect_path": "/callback",
    "authorize_url": "https://accounts.example/authorize",
    "revoke_url": "https://accounts.example/revoke",
}


def ignored(profile: Profile, source_id: str) -> tuple[str, ...]:
    source = next(source for source in SOURCES if source.id == source_id)
    return source.ignores(evolve(profile, source=source_id))


def test_table_names_sources_and_settings_that_exist() -> None:
    assert set(USED_BY) <= {each.name for each in attrs.fields(VertexSettings)}
    assert set().union(*USED_BY.values()) <= {source.id for source in SOURCES}


def test_scopes_and_settings_of_an_impersonation_are_named_where_nothing_uses_them(make_profile: MakeProfile) -> None:
    settings: dict[str, object] = {"scopes": ("one",), "impersonate_delegates": (EMAIL,), "impersonate_lifetime": 600.0}
    assert settings.keys() <= set(ignored(make_profile(**settings), "gcloud-token"))
    assert settings.keys() & ignored(make_profile(**settings), "oauth") == settings.keys() - {"scopes"}
    assert not settings.keys() & ignored(make_profile(**settings, impersonate=EMAIL), "gcloud-token")


@pytest.mark.parametrize("source", [source.id for source in SOURCES])
def test_each_source_names_what_it_ignores(make_profile: MakeProfile, source: str) -> None:
    expected = {name for name in {*EVERY, "client_secret"} if source not in USED_BY[name]}
    assert set(ignored(make_profile(**EVERY), source)) == expected
