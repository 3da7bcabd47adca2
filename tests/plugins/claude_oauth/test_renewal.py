"""A renewal spends one refresh token, keeps what the answer leaves out, and goes only where the token belongs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import freshkey_claude_oauth as provider
from freshkey.clock import SYSTEM
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeToken
from freshkey_claude_oauth.renewal import renew
from freshkey_claude_oauth.signout import revoke
from freshkey_testing import AuthorizationServer, ManualClock, Rotation


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., ClaudeToken]

CANARY = "canary-5f1d0c9a7e"


def test_the_hook_renews_and_rotates(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    new = provider.refresh(profile=profile, credential=old, reporter=LoggingReporter())
    assert isinstance(new, ClaudeToken)
    assert new.access_token != old.access_token
    assert new.refresh_token not in {None, old.refresh_token}
    assert (new.scopes, new.binding, new.extra_headers) == (old.scopes, old.binding, old.extra_headers)
    assert server.count("grant.refresh_token") == 1


def test_it_is_written_as_the_vendors_own_clients_do(
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


def test_beta_header_and_encoding_are_settings(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**server.settings(), beta="", encoding="form")
    renew(chosen, signed_in(chosen))
    asked = server.requests[-1]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "anthropic-beta" not in asked.headers


def test_an_answer_without_a_refresh_token_keeps_the_old_one(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # ROT-8
    server.policy.rotation = Rotation.OMIT
    old = signed_in()
    new = renew(profile, old)
    assert new.refresh_token == old.refresh_token
    assert renew(profile, new).refresh_token == old.refresh_token


def test_a_known_plan_survives_an_answer_that_does_not_name_it(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    old = signed_in()
    server.fail_with(500, endpoint="profile")
    new = renew(profile, old)
    assert new.identity == old.identity
    assert new.identity.extra["plan"] == "max"


def test_the_profile_endpoint_is_not_asked(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    before = server.count("profile.read")
    renew(profile, old)
    assert server.count("profile.read") == before


def test_what_an_answer_leaves_out_stays(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    server.next_response(200, '{"access_token": "at-2", "expires_in": 60}')
    new = renew(profile, old)
    assert (new.scopes, new.identity, new.refresh_token) == (old.scopes, old.identity, old.refresh_token)


def test_it_counts_from_the_arrival_of_the_answer(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, clock: ManualClock
) -> None:  # TIM-1
    old = signed_in()
    clock.advance(500)
    assert renew(profile, old, clock=clock).obtained == clock.now()


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_spent_refresh_token_needs_a_person(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    old = signed_in()
    renew(profile, old)
    with pytest.raises(LoginRequired, match="invalid_grant"):
        renew(profile, old)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error": "invalid_client"}', ProviderRefused),
        (400, '{"error": "invalid_request"}', ProviderRefused),
        (400, '{"type": "error", "error": {"type": "invalid_request_error"}}', ProviderRefused),
        (404, '{"type": "error", "error": {"type": "not_found_error"}}', ProviderRefused),
        (400, "", LoginRequired),
        (429, '{"error": {"type": "rate_limit_error"}}', TransientError),
        (408, "", TransientError),
        (500, "", TransientError),
        (503, "<html>", TransientError),
        (302, "", ProtocolError),
    ],
)
def test_refusals_say_what_to_do_next(
    server: AuthorizationServer,
    profile: Profile,
    signed_in: SignIn,
    *,
    status: int,
    body: str,
    error: type[FreshkeyError],
) -> None:  # NET-1
    old = signed_in()
    server.next_response(status, body)
    with pytest.raises(error) as caught:
        renew(profile, old)
    assert type(caught.value) is error


def test_retry_after_is_passed_on(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:  # NET-3
    old = signed_in()
    server.next_response(429, "", {"Retry-After": "17"})
    with pytest.raises(TransientError) as caught:
        renew(profile, old)
    assert caught.value.retry_after == 17.0


def test_a_lost_answer_leaves_the_outcome_unknown(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # row 34
    old = signed_in()
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        renew(profile, old)
    assert server.count("grant.refresh_token") == 1


def test_a_server_that_is_gone_got_nothing(make_profile: MakeProfile, signed_in: SignIn) -> None:
    with AuthorizationServer() as short_lived:
        chosen = make_profile(**short_lived.settings())
        old = signed_in(chosen)
    with pytest.raises(TransientError, match="nothing could be sent"):
        renew(chosen, old)


@pytest.mark.parametrize(
    "credential",
    [
        ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1")),
        ClaudeToken(obtained=SYSTEM.now(), access_token=Secret("at-1")),
    ],
    ids=["key", "no-refresh-token"],
)
def test_what_cannot_be_renewed_needs_a_person(
    server: AuthorizationServer, profile: Profile, credential: ClaudeApiKey | ClaudeToken
) -> None:
    with pytest.raises(LoginRequired, match="freshkey login me"):
        renew(profile, credential)
    assert server.requests == []


# --- the table of odd answers ---------------------------------------------------------------------------------------


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
    ],
    ids=["string", "float", "null", "zero", "for-ever"],
)
def test_odd_lifetimes_with_a_documented_reading(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, body: str, lifetime: float
) -> None:  # NET-6, row 41
    old = signed_in()
    server.next_response(200, body)
    assert renew(profile, old).lifetime == lifetime


@pytest.mark.parametrize(
    "body",
    [
        f"<html>{CANARY}</html>",
        answer("3600")[:-20],
        answer("3600") + " " * (2 << 20),
        answer("true"),
        answer("NaN"),
        answer("-1"),
        answer("1" + "0" * 40),
        answer("1e999"),
        answer("1.5"),
        answer('"3600٣"'),
        answer("[]"),
        f'{{"access_token": "{CANARY}\\r\\nX-Evil: 1", "expires_in": 3600}}',
        f'{{"access_token": "", "refresh_token": "{CANARY}"}}',
        f'{{"access_token": 5, "refresh_token": "{CANARY}"}}',
        f'{{"refresh_token": "{CANARY}"}}',
        f'{{"access_token": "a", "access_token": "{CANARY}"}}',
        f'["{CANARY}"]',
    ],
    ids=[
        "html",
        "truncated",
        "2-MiB",
        "true",
        "NaN",
        "negative",
        "10^40",
        "1e999",
        "fraction",
        "other-digits",
        "list",
        "line-break",
        "empty",
        "number",
        "none",
        "twice",
        "no-object",
    ],
)
def test_an_unreadable_answer_is_a_clear_error_that_quotes_nothing(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, body: str
) -> None:  # NET-6, NET-8
    old = signed_in()
    server.next_response(200, body)
    with pytest.raises(ProtocolError) as caught:
        renew(profile, old)
    assert CANARY not in str(caught.value)
    assert "answer" in str(caught.value) or "sent more than" in str(caught.value)


def test_a_token_of_another_type_leaves_nobody_believe_that_the_old_one_is_unspent(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    old = signed_in()
    server.next_response(200, '{"access_token": "at", "refresh_token": "rt", "token_type": "DPoP", "expires_in": 60}')
    with pytest.raises(ProtocolError, match="type DPoP; only bearer tokens"):
        renew(profile, old)


# --- binding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "says"),
    [("client_id", "client id"), ("token_endpoint", "token endpoint"), ("issuer", "issuer")],
)
@pytest.mark.parametrize("act", [renew, revoke], ids=["renew", "revoke"])
def test_a_token_is_never_sent_where_it_does_not_belong(
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
    with pytest.raises(LoginRequired, match=f"another {says}"):
        act(profile, old)
    assert len(server.requests) == before


def test_metadata_that_moved_the_token_endpoint_need_a_person(
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
    with pytest.raises(LoginRequired, match="token endpoint"):
        renew(chosen, old)


# --- sign-out -------------------------------------------------------------------------------------------------------


def test_a_revoked_sign_in_is_dead(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:  # NET-9
    token = signed_in()
    revoke(profile, token)
    assert server.count("revoked") == 1
    with pytest.raises(LoginRequired):
        renew(profile, token)


def test_the_refresh_token_is_what_is_revoked(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    token = signed_in()
    revoke(profile, token)
    assert token.refresh_token is not None
    assert json.loads(server.requests[-1].body) == {
        "token": token.refresh_token.reveal(),
        "token_type_hint": "refresh_token",
        "client_id": server.client_id,
    }


def test_without_one_the_access_token_is(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    revoke(profile, attrs.evolve(signed_in(), refresh_token=None))
    assert json.loads(server.requests[-1].body)["token_type_hint"] == "access_token"


@pytest.mark.parametrize(("status", "error"), [(503, TransientError), (400, ProviderRefused), (302, ProtocolError)])
def test_a_revocation_that_failed_is_told(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, status: int, error: type[FreshkeyError]
) -> None:
    token = signed_in()
    server.next_response(status, "{}", endpoint="revoke")
    with pytest.raises(error):
        revoke(profile, token)


def test_keys_and_servers_without_revocation_are_refused(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**{**server.settings(), "revoke_url": None})
    with pytest.raises(ProviderRefused, match="offers no revocation"):
        revoke(chosen, signed_in(chosen))
    with pytest.raises(ProviderRefused, match="Console"):
        revoke(chosen, ClaudeApiKey(obtained=SYSTEM.now(), key=Secret("k-1")))
