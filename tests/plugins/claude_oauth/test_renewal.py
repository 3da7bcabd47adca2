"""A renewal uses one refresh token, keeps what the response omits, and goes only to the issuing server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from attrs import evolve

import freshkey_claude_oauth as provider
from freshkey.clock import SYSTEM
from freshkey.errors import (
    CredentialExpired,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.plugin import Request, Response
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeToken
from freshkey_claude_oauth.renewal import renew
from freshkey_claude_oauth.signout import revoke
from freshkey_testing import AuthorizationServer, ManualClock, Rotation
from raises_code import raises_code


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., ClaudeToken]

CANARY = "canary-5f1d0c9a7e"


def test_hook_renews_and_rotates(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    new = provider.refresh(profile=profile, credential=old, reporter=LoggingReporter())
    assert isinstance(new, ClaudeToken)
    assert new.access_token != old.access_token
    assert new.refresh_token not in {None, old.refresh_token}
    assert (new.scopes, new.binding, new.extra_headers) == (old.scopes, old.binding, old.extra_headers)
    assert server.count("grant.refresh_token") == 1


def test_request_is_that_of_anthropics_own_clients(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    old = signed_in()
    renew(profile, old)
    asked = server.requests[-1]
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["anthropic-beta"] == "oauth-2025-04-20"
    assert old.refresh_token is not None
    assert json.loads(asked.body) == {
        "grant_type": "refresh_token",
        "refresh_token": old.refresh_token.reveal(),
        "client_id": server.client_id,
    }


def test_beta_header_and_encoding_are_configurable(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**server.settings(), beta="", encoding="form")
    renew(chosen, signed_in(chosen))
    asked = server.requests[-1]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "anthropic-beta" not in asked.headers


def test_response_without_a_refresh_token_keeps_the_old_one(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # ROT-8
    server.policy.rotation = Rotation.OMIT
    old = signed_in()
    new = renew(profile, old)
    assert new.refresh_token == old.refresh_token
    assert renew(profile, new).refresh_token == old.refresh_token


def test_known_plan_survives_a_response_without_it(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    old = signed_in()
    server.fail_with(500, endpoint="profile")
    new = renew(profile, old)
    assert new.identity == old.identity
    assert new.identity.extra["plan"] == "max"


def test_profile_endpoint_is_not_called(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    before = server.count("profile.read")
    renew(profile, old)
    assert server.count("profile.read") == before


def test_what_the_response_omits_is_kept(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    server.next_response(200, '{"access_token": "at-2", "expires_in": 60}')
    new = renew(profile, old)
    assert (new.scopes, new.identity, new.refresh_token) == (old.scopes, old.identity, old.refresh_token)


def test_lifetime_starts_when_the_request_is_sent(
    profile: Profile, signed_in: SignIn, clock: ManualClock
) -> None:  # TIM-1
    old = signed_in()
    sent = clock.now()

    def slowly(request: Request, *, deadline: float = 30.0) -> Response:
        clock.advance(20)
        return profile.send(request, deadline=deadline)

    assert renew(evolve(profile, clock=clock, send=slowly), old).obtained == sent


def test_end_of_the_sign_in_is_read(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    first = signed_in()
    server.next_response(200, '{"access_token": "b", "refresh_token": "rt", "refresh_token_expires_in": 7200}')
    second = renew(profile, first)
    assert (first.renewable_for, second.renewable_for) == (None, 7200.0)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_used_refresh_token_requires_login(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    renew(profile, old)
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        renew(profile, old)
    assert "invalid_grant" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, '{"error": "invalid_client"}', ProviderRefused, "request-refused"),
        (400, '{"error": "invalid_request"}', ProviderRefused, "request-refused"),
        (400, '{"type": "error", "error": {"type": "invalid_request_error"}}', ProviderRefused, "request-refused"),
        (
            403,
            '{"type": "error", "error": {"type": "permission_error", "message": "OAuth is not allowed"}}',
            ProviderRefused,
            "request-refused",
        ),
        (404, '{"type": "error", "error": {"type": "not_found_error"}}', TransientError, "request-blocked"),
        (400, "", IntermediaryAnswer, "answered-in-between"),
        (401, '{"error": {"code": "refresh_token_reused"}}', LoginRequired, "sign-in-ended"),
        (200, '{"error": "bad_refresh_token"}', LoginRequired, "sign-in-ended"),
        (403, "<html>", TransientError, "request-blocked"),
        (404, "", TransientError, "request-blocked"),
        (429, '{"error": {"type": "rate_limit_error"}}', TransientError, "server-unavailable"),
        (408, "", TransientError, "server-unavailable"),
        (500, "", TransientError, "server-unavailable"),
        (503, "<html>", TransientError, "server-unavailable"),
        (302, "", TransientError, "redirect-refused"),
    ],
)
def test_refusal_is_classified(
    server: AuthorizationServer,
    profile: Profile,
    signed_in: SignIn,
    *,
    status: int,
    body: str,
    error: type[FreshkeyError],
    code: str,
) -> None:  # NET-1
    old = signed_in()
    server.next_response(status, body)
    with raises_code(error, code) as caught:
        renew(profile, old)
    assert type(caught.value) is error


def test_retry_after_is_passed_on(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:  # NET-3
    old = signed_in()
    server.next_response(429, "", {"Retry-After": "17"})
    with pytest.raises(TransientError) as caught:
        renew(profile, old)
    assert caught.value.retry_after == 17.0


def test_lost_response_leaves_outcome_unknown(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # FAULT-34
    old = signed_in()
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        renew(profile, old)
    assert server.count("grant.refresh_token") == 1


def test_unreachable_server_is_transient(make_profile: MakeProfile, signed_in: SignIn) -> None:
    with AuthorizationServer() as short_lived:
        chosen = make_profile(**short_lived.settings())
        old = signed_in(chosen)
    with raises_code(TransientError, "connection-failed"):
        renew(chosen, old)


@pytest.mark.parametrize(
    "credential",
    [
        ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1")),
        ClaudeToken(obtained=SYSTEM.now(), access_token=Secret("at-1")),
    ],
    ids=["key", "no-refresh-token"],
)
def test_credential_without_refresh_token_requires_login(
    server: AuthorizationServer, profile: Profile, credential: ClaudeApiKey | ClaudeToken
) -> None:
    with raises_code(LoginRequired, "not-renewable") as caught:
        renew(profile, credential)
    assert "freshkey login me" in str(caught.value)
    assert server.requests == []


# --- odd responses --------------------------------------------------------------------------------------------------


def answer(expires_in: str) -> str:
    return f'{{"access_token": "at-2", "refresh_token": "{CANARY}", "expires_in": {expires_in}}}'


@pytest.mark.parametrize(
    ("body", "lifetime"),
    [
        (answer('"3600"'), 3600.0),
        (answer("3600.0"), 3600.0),
        (answer("null"), 3600.0),
        (answer("0"), 0.0),
        (answer("999999999999"), 10 * 366 * 86400.0),
        (answer("1e999"), 10 * 366 * 86400.0),
        (answer("1.5"), 1.5),
        (answer("-1"), 3600.0),
        (answer("true"), 3600.0),
        (answer("NaN"), 3600.0),
        (answer("[]"), 3600.0),
        (answer('"3600٣"'), 3600.0),
    ],
    ids=[
        *("string", "float", "null", "zero", "forever", "infinite", "fraction", "negative", "true", "NaN", "list"),
        "other-digits",
    ],
)
def test_odd_lifetime_is_interpreted_as_documented(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, body: str, lifetime: float
) -> None:  # NET-6, FAULT-41
    old = signed_in()
    server.next_response(200, body)
    assert renew(profile, old).lifetime == lifetime


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f"<html>{CANARY}</html>", "answered-in-between"),
        (answer("3600")[:-20], "invalid-response"),
        (" " * (2 << 20) + answer("3600"), "response-too-large"),
        (f'{{"access_token": 5, "id": "{CANARY}"}}', "answered-in-between"),
        (f'{{"access_token": "a", "refresh_token": ["{CANARY}"]}}', "invalid-response"),
        (f'["{CANARY}"]', "answered-in-between"),
    ],
    ids=["html", "truncated", "2-MiB", "no-token", "no-text", "not-an-object"],
)
def test_invalid_response_is_an_error_that_quotes_nothing(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, body: str, code: str
) -> None:  # NET-6, NET-8
    old = signed_in()
    server.next_response(200, body)
    with raises_code(ProtocolError, code) as caught:
        renew(profile, old)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token_type": "mac"}, "unsupported-token-type"),
        ({"token_type": "DPoP"}, "unsupported-token-type"),
        ({"access_token": "at\r\nX-Evil: 1"}, "unusable-access-token"),
        ({"access_token": "caf\u00e9"}, "unusable-access-token"),
        ({"access_token": ""}, "unusable-access-token"),
        ({"access_token": 5}, "unusable-access-token"),
        ({"access_token": None}, "unusable-access-token"),
    ],
    ids=str,
)
def test_useless_access_token_does_not_cost_the_refresh_token(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, change: dict[str, object], code: str
) -> None:
    old = signed_in()
    body = {"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 60, **change}
    server.next_response(200, json.dumps(body))
    new = renew(profile, old)
    assert new.refresh_token == Secret("rt")
    assert new.unusable is not None
    assert new.unusable.code == code
    with pytest.raises(CredentialExpired):
        new.headers()


def test_of_two_access_tokens_the_last_one_counts(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    old = signed_in()
    server.next_response(200, '{"access_token": "a", "access_token": "b", "refresh_token": "rt"}')
    assert renew(profile, old).access_token == Secret("b")


# --- binding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "says"),
    [("client_id", "client ID"), ("token_endpoint", "token endpoint"), ("issuer", "issuer")],
)
@pytest.mark.parametrize("act", [renew, revoke], ids=["renew", "revoke"])
def test_token_is_never_sent_to_another_server_or_client(
    server: AuthorizationServer,
    profile: Profile,
    signed_in: SignIn,
    *,
    field: str,
    says: str,
    act: Callable[[Profile, ClaudeToken], object],
) -> None:  # FLO-11, TRU-5
    change: dict[str, Any] = {field: "https://elsewhere.example"}
    old = attrs.evolve(signed_in(), **change)
    before = len(server.requests)
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        act(profile, old)
    assert says in str(caught.value)
    assert len(server.requests) == before


def test_metadata_with_a_different_token_endpoint_requires_login(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:  # FLO-11
    chosen = make_profile(client_id=server.client_id, issuer=server.urls.issuer, allow_insecure_loopback=True)
    old = signed_in(chosen)
    assert renew(chosen, old).issuer == server.urls.issuer
    moved = {
        "issuer": server.urls.issuer,
        "authorization_endpoint": server.urls.authorize,
        "token_endpoint": server.urls.resource,
    }
    server.next_response(200, json.dumps(moved), endpoint="metadata")
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        renew(chosen, old)
    assert "token endpoint" in str(caught.value)


# --- sign-out -------------------------------------------------------------------------------------------------------


def test_revoked_sign_in_cannot_be_renewed(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # NET-9
    token = signed_in()
    revoke(profile, token)
    assert server.count("revoked") == 1
    with pytest.raises(LoginRequired):
        renew(profile, token)


def test_refresh_token_is_revoked(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    token = signed_in()
    revoke(profile, token)
    assert token.refresh_token is not None
    assert json.loads(server.requests[-1].body) == {
        "token": token.refresh_token.reveal(),
        "token_type_hint": "refresh_token",
        "client_id": server.client_id,
    }


def test_without_a_refresh_token_the_access_token_is_revoked(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    revoke(profile, attrs.evolve(signed_in(), refresh_token=None))
    assert json.loads(server.requests[-1].body)["token_type_hint"] == "access_token"


@pytest.mark.parametrize(("status", "error"), [(503, TransientError), (400, IntermediaryAnswer), (302, TransientError)])
def test_failed_revocation_is_reported(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, status: int, error: type[FreshkeyError]
) -> None:
    token = signed_in()
    server.next_response(status, "{}", endpoint="revoke")
    with pytest.raises(error):
        revoke(profile, token)


def test_revocation_is_refused_for_keys_and_without_an_endpoint(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**{**server.settings(), "revoke_url": None})
    with raises_code(ProviderRefused, "revocation-not-supported") as caught:
        revoke(chosen, signed_in(chosen))
    assert "revoke_url" in str(caught.value)
    with raises_code(ProviderRefused, "revocation-not-supported") as caught:
        revoke(chosen, ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1")))
    assert "Claude Console" in str(caught.value)
