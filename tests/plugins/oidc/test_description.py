"""What the provider tells the core about a profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import freshkey_oidc
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey_oidc.description import description
from freshkey_oidc.formats import FORMATS
from freshkey_oidc.settings import OidcSettings
from freshkey_oidc.sources import SOURCES
from scripted_issuer import CLIENT, ISSUER


MakeProfile = Callable[..., Profile]


def test_without_a_profile_it_is_the_general_one() -> None:
    found = freshkey_oidc.describe(None, None)
    assert isinstance(found, Description)
    assert (found.title, found.settings, found.formats, found.sources) == (
        "OpenID Connect",
        OidcSettings,
        FORMATS,
        SOURCES,
    )
    assert (found.hosts, dict(found.binding), found.variables, found.moved_by) == ((), {}, (), ())


def test_hosts_are_those_that_are_called(make_profile: MakeProfile) -> None:
    assert description(make_profile()).hosts == ("id.example.test",)
    named = make_profile(
        authorization_endpoint="https://browser-only.example.test/authorize",
        token_endpoint="https://token.example.test/",
        device_authorization_endpoint="https://device.example.test/",
        revocation_endpoint="https://revocation.example.test/",
        userinfo_endpoint="https://userinfo.example.test/",
        jwks_uri="https://keys.example.test/",
        hosts=("more.example.test",),
    )
    names = ("device", "id", "keys", "more", "revocation", "token", "userinfo")
    assert description(named).hosts == tuple(f"{name}.example.test" for name in names)


def test_sign_in_is_bound_to_issuer_token_endpoint_and_client(make_profile: MakeProfile) -> None:
    assert dict(description(make_profile()).binding) == {"issuer": ISSUER, "client_id": CLIENT}
    alone = make_profile(issuer=None, token_endpoint=f"{ISSUER}/token")
    assert dict(description(alone).binding) == {"token_endpoint": f"{ISSUER}/token", "client_id": CLIENT}


@pytest.mark.parametrize(
    ("settings", "single_use", "repeats_for", "revokes_alone"),
    [
        ({}, True, None, True),
        ({"single_use": False}, False, None, True),
        ({"repeats_for": 60.0}, True, 60.0, True),
        ({"revoke_replaced": False}, True, None, False),
        ({"flow": "client-credentials"}, False, None, True),
    ],
    ids=str,
)
def test_settings_say_how_refresh_tokens_behave(
    make_profile: MakeProfile,
    settings: dict[str, object],
    single_use: bool,
    repeats_for: float | None,
    revokes_alone: bool,
) -> None:
    found = description(make_profile(**settings))
    assert (found.single_use, found.repeats_for, found.revokes_alone) == (single_use, repeats_for, revokes_alone)


def test_variables_are_those_of_the_settings(make_profile: MakeProfile) -> None:
    secrets = {"token_variable": "APP_TOKEN", "client_secret_variable": "SECRET", "identity_token_variable": "IDENTITY"}
    found = description(make_profile(environment_variable="API_TOKEN", **secrets))
    assert set(found.variables) == {*secrets.values(), "API_TOKEN"}


def test_only_a_job_of_github_actions_is_moved_by_its_variable(make_profile: MakeProfile) -> None:
    job = make_profile(identity_token="github-actions")
    assert description(job).moved_by == ("ACTIONS_ID_TOKEN_REQUEST_URL",)
    assert description(make_profile(identity_token_file=Path("/token").absolute())).moved_by == ()
