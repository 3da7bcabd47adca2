"""The sources of the provider: their order, what they are told to need, and the settings that each ignores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import evolve

import freshkey_oidc
from freshkey import Keeper
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret
from freshkey_oidc.settings import OidcSettings
from freshkey_oidc.sources import CLIENT_CREDENTIALS, IDENTITY_TOKEN, SIGN_IN, SOURCES, USED_BY
from freshkey_testing import ScriptedExchanges
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
MakeKeeper = Callable[..., Keeper]

FILE = Path("/token").absolute()
EVERY: dict[str, object] = {
    "issuer": ISSUER,
    "client_id": CLIENT,
    "client_secret_variable": "APP_SECRET",
    "private_key_file": FILE,
    "key_id": "k1",
    "key_algorithm": "ES256",
    "certificate_thumbprint": "abc",
    "assertion_audience": ISSUER,
    "client_authentication": "client_secret_post",
    "flow": "device",
    "scopes": ("read",),
    "resource": ("https://api.example.test",),
    "audience": ("api",),
    "authorization_parameters": {"prompt": "consent"},
    "token_parameters": {"more": "1"},
    "login_hint": False,
    "hosts": ("tokens.example.test",),
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "jwks_uri": f"{ISSUER}/keys",
    "redirect_host": "localhost",
    "redirect_path": "/there",
    "scopes_at_renewal": True,
    "single_use": False,
    "repeats_for": 10.0,
    "revoke_replaced": False,
    "token_variable": "APP_TOKEN",
    "token_fd": 3,
    "exchange": "jwt-bearer",
    "identity_token": "file",
    "identity_token_file": FILE,
    "identity_token_variable": "JOB_TOKEN",
    "identity_token_audience": "api",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}
"""A value that is not the default for every setting that only some sources use."""

OTHERS = {"client_secret", "client_secret_file"}
"""Settings that exclude one of these."""

FOR_ALL = {"userinfo_endpoint", "account_claim", "organization_claim", "environment_variable"}


@pytest.fixture
def keeper(freshkey_keeper: MakeKeeper) -> Callable[..., Keeper]:
    """Return keepers with the profile `me`; arguments are its settings."""
    return lambda **table: freshkey_keeper({"oidc": freshkey_oidc}, profiles={"me": {"provider": "oidc", **table}})


# --- which one is used -----------------------------------------------------------------------------------------------


def test_order_and_what_freshkey_keeps() -> None:
    assert [(source.id, source.owned) for source in SOURCES] == [
        ("variable", False),
        ("descriptor", False),
        ("identity-token", False),
        ("client-credentials", True),
        ("sign-in", True),
    ]
    assert [source.id for source in SOURCES if source.interactive] == ["sign-in"]
    assert [source.id for source in SOURCES if source.automatic] == ["client-credentials"]
    assert [source.id for source in SOURCES if source.handed_in] == ["variable", "descriptor", "identity-token"]


def test_each_source_is_used_until_an_earlier_one_has_something(
    keeper: Callable[..., Keeper], issuer: ScriptedIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "identity-token"
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": CLIENT,
        "flow": "client-credentials",
        "client_secret_variable": "APP_SECRET",
        "identity_token_file": str(file),
        "token_variable": "APP_TOKEN",
    }
    for name in ("APP_SECRET", "APP_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def used() -> str:
        with keeper(**settings) as held:  # which keeps what it has until that ends
            source = held.get("me").source
            (winner,) = [step for step in held.explain("me").steps if step.wins]
            assert winner.source.id == source == held.status("me").source
            return source

    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    assert used() == "client-credentials"
    file.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2ln")
    assert used() == "identity-token"
    monkeypatch.setenv("APP_TOKEN", "a-token-that-was-handed-in")
    assert used() == "variable"
    assert [form["grant_type"][0].rpartition(":")[2] for form in issuer.asked] == [
        "client_credentials",
        "token-exchange",
    ]


def test_setting_that_an_earlier_source_overrules_is_named(
    keeper: Callable[..., Keeper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_TOKEN", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2ln")
    monkeypatch.setenv("APP_TOKEN", "a-token-that-was-handed-in")
    with keeper(token_variable="APP_TOKEN", identity_token_variable="JOB_TOKEN") as held:
        assert held.status("me").source == "variable"
        steps = {step.source.id: step for step in held.explain("me").steps}
        detected = steps["variable"].detected
        assert detected is not None
        assert (detected.origin, detected.last_four) == ("environment variable APP_TOKEN", "d-in")
        assert steps["identity-token"].why == "'variable' comes first"


# --- what to do before -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        (
            {},
            'Set issuer = "https://…" and client_id = "…" under [profiles.me] in config.toml, then run: freshkey login',
        ),
        ({"issuer": ISSUER}, 'Set client_id = "…" under [profiles.me] in config.toml, then run: freshkey login me'),
        ({"client_id": "a"}, 'Set issuer = "https://…" under [profiles.me] in config.toml, then run: freshkey login'),
        ({"issuer": ISSUER, "client_id": "a"}, "Run: freshkey login me"),
        ({"token_endpoint": ISSUER, "client_id": "a"}, "Run: freshkey login me"),
        (
            {"issuer": ISSUER, "client_id": "a", "flow": "client-credentials"},
            "Set client_secret_variable or private_key_file under [profiles.me] in config.toml",
        ),
        (
            {"issuer": ISSUER, "client_id": "a", "flow": "client-credentials", "client_secret_variable": "NO_SECRET"},
            "Set NO_SECRET to the client secret",
        ),
        (
            {"issuer": ISSUER, "client_id": "a", "token_variable": "NO_SECRET"},
            "Provide this: token in the variable that token_variable names (token_variable = NO_SECRET). To sign in",
        ),
        (
            {"issuer": ISSUER, "client_id": "a", "identity_token_variable": "NO_SECRET"},
            "Provide this: identity token to exchange (identity_token_variable = NO_SECRET). To sign in instead, run: ",
        ),
        (
            {"issuer": ISSUER, "client_id": "a", "identity_token": "github-actions"},
            "Provide this: identity token to exchange (identity_token = github-actions). To sign in instead, run: ",
        ),
        (
            {"issuer": ISSUER, "client_id": "a", "source": "client-credentials"},
            'Set flow = "client-credentials" under [profiles.me] in config.toml',
        ),
    ],
)
def test_next_step_is_what_is_missing(
    keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], hint: str
) -> None:
    for name in ("NO_SECRET", "GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with keeper(**settings) as held:
        assert (held.status("me").next_step or "").startswith(hint)


def test_next_step_names_the_file_that_is_missing(keeper: Callable[..., Keeper], tmp_path: Path) -> None:
    file, standard = str(tmp_path / "none.txt"), {"issuer": ISSUER, "client_id": "a"}
    with keeper(**standard, flow="client-credentials", client_secret_file=file) as held:
        assert held.status("me").next_step == f"Write the client's secret to {file}"
    with keeper(**standard, identity_token_file=file) as held:
        assert f"identity token to exchange (identity_token_file = {file})." in (held.status("me").next_step or "")


def test_an_application_for_itself_needs_its_secret_and_has_no_sign_in(make_profile: MakeProfile) -> None:
    profile = make_profile(flow="client-credentials", client_secret=Secret("a-secret"))
    assert CLIENT_CREDENTIALS.setup(profile) is None
    description = freshkey_oidc.describe(profile, None)
    assert isinstance(description, Description)
    assert SIGN_IN not in description.sources


# --- settings that a source does not use -----------------------------------------------------------------------------


def test_every_setting_is_for_all_sources_or_for_some() -> None:
    assert {each.name for each in attrs.fields(OidcSettings)} == {*EVERY, *OTHERS, *FOR_ALL}
    assert set(USED_BY) == {*EVERY, *OTHERS}
    assert set().union(*USED_BY.values()) == {source.id for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=[source.id for source in SOURCES])
def test_each_source_names_what_it_ignores(make_profile: MakeProfile, source: Source) -> None:
    profile = evolve(make_profile(**EVERY), source=source.id)
    assert set(source.ignores(profile)) == {name for name in EVERY if source.id not in USED_BY[name]}


def test_settings_that_choose_a_source_are_ignored_by_all_others() -> None:
    for source in SOURCES:
        assert {frozenset(USED_BY[name]) for name in source.chosen_by} <= {frozenset({source.id})}
    assert IDENTITY_TOKEN.chosen_by == ("identity_token", "identity_token_file", "identity_token_variable")


def test_default_settings_are_ignored_by_no_source(freshkey_profile: Callable[..., Profile]) -> None:
    profile = freshkey_profile(freshkey_oidc)
    assert [source.ignores(evolve(profile, source=source.id)) for source in SOURCES] == [()] * len(SOURCES)


def test_explain_and_status_name_what_the_chosen_source_ignores(
    keeper: Callable[..., Keeper], freshkey_http: ScriptedExchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_TOKEN", "a-token-that-was-handed-in")
    with keeper(source="variable", token_variable="APP_TOKEN", client_id=CLIENT, scopes=["read"]) as held:
        assert held.status("me").ignored == ("client_id", "scopes")
        (step,) = [step for step in held.explain("me").steps if step.wins]
        assert step.why == "set as the profile's source; not used: client_id, scopes"
    assert freshkey_http.requests == []
