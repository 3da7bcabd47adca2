"""Metadata in several places: an endpoint that only one of them lists is found, and renewals do not look for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from freshkey._http import bound
from freshkey.errors import ProviderRefused
from freshkey.model.profile import Profile
from freshkey.plugin import Request, Response, Secret
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.renewal import renew
from freshkey_claude_oauth.signout import revoke
from freshkey_testing import ManualClock
from raises_code import raises_code


ISSUER = "https://id.example.com/tenant"
BASE = {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token"}
REVOKE = {"revocation_endpoint": f"{ISSUER}/revoke"}
TOKENS = {"access_token": "at-2", "refresh_token": "rt-2", "token_type": "Bearer", "expires_in": 600}

MakeProfile = Callable[..., Profile]


class Network:
    """A server whose documents are given by path; everything else is an HTML page with status 200."""

    def __init__(self, documents: dict[str, object]) -> None:
        self.documents = documents
        self.paths: list[str] = []

    def __call__(self, request: Request) -> Response:
        path = urlsplit(request.url).path
        self.paths.append(path)
        body = b"<html>" if path not in self.documents else json.dumps(self.documents[path]).encode()
        return Response(status=200, headers={}, body=body)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network(
        {
            "/tenant/.well-known/oauth-authorization-server": {**BASE, **REVOKE},
            "/tenant/.well-known/openid-configuration": BASE,
            "/tenant/token": TOKENS,
            "/tenant/revoke": {},
        }
    )
    monkeypatch.setattr(bound, "send", lambda request, **_: network(request))
    return network


@pytest.fixture
def token() -> ClaudeToken:
    return ClaudeToken(
        obtained=ManualClock().now(),
        access_token=Secret("at-1"),
        refresh_token=Secret("rt-1"),
        issuer=ISSUER,
        token_endpoint=BASE["token_endpoint"],
        client_id="me",
        source="oauth",
    )


def test_sign_out_revokes_where_only_one_document_lists_the_endpoint(
    network: Network, token: ClaudeToken, make_profile: MakeProfile
) -> None:
    revoke(make_profile(issuer=ISSUER, client_id="me"), token)

    assert network.paths[-1] == "/tenant/revoke"


@pytest.mark.parametrize(
    "place", ["/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/openid-configuration"]
)
def test_sign_out_reads_further_documents(
    network: Network, token: ClaudeToken, make_profile: MakeProfile, place: str
) -> None:
    network.documents["/tenant/.well-known/oauth-authorization-server"] = BASE
    network.documents[place] = {**BASE, **REVOKE}

    revoke(make_profile(issuer=ISSUER, client_id="me"), token)

    assert network.paths[-1] == "/tenant/revoke"


def test_renewal_does_not_look_for_a_revocation_endpoint(
    network: Network, token: ClaudeToken, make_profile: MakeProfile
) -> None:
    network.documents = {**network.documents, "/.well-known/oauth-authorization-server/tenant": BASE}

    renew(make_profile(issuer=ISSUER, client_id="me", clock=ManualClock()), token)

    assert network.paths == ["/.well-known/oauth-authorization-server/tenant", "/tenant/token"]


def test_a_configured_revocation_endpoint_is_not_looked_for(
    network: Network, token: ClaudeToken, make_profile: MakeProfile
) -> None:
    network.documents = {"/.well-known/oauth-authorization-server/tenant": BASE, "/tenant/other": {}}

    revoke(make_profile(issuer=ISSUER, client_id="me", revoke_url=f"{ISSUER}/other"), token)

    assert network.paths == ["/.well-known/oauth-authorization-server/tenant", "/tenant/other"]


def test_no_document_lists_a_revocation_endpoint(
    network: Network, token: ClaudeToken, make_profile: MakeProfile
) -> None:
    network.documents["/tenant/.well-known/oauth-authorization-server"] = BASE

    with raises_code(ProviderRefused, "revocation-not-supported"):
        revoke(make_profile(issuer=ISSUER, client_id="me"), token)
