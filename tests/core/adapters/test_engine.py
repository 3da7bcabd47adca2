"""What every adapter does: how often it sends, for which origins it signs, and what it does with a verdict."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping

import httpx
import pytest
from attrs import define, frozen

from freshkey.adapters.engine import Exchange, Response, Step, must_be_private, same_origin
from freshkey.adapters.httpx import KeeperAuth
from freshkey.errors import ConfigurationError
from freshkey.keeper import Keeper
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.verdict import ACCEPTED, REFUSED, Answer, Verdict
from freshkey.secret import Secret
from raises_code import raises_code
from rotating import World


URL = "https://api.example.com/v1/things"


@frozen(kw_only=True)
class Judging(OAuthToken):
    """A token that judges as a test says."""

    says: Callable[[Answer], Verdict] = lambda _: ACCEPTED

    def judge(self, answer: Answer) -> Verdict:
        return self.says(answer)


@define
class Reply(Response):
    """A response that an adapter received."""

    status: int = 200
    headers: Mapping[str, str] = {}
    url: str = URL
    method: str = "GET"


def token(world: World, says: Callable[[Answer], Verdict]) -> Judging:
    return Judging(obtained=world.clock.now(), clock=world.clock, access_token=Secret("at"), says=says)


@pytest.mark.parametrize(("status", "refused"), [(200, False), (400, False), (401, True), (403, False), (500, False)])
def test_only_a_401_rejects_other_credentials(world: World, status: int, refused: bool) -> None:
    for credential in (world.signed_in().get("me"), ApiKey(obtained=world.clock.now(), key=Secret("k"))):
        assert credential.judge(Reply(status)).refused is refused


def test_refused_credential_is_renewed_once(world: World) -> None:
    exchange = Exchange("GET", URL, token(world, lambda _: REFUSED))
    assert [exchange.after(Reply(403)) for _ in range(3)] == [Step.RENEW, Step.DONE, Step.DONE]


def test_headers_that_a_server_asked_for_are_sent_once(world: World) -> None:
    """RFC 9449, section 9: a nonce for DPoP."""
    seen: list[tuple[str, str]] = []

    def says(answer: Answer) -> Verdict:
        seen.append((answer.method, answer.url))
        return Verdict(again={"DPoP": f"proof with {answer.headers['DPoP-Nonce']}"})

    exchange = Exchange("GET", URL, token(world, says))
    nonce = httpx.Headers({"dpop-nonce": "n1"})
    assert exchange.after(Reply(401, nonce)) is Step.REPEAT
    assert exchange.headers(b"") == {"Authorization": "Bearer at", "DPoP": "proof with n1"}
    assert exchange.after(Reply(401, nonce)) is Step.DONE
    assert seen == [("GET", URL)] * 2


def test_body_is_read_only_if_a_credential_asks_for_it(world: World) -> None:
    def says(answer: Answer) -> Verdict:
        return REFUSED if answer.status == 400 and b"expired" in answer.peek() else ACCEPTED

    exchange = Exchange("GET", URL, token(world, says))
    assert exchange.after(Reply(200)) is Step.DONE
    reply = Reply(400)
    assert exchange.after(reply) is Step.PEEK
    reply.add_beginning(b"it has expired" + b"." * 10_000)
    assert len(reply.peek()) == 8192
    assert exchange.after(reply) is Step.RENEW


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://api.example.com:443/v2?x=1", True),
        ("https://API.example.com/", True),
        ("https://api.example.com:8443/", False),
        ("http://api.example.com/", False),
        ("https://api.example.com.evil.example/", False),
        ("https://evil.example/", False),
        ("https://api.example.com@evil.example/", False),
    ],
)
def test_nothing_is_signed_for_another_origin(world: World, other: str, same: bool) -> None:
    assert same_origin(URL, other) is same
    exchange = Exchange("GET", URL, token(world, lambda _: REFUSED))
    assert bool(exchange.headers(b"", other)) is same
    assert exchange.after(Reply(401, url=other)) is (Step.RENEW if same else Step.DONE)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://api.example.com/", True),
        ("http://127.0.0.1:8080/", True),
        ("http://localhost/", True),
        ("http://[::1]:9/", True),
        ("http://api.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1@evil.example/", False),
        ("http://10.0.0.1/", False),
        ("ws://api.example.com/", False),
        ("ws://localhost:8080/", True),
        ("wss://api.example.com/", True),
    ],
)
def test_plain_http_is_signed_for_this_machine_alone(url: str, private: bool) -> None:
    if private:
        must_be_private(url)
        return
    with raises_code(ConfigurationError, "request-not-encrypted"):
        must_be_private(url)


# --- httpx ----------------------------------------------------------------------------------------------------------


def always(credential: Credential) -> KeeperAuth:
    """Return an ``auth`` that always uses one credential."""

    class Source:
        def get(self, profile: str | None = None, **_: object) -> Credential:
            return credential

    return KeeperAuth(Source(), None)  # type: ignore[arg-type]


def client(
    world: World, server: Callable[[httpx.Request], httpx.Response], keeper: Keeper | None = None
) -> httpx.Client:
    auth = (keeper or world.signed_in()).auth("me")
    return httpx.Client(auth=auth, transport=httpx.MockTransport(server), follow_redirects=True)


def test_httpx_does_not_send_unencrypted_requests_unless_told_so(world: World) -> None:
    seen: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200)

    keeper = world.signed_in()
    with client(world, server, keeper) as http, raises_code(ConfigurationError, "request-not-encrypted"):
        http.get("http://gateway.example.com/v1")
    assert seen == []
    with httpx.Client(auth=keeper.auth("me", allow_http=True), transport=httpx.MockTransport(server)) as http:
        http.get("http://gateway.example.com/v1")
    assert seen == ["Bearer at-1"]


def test_httpx_sends_no_authorization_to_the_origin_of_a_redirect_and_believes_no_401_of_it(world: World) -> None:
    seen: list[tuple[str, str | None]] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("Authorization")))
        if request.url.host == "api.example.com":
            return httpx.Response(302, headers={"Location": "https://evil.example/"})
        return httpx.Response(401)

    keeper = world.signed_in()
    world.clock.advance(60)
    with client(world, server, keeper) as http:
        assert http.get(URL).status_code == 401
    assert seen == [("api.example.com", "Bearer at-1"), ("evil.example", None)]
    assert world.provider.sent == []


def test_httpx_repeats_a_request_as_a_verdict_asks(world: World) -> None:
    seen: list[str | None] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("DPoP"))
        return httpx.Response(200 if seen[-1] else 401)

    def says(answer: Answer) -> Verdict:
        return Verdict(again={"DPoP": "proof"}) if answer.status == 401 else ACCEPTED

    made = token(world, says)
    with httpx.Client(auth=always(made), transport=httpx.MockTransport(server)) as http:
        assert http.get(URL).status_code == 200
    assert seen == [None, "proof"]


def test_httpx_looks_into_a_compressed_body(world: World) -> None:
    whole = b'{"error": "expired"}' + b" " * 50_000
    sent: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(400, content=gzip.compress(whole), headers={"Content-Encoding": "gzip"})

    def says(answer: Answer) -> Verdict:
        return REFUSED if answer.status == 400 and b"expired" in answer.peek() else ACCEPTED

    made = token(world, says)
    with httpx.Client(auth=always(made), transport=httpx.MockTransport(server)) as http:
        assert http.get(URL).content == whole
    assert len(sent) == 2
