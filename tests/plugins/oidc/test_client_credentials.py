"""A token for the application itself, which freshkey gets when it is needed, and again when it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.model.identity import Identity
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import CLIENT_CREDENTIALS
from freshkey_testing import ManualClock, ScriptedUser
from raises_code import raises_code
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
Acquire = Callable[[Profile, Source], OidcToken]


@pytest.fixture
def make(make_profile: MakeProfile) -> MakeProfile:
    """Return profiles of an application with a secret."""
    standard = {"flow": "client-credentials", "client_secret": Secret("a-client-secret")}
    return lambda **settings: make_profile(**standard | settings)


def test_token_is_that_of_the_client(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    token = acquire(make(scopes=("read", "write"), resource=("https://a.test",), audience=("b",)), CLIENT_CREDENTIALS)
    assert issuer.asked == [
        {
            "grant_type": ["client_credentials"],
            "scope": ["read write"],
            "resource": ["https://a.test"],
            "audience": ["b"],
        }
    ]
    assert (token.identity, token.scopes) == (Identity(account=CLIENT), ("read", "write"))
    assert (token.lifetime, token.renewable) == (3600.0, False)


def test_token_whose_end_is_not_said_is_replaced_after_an_hour(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire
) -> None:
    issuer.tokens = {"expires_in": None}
    assert acquire(make(), CLIENT_CREDENTIALS).lifetime == 3600.0


def test_no_scope_is_requested_by_default(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    acquire(make(), CLIENT_CREDENTIALS)
    assert issuer.asked == [{"grant_type": ["client_credentials"]}]


def test_refresh_token_is_not_kept(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    issuer.tokens = {"refresh_token": "a-refresh-token"}
    assert acquire(make(), CLIENT_CREDENTIALS).refresh_token is None


def test_server_without_users_needs_no_authorization_endpoint(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire
) -> None:
    del issuer.metadata["authorization_endpoint"]
    issuer.metadata["grant_types_supported"] = ["client_credentials"]
    assert acquire(make(), CLIENT_CREDENTIALS).access_token == Secret("access-1")


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 401, "json": {"error": "invalid_client"}}, LoginRequired),
        ({"status": 400, "json": {"error": "unauthorized_client"}}, ProviderRefused),
        ({"status": 400, "json": {"error": "invalid_scope"}}, ProviderRefused),
        ({"status": 503}, TransientError),
        ({"fault": "before-sending"}, TransientError),
        ({"fault": "after-sending"}, OutcomeUnknown),
        ({"json": {}}, OutcomeUnknown),
    ],
    ids=str,
)
def test_each_failure_is_its_error(
    make: MakeProfile, issuer: ScriptedIssuer, how: dict[str, Any], kind: type[FreshkeyError]
) -> None:
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other"
    issuer.http.on("POST", f"{ISSUER}/other", **how)
    with pytest.raises(kind) as caught:
        freshkey_oidc.acquire(make(), CLIENT_CREDENTIALS, NonInteractive("test"))
    assert "a-client-secret" not in f"{caught.value} {caught.value.hint}"


def test_client_without_a_secret_is_told_what_to_set_and_requests_no_token(
    make_profile: MakeProfile, issuer: ScriptedIssuer
) -> None:
    with raises_code(LoginRequired, "oidc-client-secret-missing") as caught:
        freshkey_oidc.acquire(make_profile(flow="client-credentials"), CLIENT_CREDENTIALS, NonInteractive("test"))
    assert "Set client_secret_variable" in (caught.value.hint or "")
    assert issuer.asked == []


# --- when it is used -------------------------------------------------------------------------------------------------


def test_client_is_found_only_if_the_flow_chooses_it_and_it_can_authenticate(
    make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: ScriptedIssuer
) -> None:
    monkeypatch.delenv("APP_SECRET", raising=False)
    flow = {"flow": "client-credentials"}
    not_there: list[dict[str, Any]] = [
        {"client_secret": Secret("a-secret")},
        flow,
        flow | {"client_secret_variable": "APP_SECRET"},
        flow | {"private_key_file": tmp_path / "missing"},
        flow | {"client_secret": Secret("a-secret"), "client_id": None},
    ]
    assert [CLIENT_CREDENTIALS.detect(make_profile(**settings)) for settings in not_there] == [None] * len(not_there)
    monkeypatch.setenv("APP_SECRET", "a-secret")
    found = CLIENT_CREDENTIALS.detect(make_profile(**flow, client_secret_variable="APP_SECRET"))
    assert found is not None
    assert (found.kind, found.origin) == ("client credentials", f"client_id {CLIENT} and APP_SECRET")
    assert issuer.http.requests == []


def test_keeper_gets_another_when_one_ends_and_asks_nobody(
    freshkey_keeper: Callable[..., Keeper],
    freshkey_clock: ManualClock,
    issuer: ScriptedIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    table = {**issuer.settings, "flow": "client-credentials", "client_secret_variable": "APP_SECRET"}
    keeper = freshkey_keeper({"oidc": freshkey_oidc}, profiles={"app": {"provider": "oidc", **table}})
    first = keeper.get("app")
    assert keeper.get("app") is first
    freshkey_clock.advance(3601.0)
    second = keeper.get("app")
    assert [each.token for each in (first, second)] == [Secret("access-1"), Secret("access-2")]
    assert len(issuer.asked) == 2
    status = keeper.status("app")
    assert (status.source, status.sign_in_needed, status.renews) == ("client-credentials", None, True)


def test_login_gets_a_token_for_the_application_and_asks_nobody(
    freshkey_keeper: Callable[..., Keeper],
    freshkey_user: Callable[..., ScriptedUser],
    issuer: ScriptedIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    table = {**issuer.settings, "flow": "client-credentials", "client_secret_variable": "APP_SECRET"}
    keeper = freshkey_keeper({"oidc": freshkey_oidc}, profiles={"app": {"provider": "oidc", **table}})
    assert keeper.login("app", interaction=freshkey_user()).source == "client-credentials"
    assert keeper.get("app").token == Secret("access-1")


@pytest.mark.parametrize(
    "changed",
    [{"scopes": ["read"]}, {"resource": ["https://b.test"]}, {"audience": ["b"]}, {"token_parameters": {"for": "b"}}],
    ids=str,
)
def test_token_for_another_api_is_not_served_once_the_settings_name_this_one(
    freshkey_keeper: Callable[..., Keeper],
    issuer: ScriptedIssuer,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
) -> None:
    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    table = {"provider": "oidc", **issuer.settings, "flow": "client-credentials", "audience": ["a"]}
    table["client_secret_variable"] = "APP_SECRET"
    before, after = (
        freshkey_keeper({"oidc": freshkey_oidc}, profiles={"app": one}) for one in (table, table | changed)
    )
    assert before.get("app").token == Secret("access-1")
    assert after.get("app").token == Secret("access-2")
