"""The doubles of a security token service and of GitHub Actions' token endpoint, checked without freshkey.

google-auth is the real client of both; where it has no such call, plain HTTP is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
from google.auth import identity_pool
from google.auth.transport.requests import Request

from counterparts.actions import OWNER, ActionsTokens
from counterparts.authentication import CLIENT_ASSERTION, basic
from counterparts.exchanging import (
    ACCESS_TOKEN_TYPE,
    CLIENT_CREDENTIALS,
    ID_TOKEN_TYPE,
    JWT_BEARER_GRANT,
    JWT_TYPE,
    SUBJECT,
    TOKEN_EXCHANGE,
    IdentityProvider,
    TokenService,
)
from counterparts.signed import new_key, signed
from waiting import until


API = "https://api.example.test/"
OTHER_API = "https://other.example.test/"


@pytest.fixture
def identity() -> IdentityProvider:
    return IdentityProvider()


@pytest.fixture
def service(identity: IdentityProvider) -> Iterator[TokenService]:
    with TokenService(identity, targets=[API]) as service:
        yield service


def exchange(token: str, **changes: str) -> dict[str, str]:
    return {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": JWT_TYPE, **changes}


def bearer(token: str, **changes: str) -> dict[str, str]:
    return {"grant_type": JWT_BEARER_GRANT, "assertion": token, **changes}


def federated(token: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": CLIENT_CREDENTIALS,
        "client_id": "freshkey-tests",
        "client_assertion": token,
        "client_assertion_type": CLIENT_ASSERTION,
        **changes,
    }


REQUESTS = {"token-exchange": exchange, "jwt-bearer": bearer, "client-assertion": federated}
ERRORS = {
    "token-exchange": (400, "invalid_request"),
    "jwt-bearer": (400, "invalid_grant"),
    "client-assertion": (401, "invalid_client"),
}
FLAWS: dict[str, Callable[[IdentityProvider, str], str]] = {
    "signature": lambda identity, audience: IdentityProvider(key=new_key()).token(audience),
    "expired": lambda identity, audience: identity.token(audience, lifetime=-1),
    "audience": lambda identity, audience: identity.token(OTHER_API),
    "issuer": lambda identity, audience: identity.token(audience, iss="https://other.example.test"),
    "subject": lambda identity, audience: identity.token(audience, subject="repo:example/other"),
    "no subject": lambda identity, audience: signed(identity.key, iss=identity.issuer, aud=audience),
    "no expiry": lambda identity, audience: identity.token(audience, exp=None),
    "not yet": lambda identity, audience: identity.token(audience, nbf=32503680000),
    "no token": lambda identity, audience: "not a token",
    "unsigned": lambda identity, audience: "eyJhbGciOiJub25lIn0.e30.",
}


def ask(service: TokenService, form: dict[str, Any], auth: httpx.Auth | None = None) -> httpx.Response:
    return httpx.post(service.token_endpoint, data=form, auth=auth, trust_env=False, timeout=20)


def owner(service: TokenService, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{service.url}/userinfo", headers=headers, trust_env=False, timeout=20)


@pytest.mark.parametrize("way", REQUESTS)
def test_token_of_the_identity_provider_gets_an_access_token(
    service: TokenService, identity: IdentityProvider, way: str
) -> None:
    form = REQUESTS[way](identity.token(service.audience), scope="read", resource=API)
    answer = ask(service, form)
    tokens = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 60, "read")
    assert ("issued_token_type" in tokens) == (way == "token-exchange")
    assert "refresh_token" not in tokens
    assert owner(service, tokens["access_token"]).json() == {"sub": SUBJECT, "aud": [API], "scope": "read"}
    assert service.count(form["grant_type"]) == 1


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("way", REQUESTS)
def test_token_with_a_flaw_gets_the_error_of_the_rfc(
    service: TokenService, identity: IdentityProvider, way: str, flaw: str
) -> None:
    form = REQUESTS[way](FLAWS[flaw](identity, service.audience))
    answer = ask(service, form)
    assert (answer.status_code, answer.json()["error"]) == ERRORS[way]
    assert service.count(form["grant_type"], error=ERRORS[way][1]) == 1
    assert service.count(form["grant_type"]) == 0


def test_same_token_may_be_used_again(service: TokenService, identity: IdentityProvider) -> None:
    """A token from a file is used until the file has a new one."""
    form = federated(identity.token(service.audience))
    first, second = ask(service, form).json(), ask(service, form).json()
    assert first["access_token"] != second["access_token"]


def test_key_of_the_identity_provider_may_be_replaced(service: TokenService, identity: IdentityProvider) -> None:
    old = identity.token(service.audience)
    identity.key = new_key("k2", "RS256")
    assert ask(service, exchange(old)).json()["error"] == "invalid_request"
    assert ask(service, exchange(identity.token(service.audience))).is_success


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_exchange_for_an_unknown_target_is_refused(
    service: TokenService, identity: IdentityProvider, name: str
) -> None:
    form = exchange(identity.token(service.audience)) | {name: OTHER_API}
    assert ask(service, form).json()["error"] == "invalid_target"


@pytest.mark.parametrize(
    "change",
    [
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": ""},
        {"subject_token": ""},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "a-token"},
        {"scope": ["read", "write"]},
    ],
    ids=str,
)
def test_exchange_with_wrong_parameters_is_refused(
    service: TokenService, identity: IdentityProvider, change: dict[str, Any]
) -> None:
    answer = ask(service, exchange(identity.token(service.audience)) | change)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_exchange_takes_id_tokens_and_says_what_it_issued(service: TokenService, identity: IdentityProvider) -> None:
    token = identity.token(service.audience)
    answer = ask(service, exchange(token, subject_token_type=ID_TOKEN_TYPE)).json()
    assert answer["issued_token_type"] == ACCESS_TOKEN_TYPE
    assert ask(service, exchange(token, requested_token_type=JWT_TYPE)).json()["issued_token_type"] == JWT_TYPE


def test_exchange_may_need_a_client_with_a_secret(identity: IdentityProvider) -> None:
    with TokenService(identity, client_secret="s3cret +/%:") as service:
        form = exchange(identity.token(service.audience))
        assert (ask(service, form).status_code, ask(service, form).json()["error"]) == (401, "invalid_client")
        named = form | {"client_id": "freshkey-tests"}
        assert ask(service, named | {"client_secret": "wrong"}).status_code == 401
        assert ask(service, named | {"client_secret": "s3cret +/%:"}).is_success
        assert ask(service, form, basic("s3cret +/%:")(named)).is_success


def test_exchange_may_refuse_tokens_with_another_error(identity: IdentityProvider) -> None:
    with TokenService(identity, subject_error="invalid_grant") as service:
        assert ask(service, exchange(identity.token(OTHER_API))).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "other"}, "invalid_client"),
        ({"client_id": None}, "invalid_request"),
        ({"client_assertion": None}, "invalid_client"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
    ids=str,
)
def test_client_credentials_with_wrong_parameters_are_refused(
    service: TokenService, identity: IdentityProvider, change: dict[str, Any], error: str
) -> None:
    form = federated(identity.token(service.audience)) | change
    assert ask(service, {name: value for name, value in form.items() if value}).json()["error"] == error


def test_audience_of_the_tokens_may_be_a_fixed_one(identity: IdentityProvider) -> None:
    """Microsoft Entra ID wants `api://AzureADTokenExchange`, at every tenant."""
    with TokenService(identity, audience="api://AzureADTokenExchange") as service:
        assert ask(service, federated(identity.token("api://AzureADTokenExchange"))).is_success
        assert ask(service, federated(identity.token(service.issuer))).json()["error"] == "invalid_client"


def test_access_token_expires(identity: IdentityProvider) -> None:
    with TokenService(identity, access_token_seconds=1) as service:
        token = ask(service, exchange(identity.token(service.audience))).json()["access_token"]
        until(lambda: owner(service, token).status_code == 401, pause=0.1)


def test_refused_request_has_no_effect(service: TokenService, identity: IdentityProvider) -> None:
    service.refuse(1, status=503)
    form = exchange(identity.token(service.audience))
    assert (ask(service, form).status_code, service.calls) == (503, [])
    assert ask(service, form).is_success


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
def test_metadata_name_the_token_endpoint(service: TokenService, path: str) -> None:
    metadata = httpx.get(f"{service.issuer}/.well-known/{path}", trust_env=False).json()
    assert (metadata["issuer"], metadata["token_endpoint"]) == (service.issuer, service.token_endpoint)


def test_calls_show_no_secret(service: TokenService, identity: IdentityProvider) -> None:
    token = identity.token(service.audience)
    ask(service, exchange(token))
    assert token not in repr(service.calls)
    assert service.calls[0].form["subject_token"] == [token]


def test_job_on_github_gets_tokens_for_an_audience(identity: IdentityProvider, service: TokenService) -> None:
    with ActionsTokens(identity) as actions:
        variables = actions.environment
        url = f"{variables['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={httpx.URL(service.audience)}"
        headers = {"Authorization": f"bearer {variables['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
        token = httpx.get(url, headers=headers, trust_env=False).json()["value"]
        assert ask(service, exchange(token)).is_success
        assert httpx.get(variables["ACTIONS_ID_TOKEN_REQUEST_URL"], headers=headers, trust_env=False).is_success
        assert actions.audiences == [service.audience, OWNER]


def test_job_on_github_without_its_request_token_is_refused(identity: IdentityProvider) -> None:
    with ActionsTokens(identity) as actions:
        url = actions.environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
        for headers in ({}, {"Authorization": "bearer wrong"}):
            assert httpx.get(url, headers=headers, trust_env=False).status_code == 401
        good = {"Authorization": f"bearer {actions.environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
        assert httpx.get(url.partition("?")[0], headers=good, trust_env=False).status_code == 404
        assert (actions.refused, actions.audiences) == (3, [])


def test_google_auth_gets_a_token_at_github_and_exchanges_it(identity: IdentityProvider) -> None:
    """This is how Google's own action configures a job."""
    pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/github"
    with TokenService(identity, targets=[pool]) as service, ActionsTokens(identity) as actions:
        variables = actions.environment
        source = {
            "url": f"{variables['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={service.audience}",
            "headers": {"Authorization": f"Bearer {variables['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }
        credentials = identity_pool.Credentials(
            audience=pool,
            subject_token_type=JWT_TYPE,
            token_url=service.token_endpoint,
            credential_source=source,
            scopes=["read"],
        )
        session = requests.Session()
        session.trust_env = False
        credentials.refresh(Request(session))
        assert credentials.token is not None
        assert owner(service, credentials.token).json() == {"sub": SUBJECT, "aud": [pool], "scope": "read"}
        assert service.count(TOKEN_EXCHANGE) == 1
