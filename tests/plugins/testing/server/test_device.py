from __future__ import annotations

from typing import Any

import pytest

from freshkey_testing import AuthorizationServer, ManualClock, Policy, ScriptedUser
from freshkey_testing.browser import approve_device, visit
from freshkey_testing.server.token import DEVICE_GRANT
from plain_client import PlainClient


def begin(server: AuthorizationServer, client: PlainClient) -> dict[str, Any]:
    reply = client.post(server.urls.device, scope="user:profile")
    assert reply.status == 200
    answer: dict[str, Any] = reply.json
    return answer


def poll(server: AuthorizationServer, client: PlainClient, device: dict[str, Any]) -> Any:
    return client.post(server.urls.token, grant_type=DEVICE_GRANT, device_code=device["device_code"])


def test_a_device_sign_in_waits_for_the_user(server: AuthorizationServer, client: PlainClient) -> None:
    device = begin(server, client)
    assert device["verification_uri"] == server.urls.device_page
    assert device["interval"] == 1
    assert poll(server, client, device).json["error"] == "authorization_pending"
    with ScriptedUser(device=approve_device) as user:
        user.show_device_code(device["user_code"], device["verification_uri"], device["verification_uri_complete"])
    tokens = poll(server, client, device).json
    assert client.works(tokens["access_token"])
    assert tokens["scope"] == "user:profile"
    assert server.count("grant.device_code") == 1
    assert poll(server, client, device).json["error"] == "invalid_grant"


def test_polls_can_be_scripted(server: AuthorizationServer, client: PlainClient) -> None:
    device = begin(server, client)
    server.script_device("pending", "slow_down", "denied", "expired", "approved")
    errors = [poll(server, client, device).json["error"] for _ in range(4)]
    assert errors == ["authorization_pending", "slow_down", "access_denied", "expired_token"]
    assert poll(server, client, device).status == 200
    assert [e.detail for e in server.log if e.kind == "device.answered"][:2] == ["pending", "slow_down"]


def test_a_misspelled_script_is_an_error(server: AuthorizationServer) -> None:
    with pytest.raises(ValueError, match=r"slowdown.*slow_down"):
        server.script_device("pending", "slowdown")


def test_the_user_can_deny(server: AuthorizationServer, client: PlainClient) -> None:
    device = begin(server, client)
    visit(f"{device['verification_uri_complete']}&decision=deny")
    assert poll(server, client, device).json["error"] == "access_denied"
    assert server.count("device.denied") == 1


def test_a_device_code_expires() -> None:
    clock = ManualClock()
    with AuthorizationServer(Policy(device_lifetime=30, device_interval=None), clock=clock) as server:
        client = PlainClient(server)
        device = begin(server, client)
        assert device["expires_in"] == 30
        assert "interval" not in device
        clock.advance(30)
        assert poll(server, client, device).json["error"] == "expired_token"


@pytest.mark.parametrize("query", ["", "?user_code=XXXX-XXXX"])
def test_the_page_asks_for_the_code_if_it_is_missing_or_unknown(
    server: AuthorizationServer, client: PlainClient, query: str
) -> None:
    begin(server, client)
    assert "user_code" in visit(server.urls.device_page + query).text
    assert server.count("device.approved") == 0


def test_device_codes_are_secrets_and_user_codes_are_not(server: AuthorizationServer, client: PlainClient) -> None:
    device = begin(server, client)
    assert device["device_code"] in server.secrets()
    assert device["user_code"] not in server.secrets()
