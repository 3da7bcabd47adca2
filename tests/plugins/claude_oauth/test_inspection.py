"""Inspection says whether a credential is valid, and an unreachable server is a result, not an error."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

import freshkey_claude_oauth as provider
from freshkey.clock import SYSTEM
from freshkey.model.credential import Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken, ClaudeToken
from freshkey_testing import Account, AuthorizationServer, ManualClock


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., ClaudeToken]


def inspect(profile: Profile, credential: Credential) -> Inspection:
    answer = provider.describe(profile=profile, credential=credential)
    assert isinstance(answer, Inspection)
    assert answer.detail
    return answer


def test_live_token_is_valid_and_its_identity_is_updated(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:
    token = signed_in()
    server.account = Account(plan="pro")
    found = inspect(profile, token)
    assert found.validity is Validity.VALID
    assert found.identity is not None
    assert (found.identity.extra["plan"], found.identity.email) == ("pro", server.account.email)


def test_expired_token_is_not_sent(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn, clock: ManualClock
) -> None:
    token = signed_in()
    before = len(server.requests)
    clock.advance(3601)
    assert inspect(profile, token).validity is Validity.EXPIRED
    assert len(server.requests) == before


def test_revoked_token_is_refused(server: AuthorizationServer, profile: Profile, signed_in: SignIn) -> None:
    token = signed_in()
    server.revoke_grants()
    found = inspect(profile, token)
    assert found.validity is Validity.REFUSED
    assert found.identity == token.identity


@pytest.mark.parametrize(
    "fault",
    [
        lambda server: server.fail_with(503, endpoint="profile"),
        lambda server: server.fail_with(429, endpoint="profile"),
        lambda server: server.drop_next_request(endpoint="profile"),
        lambda server: server.next_response(200, "<html>", endpoint="profile"),
        lambda server: server.next_response(404, "", endpoint="profile"),
    ],
    ids=["503", "429", "dropped", "unreadable", "404"],
)
def test_failing_profile_endpoint_is_unreachable(
    server: AuthorizationServer,
    profile: Profile,
    signed_in: SignIn,
    fault: Callable[[AuthorizationServer], None],
) -> None:
    token = signed_in()
    fault(server)
    found = inspect(profile, token)
    assert found.validity is Validity.UNREACHABLE
    assert found.identity == token.identity


def test_token_without_the_profile_scope_cannot_be_checked(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**server.settings(), scopes=("user:inference",))
    found = inspect(chosen, signed_in(chosen))
    assert found.validity is Validity.UNCHECKABLE
    assert "user:profile" in found.detail


@pytest.mark.parametrize("kind", [ClaudeApiKey, ClaudeAuthToken])
def test_keys_cannot_be_checked_and_are_not_sent(
    server: AuthorizationServer, profile: Profile, kind: type[ClaudeApiKey | ClaudeAuthToken]
) -> None:
    found = inspect(profile, kind(obtained=SYSTEM.now(), key=Secret("k-1")))
    assert found.validity is Validity.UNCHECKABLE
    assert server.requests == []


def test_without_a_profile_endpoint_a_token_cannot_be_checked(
    server: AuthorizationServer, make_profile: MakeProfile, signed_in: SignIn
) -> None:
    chosen = make_profile(**{**server.settings(), "profile_url": None})
    token = signed_in(chosen)
    assert token.identity.email == server.account.email
    assert inspect(chosen, token).validity is Validity.UNCHECKABLE


def test_token_of_another_server_is_not_sent(
    server: AuthorizationServer, profile: Profile, signed_in: SignIn
) -> None:  # TRU-5
    token = attrs.evolve(signed_in(), token_endpoint="https://elsewhere.example/token")
    before = len(server.requests)
    assert inspect(profile, token).validity is Validity.UNCHECKABLE
    assert len(server.requests) == before
