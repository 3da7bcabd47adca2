"""Renewal and rotation policies, revocation, and endpoints that require an access token."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey_testing import Account, AuthorizationServer, ManualClock, Policy, Rotation
from plain_client import PlainClient


def test_a_renewal_rotates_the_refresh_token(server: AuthorizationServer, client: PlainClient) -> None:
    first = client.sign_in()
    second = client.renew(first["refresh_token"]).json
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert client.works(first["access_token"])
    assert client.works(second["access_token"])
    assert server.count("grant.refresh_token") == 1


def test_reuse_of_a_spent_refresh_token_revokes_the_sign_in(server: AuthorizationServer, client: PlainClient) -> None:
    first = client.sign_in()
    second = client.renew(first["refresh_token"]).json
    reply = client.renew(first["refresh_token"])
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")
    assert not client.works(second["access_token"])
    assert client.renew(second["refresh_token"]).status == 400
    kinds = [entry.kind for entry in server.log if entry.grant == 1]
    assert kinds.count("refresh_token.reused") == 1
    assert kinds.count("grant.revoked") == 1


def test_reuse_can_be_refused_without_revoking_the_sign_in(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.reuse_kills_grant = False
    first = client.sign_in()
    second = client.renew(first["refresh_token"]).json
    assert client.renew(first["refresh_token"]).status == 400
    assert client.works(second["access_token"])
    assert client.renew(second["refresh_token"]).status == 200


def test_reuse_in_one_sign_in_does_not_affect_others(client: PlainClient) -> None:
    other = client.sign_in()
    first = client.sign_in()
    client.renew(first["refresh_token"])
    client.renew(first["refresh_token"])
    assert client.renew(other["refresh_token"]).status == 200


def test_within_the_grace_period_the_same_tokens_are_returned_again() -> None:
    clock = ManualClock()
    with AuthorizationServer(Policy(grace=5), clock=clock) as server:
        client = PlainClient(server)
        first = client.sign_in()
        second = client.renew(first["refresh_token"]).json
        clock.advance(4)
        again = client.renew(first["refresh_token"]).json
        assert again["refresh_token"] == second["refresh_token"]
        assert again["access_token"] == second["access_token"]
        assert server.count("refresh_token.graced") == 1
        clock.advance(1)
        assert client.renew(first["refresh_token"]).status == 400
        assert server.count("refresh_token.reused") == 1


@pytest.mark.parametrize("rotation", [Rotation.REPEAT, Rotation.OMIT])
def test_rotation_can_be_disabled(server: AuthorizationServer, client: PlainClient, rotation: Rotation) -> None:
    server.policy.rotation = rotation
    first = client.sign_in()
    for _ in range(2):
        again = client.renew(first["refresh_token"]).json
        assert again.get("refresh_token") == (first["refresh_token"] if rotation is Rotation.REPEAT else None)
    assert server.count("grant.refresh_token") == 2


def test_refresh_tokens_can_be_disabled(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.issues_refresh_tokens = False
    assert "refresh_token" not in client.sign_in()


def test_access_tokens_can_be_revoked_on_renewal(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.access_dies_on_renewal = True
    first = client.sign_in()
    second = client.renew(first["refresh_token"]).json
    assert not client.works(first["access_token"])
    assert client.works(second["access_token"])


def test_access_tokens_expire_after_the_configured_lifetime() -> None:
    clock = ManualClock()
    with AuthorizationServer(Policy(lifetime=2.5), clock=clock) as server:
        client = PlainClient(server)
        tokens = client.sign_in()
        assert tokens["expires_in"] == 2
        clock.advance(2.4)
        assert client.works(tokens["access_token"])
        clock.advance(0.1)
        assert not client.works(tokens["access_token"])


def test_the_announced_lifetime_is_in_whole_seconds_and_can_be_wrong() -> None:
    assert Policy(lifetime=0.2).expires_in == 1
    assert Policy(lifetime=10.9).expires_in == 10
    assert Policy(lifetime=10, announced=99).expires_in == 99


def test_a_sign_in_can_be_too_old_to_renew() -> None:
    clock = ManualClock()
    with AuthorizationServer(Policy(refresh_lifetime=100), clock=clock) as server:
        client = PlainClient(server)
        tokens = client.sign_in()
        clock.advance(60)
        tokens = client.renew(tokens["refresh_token"]).json
        clock.advance(40)
        reply = client.renew(tokens["refresh_token"])
        assert reply.json == {"error": "invalid_grant", "error_description": "Refresh token expired"}


def test_an_unknown_refresh_token_is_refused(server: AuthorizationServer, client: PlainClient) -> None:
    assert client.renew("made-up").json["error"] == "invalid_grant"
    assert server.count("refresh_token.unknown") == 1
    assert server.count("grant.revoked") == 0


def test_revoking_a_refresh_token_revokes_the_sign_in(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    reply = client.post(server.urls.revoke, token=tokens["refresh_token"], token_type_hint="refresh_token")
    assert (reply.status, reply.body) == (200, b"")
    assert not client.works(tokens["access_token"])
    assert client.renew(tokens["refresh_token"]).status == 400
    assert server.count("revoked") == 1
    assert server.count("grant.revoked") == 1


def test_revoking_an_access_token_revokes_only_that_token(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    assert client.post_json(server.urls.revoke, token=tokens["access_token"]).status == 200
    assert not client.works(tokens["access_token"])
    assert client.renew(tokens["refresh_token"]).status == 200


def test_revoking_an_unknown_token_is_not_an_error(server: AuthorizationServer, client: PlainClient) -> None:
    assert client.post(server.urls.revoke, token="made-up").status == 200
    assert client.post(server.urls.revoke).json["error"] == "invalid_request"


def test_the_profile_contains_account_and_plan(server: AuthorizationServer, client: PlainClient) -> None:
    server.account = Account(email="bo@example.com", plan="team", rate_limit_tier="tier-9")
    profile = client.get(server.urls.profile, client.sign_in()["access_token"]).json
    assert profile["account"]["email"] == "bo@example.com"
    assert profile["organization"]["organization_type"] == "claude_team"
    assert profile["organization"]["rate_limit_tier"] == "tier-9"


def test_the_profile_follows_a_change_of_plan_but_not_of_account(
    server: AuthorizationServer, client: PlainClient
) -> None:
    token = client.sign_in()["access_token"]
    server.account = evolve(server.account, plan="pro")
    assert client.get(server.urls.profile, token).json["account"]["has_claude_pro"] is True
    server.account = Account(id="another", plan="max")
    assert client.get(server.urls.profile, token).json["account"]["has_claude_max"] is True
    assert client.get(server.urls.profile, token).json["account"]["uuid"] != "another"


def test_an_account_can_have_no_plan(server: AuthorizationServer, client: PlainClient) -> None:
    server.account = Account(plan=None)
    profile = client.get(server.urls.profile, client.sign_in()["access_token"]).json
    assert not profile["organization"]["organization_type"].startswith("claude_")


def test_the_profile_requires_its_scope(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.exchange(client.authorize(scope="user:inference")["code"]).json
    reply = client.get(server.urls.profile, tokens["access_token"])
    assert reply.status == 403
    assert "user:profile" in reply.json["error"]["message"]
    server.policy.profile_scope = ""
    assert client.get(server.urls.profile, tokens["access_token"]).status == 200


def test_the_resource_refuses_unknown_tokens(server: AuthorizationServer, client: PlainClient) -> None:
    for url in (server.urls.resource, server.urls.profile):
        reply = client.get(url, "made-up")
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert client.request("GET", url).status == 401
    assert server.count("bearer.refused") == 4


def test_every_secret_is_recorded_and_starts_with_the_canary(server: AuthorizationServer, client: PlainClient) -> None:
    from freshkey_testing.server.grants import CANARY

    callback = client.authorize()
    first = client.exchange(callback["code"]).json
    second = client.renew(first["refresh_token"]).json
    issued = {callback["code"], *(t[n] for t in (first, second) for n in ("access_token", "refresh_token"))}
    assert issued < server.secrets()
    assert all(secret.startswith(CANARY) for secret in issued)
    assert any("verifier" in secret for secret in server.secrets() - issued)


def test_the_log_contains_no_secret(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    client.renew(tokens["refresh_token"])
    client.post(server.urls.revoke, token=tokens["refresh_token"])
    client.renew("made-up-token")
    text = repr(server.log)
    assert text
    assert not [secret for secret in server.secrets() if secret in text]


def test_a_trusted_assertion_can_be_exchanged_repeatedly(server: AuthorizationServer, client: PlainClient) -> None:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    refused = client.post(server.urls.token, grant_type=grant, assertion="a.b.c")
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")
    server.trust("a.b.c")
    answers = [client.post(server.urls.token, grant_type=grant, assertion="a.b.c", scope="x").json for _ in range(2)]
    assert len({answer["access_token"] for answer in answers}) == 2
    assert all("refresh_token" not in answer and answer["scope"] == "x" for answer in answers)
    assert client.get(server.urls.resource, answers[0]["access_token"]).status == 200
    assert server.count("grant.assertion") == 2
    assert "a.b.c" in server.secrets()
