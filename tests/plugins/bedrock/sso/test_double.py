"""Verifies the double of IAM Identity Center with botocore's own clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from freshkey.oauth.protocol import DEVICE_GRANT
from freshkey_testing.browser import follow
from sso_double import ACCOUNT, ROLE, START_URL, SsoDouble


Client = Any


@pytest.fixture
def double() -> Iterator[SsoDouble]:
    with SsoDouble() as running:
        yield running


def client(name: str, double: SsoDouble) -> Client:
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0}, proxies={})
    return Session().create_client(name, region_name="eu-west-1", endpoint_url=double.url, config=config)


@pytest.fixture
def oidc(double: SsoDouble) -> Client:
    return client("sso-oidc", double)


@pytest.fixture
def portal(double: SsoDouble) -> Client:
    return client("sso", double)


@pytest.fixture
def registered(oidc: Client) -> dict[str, str]:
    known = oidc.register_client(clientName="verifier", clientType="public", scopes=["sso:account:access"])
    return {name: known[name] for name in ("clientId", "clientSecret")}


def begin(oidc: Client, registered: dict[str, str]) -> tuple[str, str]:
    started = oidc.start_device_authorization(**registered, startUrl=START_URL)
    assert started["interval"] == 1
    return started["deviceCode"], started["verificationUriComplete"]


def test_device_flow_leads_to_role_credentials(
    double: SsoDouble, oidc: Client, portal: Client, registered: dict[str, str]
) -> None:
    code, address = begin(oidc, registered)
    poll = {**registered, "grantType": DEVICE_GRANT, "deviceCode": code}
    with pytest.raises(oidc.exceptions.AuthorizationPendingException):
        oidc.create_token(**poll)
    follow(address)
    tokens = oidc.create_token(**poll)
    role = {"accountId": ACCOUNT, "roleName": ROLE, "accessToken": tokens["accessToken"]}
    assert portal.get_role_credentials(**role)["roleCredentials"]["accessKeyId"].startswith("ASIA")

    newer = oidc.create_token(**registered, grantType="refresh_token", refreshToken=tokens["refreshToken"])
    assert double.honors(newer["accessToken"])
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(**registered, grantType="refresh_token", refreshToken=tokens["refreshToken"])

    portal.logout(accessToken=newer["accessToken"])
    with pytest.raises(portal.exceptions.UnauthorizedException):
        portal.get_role_credentials(**role)


def test_errors_match_the_service_model(double: SsoDouble, oidc: Client, registered: dict[str, str]) -> None:
    code, address = begin(oidc, registered)
    double.knobs.slow_downs = 1
    follow(address)
    poll = {**registered, "grantType": DEVICE_GRANT, "deviceCode": code}
    with pytest.raises(oidc.exceptions.SlowDownException):
        oidc.create_token(**poll)
    double.knobs.denies = True
    follow(address)
    with pytest.raises(oidc.exceptions.AccessDeniedException):
        oidc.create_token(**poll)
    with pytest.raises(oidc.exceptions.InvalidClientException):
        oidc.create_token(**{**poll, "clientSecret": "another"})
    with pytest.raises(oidc.exceptions.UnsupportedGrantTypeException):
        oidc.create_token(**{**poll, "grantType": "password"})


def test_device_code_expires(double: SsoDouble, oidc: Client, registered: dict[str, str]) -> None:
    double.knobs.device_seconds = 0
    code, _ = begin(oidc, registered)
    with pytest.raises(oidc.exceptions.ExpiredTokenException):
        oidc.create_token(**registered, grantType=DEVICE_GRANT, deviceCode=code)


def test_portal_can_throttle_and_refuses_other_roles(
    double: SsoDouble, oidc: Client, portal: Client, registered: dict[str, str]
) -> None:
    code, address = begin(oidc, registered)
    follow(address)
    token = oidc.create_token(**registered, grantType=DEVICE_GRANT, deviceCode=code)["accessToken"]
    double.knobs.portal_status = [429]
    with pytest.raises(portal.exceptions.TooManyRequestsException):
        portal.get_role_credentials(accountId=ACCOUNT, roleName=ROLE, accessToken=token)
    with pytest.raises(ClientError, match="ForbiddenException"):
        portal.get_role_credentials(accountId=ACCOUNT, roleName="Administrator", accessToken=token)
