from __future__ import annotations

import contextlib
import http.client
import threading

import pytest

from freshkey_testing import AuthorizationServer
from freshkey_testing.server.wire import Asked
from plain_client import PlainClient


def test_the_next_response_can_be_anything_and_the_request_is_not_acted_on(
    server: AuthorizationServer, client: PlainClient
) -> None:
    tokens = client.sign_in()
    server.next_response(200, "<html>", {"Content-Type": "text/html", "X-Odd": "1"})
    server.next_response(400)
    odd = client.renew(tokens["refresh_token"])
    assert (odd.status, odd.body, odd.headers["x-odd"]) == (200, b"<html>", "1")
    empty = client.renew(tokens["refresh_token"])
    assert (empty.status, empty.body) == (400, b"")
    assert client.renew(tokens["refresh_token"]).status == 200
    assert server.count("grant.refresh_token") == 1
    assert server.count("fault") == 2


def test_a_response_can_be_shorter_than_its_content_length(server: AuthorizationServer, client: PlainClient) -> None:
    server.next_response(200, b'{"access_', {"Content-Length": "100"})
    with pytest.raises(http.client.IncompleteRead):
        client.renew("any")


def test_a_request_with_a_dropped_response_was_acted_on(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.drop_next_answer()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.renew(tokens["refresh_token"])
    assert server.count("grant.refresh_token") == 1
    assert client.renew(tokens["refresh_token"]).status == 400
    assert server.count("refresh_token.reused") == 1


def test_a_dropped_request_was_not_acted_on(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.drop_next_request()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.renew(tokens["refresh_token"])
    assert server.count("grant.refresh_token") == 0
    assert client.renew(tokens["refresh_token"]).status == 200


def test_an_outage_lasts_until_recovery(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.fail_with(503, retry_after=7)
    for _ in range(2):
        reply = client.renew(tokens["refresh_token"])
        assert (reply.status, reply.headers["retry-after"]) == (503, "7")
    server.fail_with(429, retry_after="Fri, 31 Dec 2027 23:59:59 GMT")
    assert client.renew(tokens["refresh_token"]).headers["retry-after"].startswith("Fri")
    server.recover()
    assert client.renew(tokens["refresh_token"]).status == 200


def test_faults_of_one_endpoint_do_not_affect_the_others(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.fail_with(500, endpoint="profile")
    assert client.get(server.urls.profile, tokens["access_token"]).status == 500
    assert "retry-after" not in client.get(server.urls.profile, tokens["access_token"]).headers
    assert client.works(tokens["access_token"])
    server.recover(endpoint="profile")
    assert client.get(server.urls.profile, tokens["access_token"]).status == 200


def test_responses_can_be_held_after_the_request_was_acted_on(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    replies: list[int] = []
    server.hold()
    thread = threading.Thread(target=lambda: replies.append(client.renew(tokens["refresh_token"]).status), daemon=True)
    thread.start()
    server.wait_until_held()
    assert server.count("grant.refresh_token") == 1
    assert replies == []
    assert client.works(tokens["access_token"])
    server.release()
    thread.join(10)
    assert replies == [200]


def test_stopping_the_server_sends_held_responses() -> None:
    replies: list[int] = []
    with AuthorizationServer() as server:
        client = PlainClient(server)
        server.hold()
        thread = threading.Thread(target=lambda: replies.append(client.renew("any").status), daemon=True)
        thread.start()
        server.wait_until_held()
    thread.join(10)
    assert replies == [400]


def test_waiting_times_out(server: AuthorizationServer) -> None:
    with pytest.raises(TimeoutError, match="0"):
        server.wait_until_held(timeout=0.01)
    with pytest.raises(TimeoutError, match=r"'grant\.revoked'"):
        server.wait_for("grant.revoked", timeout=0.01)


def test_waiting_for_the_log(server: AuthorizationServer, client: PlainClient) -> None:
    thread = threading.Thread(target=client.sign_in, daemon=True)
    thread.start()
    server.wait_for("grant.authorization_code")
    assert server.count("grant.authorization_code") == 1
    thread.join(10)


def test_access_tokens_can_expire_early(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.expire_access_tokens()
    assert not client.works(tokens["access_token"])
    assert client.renew(tokens["refresh_token"]).status == 200


def test_sign_ins_can_be_revoked_by_the_server(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.revoke_grants()
    server.revoke_grants()
    assert client.renew(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert not client.works(tokens["access_token"])
    assert server.count("grant.revoked") == 1


def test_a_server_can_forget_its_grants(server: AuthorizationServer, client: PlainClient) -> None:
    tokens = client.sign_in()
    server.forget()
    assert client.renew(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert client.sign_in()["refresh_token"]
    assert [entry.grant for entry in server.log if entry.kind == "grant.authorization_code"] == [1, 2]


def test_requests_are_recorded(server: AuthorizationServer, client: PlainClient) -> None:
    client.request("POST", server.urls.token, b"{}", Content_Type="application/json", X_Beta="on")
    asked = server.requests[-1]
    assert (asked.method, asked.path, asked.headers["x-beta"]) == ("POST", "/v1/oauth/token", "on")


def test_every_response_has_a_request_id(server: AuthorizationServer, client: PlainClient) -> None:
    first = client.request("GET", f"{server.urls.issuer}/nowhere")
    assert first.status == 404
    assert first.headers["request-id"] != client.renew("x").headers["request-id"]


def test_an_exception_in_an_endpoint_fails_the_test() -> None:
    def broken(account: object) -> dict[str, object]:
        raise ZeroDivisionError

    def use_it() -> None:
        with AuthorizationServer() as server:
            server.token_fields = broken
            client = PlainClient(server)
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                client.exchange(client.authorize()["code"])

    with pytest.raises(ZeroDivisionError):
        use_it()


def test_repr_of_a_request_shows_no_secret() -> None:
    asked = Asked(
        method="POST",
        path="/x",
        query=(("code", "canary"),),
        headers={"authorization": "Bearer canary"},
        body=b"refresh_token=canary",
    )
    assert "canary" not in repr(asked)


def test_many_threads_are_served_concurrently(server: AuthorizationServer, client: PlainClient) -> None:
    token = client.sign_in()["access_token"]
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(client.works(token)), daemon=True) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [True] * 50


def test_only_one_of_concurrent_renewals_succeeds(server: AuthorizationServer, client: PlainClient) -> None:
    refresh_token = client.sign_in()["refresh_token"]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.renew(refresh_token).status), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(statuses) == [200] + [400] * 7
    assert server.count("grant.refresh_token") == 1
