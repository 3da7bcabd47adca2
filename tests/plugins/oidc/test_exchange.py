"""Exchanging the machine's identity token: what is sent in each way, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import freshkey_oidc
from freshkey.errors import (
    ConfigurationError,
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
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import IDENTITY_TOKEN
from raises_code import raises_code
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
Acquire = Callable[[Profile, Source], OidcToken]

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2lnbmF0dXJl"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "identity-token"
    found.write_text(TOKEN)
    return found


@pytest.fixture
def make(make_profile: MakeProfile, file: Path) -> MakeProfile:
    """Return profiles with an identity token."""
    return lambda **settings: make_profile(identity_token_file=file, **settings)


def answer(issuer: ScriptedIssuer, **how: object) -> None:
    """Let another token endpoint answer, which the metadata name."""
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other"
    issuer.http.on("POST", f"{ISSUER}/other", **how)  # type: ignore[arg-type]  # tests pass what they mean


def test_token_exchange_sends_what_rfc_8693_lists(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    profile = make(scopes=("read", "write"), resource=("https://a.test", "https://b.test"), audience=("c",))
    token = acquire(profile, IDENTITY_TOKEN)
    assert issuer.asked == [
        {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": [TOKEN],
            "subject_token_type": [JWT],
            "scope": ["read write"],
            "resource": ["https://a.test", "https://b.test"],
            "audience": ["c"],
            "client_id": [CLIENT],
        }
    ]
    assert token.access_token.reveal() == "access-1"
    assert (token.scopes, token.lifetime, token.identity) == (("read", "write"), 3600.0, Identity())
    assert (token.issuer, token.token_endpoint) == (ISSUER, f"{ISSUER}/token")


def test_type_of_the_identity_token_can_be_set(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    kind = "urn:ietf:params:oauth:token-type:id_token"
    acquire(make(subject_token_type=kind), IDENTITY_TOKEN)
    assert issuer.asked[0]["subject_token_type"] == [kind]


def test_jwt_bearer_grant_sends_what_rfc_7523_lists(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire
) -> None:
    acquire(make(exchange="jwt-bearer", scopes=("read",), resource=("https://a.test",)), IDENTITY_TOKEN)
    assert issuer.asked == [
        {
            "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "assertion": [TOKEN],
            "scope": ["read"],
            "resource": ["https://a.test"],
            "client_id": [CLIENT],
        }
    ]


def test_client_assertion_authenticates_the_client(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    acquire(make(exchange="client-assertion", scopes=("api/.default",)), IDENTITY_TOKEN)
    assert issuer.asked == [
        {
            "grant_type": ["client_credentials"],
            "client_id": [CLIENT],
            "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
            "client_assertion": [TOKEN],
            "scope": ["api/.default"],
        }
    ]


def test_client_that_the_identity_token_authenticates_needs_no_secret(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APP_SECRET", raising=False)
    acquire(make(exchange="client-assertion", client_secret_variable="APP_SECRET"), IDENTITY_TOKEN)
    assert issuer.asked[-1]["client_assertion"] == [TOKEN]
    assert "client_secret" not in issuer.asked[-1]
    assert "Authorization" not in issuer.http.requests[-1].headers


@pytest.mark.parametrize("exchange", ["token-exchange", "jwt-bearer"])
def test_no_client_is_needed(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, exchange: str) -> None:
    acquire(make(client_id=None, exchange=exchange), IDENTITY_TOKEN)
    assert "client_id" not in issuer.asked[0]
    assert "Authorization" not in issuer.http.requests[-1].headers


@pytest.mark.parametrize("exchange", ["token-exchange", "jwt-bearer"])
def test_client_with_a_secret_authenticates(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, monkeypatch: pytest.MonkeyPatch, exchange: str
) -> None:
    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    acquire(make(client_secret_variable="APP_SECRET", exchange=exchange), IDENTITY_TOKEN)
    assert issuer.http.requests[-1].headers["Authorization"].startswith("Basic ")


def test_parameters_of_token_requests_are_added(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    more = {"requested_token_type": "urn:ietf:params:oauth:token-type:access_token"}
    for settings in ({}, {"client_id": None}, {"exchange": "client-assertion"}):
        acquire(make(token_parameters=more, **settings), IDENTITY_TOKEN)
        assert issuer.asked[-1]["requested_token_type"] == [more["requested_token_type"]]


def test_client_assertion_needs_a_client(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    with raises_code(ProviderRefused, "oidc-client-id-missing"):
        acquire(make(client_id=None, exchange="client-assertion"), IDENTITY_TOKEN)
    assert issuer.asked == []


def test_refresh_token_is_not_kept(make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire) -> None:
    issuer.tokens = {"refresh_token": "a-refresh-token"}
    assert acquire(make(), IDENTITY_TOKEN).refresh_token is None


def test_identity_token_is_read_anew_for_each_exchange(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, file: Path
) -> None:
    profile = make()
    acquire(profile, IDENTITY_TOKEN)
    file.write_text(f"{TOKEN}-newer\n")
    acquire(profile, IDENTITY_TOKEN)
    assert [form["subject_token"] for form in issuer.asked] == [[TOKEN], [f"{TOKEN}-newer"]]


@pytest.mark.parametrize("exchange", ["token-exchange", "jwt-bearer", "client-assertion"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", LoginRequired),
        ("invalid_client", LoginRequired),
        ("invalid_request", ProviderRefused),
        ("invalid_target", ProviderRefused),
        ("invalid_scope", ProviderRefused),
        ("unsupported_grant_type", ProviderRefused),
    ],
)
def test_refusal_names_the_exchange_and_the_reason(
    make: MakeProfile, issuer: ScriptedIssuer, exchange: str, error: str, kind: type[FreshkeyError]
) -> None:
    answer(issuer, status=400, json={"error": error, "error_description": f"refused {TOKEN}"})
    with raises_code(kind, "oidc-exchange-refused") as caught:
        freshkey_oidc.acquire(make(exchange=exchange), IDENTITY_TOKEN, NonInteractive("test"))
    assert "did not exchange the identity token" in caught.value.message
    assert error in caught.value.message
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 503}, TransientError),
        ({"fault": "before-sending"}, TransientError),
        ({"fault": "after-sending"}, OutcomeUnknown),
        ({"json": {}}, OutcomeUnknown),
    ],
)
def test_failure_is_not_taken_for_a_refusal(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, how: dict[str, object], kind: type[FreshkeyError]
) -> None:
    answer(issuer, **how)
    with pytest.raises(kind) as caught:
        acquire(make(), IDENTITY_TOKEN)
    assert caught.value.code != "oidc-exchange-refused"


def test_missing_identity_token_is_not_blamed_on_the_issuer(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, file: Path
) -> None:
    with raises_code(LoginRequired, "no-credential-found"):
        acquire(make(identity_token="variable"), IDENTITY_TOKEN)
    file.unlink()
    with raises_code(ConfigurationError, "oidc-invalid-identity-token"):
        acquire(make(), IDENTITY_TOKEN)
    assert issuer.asked == []


def test_refusal_of_the_platform_is_not_blamed_on_the_issuer(
    make: MakeProfile, issuer: ScriptedIssuer, acquire: Acquire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://actions.example.test/token?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-request-token")
    issuer.http.on("GET", "https://actions.example.test/token", status=403)
    with pytest.raises(ProviderRefused, match=r"actions\.example\.test") as caught:
        acquire(make(identity_token="github-actions"), IDENTITY_TOKEN)
    assert caught.value.code != "oidc-exchange-refused"
    assert issuer.asked == []
