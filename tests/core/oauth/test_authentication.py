"""Client authentication: what each method adds to a request, and that it shows no secret."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from attrs import evolve

from freshkey.errors import ConfigurationError
from freshkey.model.exchange import Request, Response
from freshkey.oauth import (
    ClientAssertion,
    ClientAuthentication,
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    OAuthClient,
    PrivateKeyJwt,
    PublicClient,
    Server,
    device_sign_in,
)
from freshkey.secret import Secret
from freshkey_testing import ManualClock, ScriptedUser
from raises_code import raises_code
from sending import scripted


Answer = Callable[..., Response]
SECRET = Secret("canary secret/with:every%kind of~character*é")
TOKEN = {"access_token": "at-1", "expires_in": 60}
METHODS: dict[str, ClientAuthentication] = {
    "basic": ClientSecretBasic(SECRET),
    "post": ClientSecretPost(SECRET),
    "jwt": ClientSecretJwt(SECRET),
    "elsewhere": ClientAssertion(SECRET),
}


def fields_of(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def claims_of(request: Request) -> dict[str, Any]:
    part = fields_of(request)["client_assertion"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


@pytest.fixture
def request_of(
    server: Server, answer: Answer, wire: Callable[..., Any]
) -> Callable[[ClientAuthentication, str], Request]:
    def sent(authentication: ClientAuthentication, client_id: str = "me") -> Request:
        network = wire(answer(TOKEN))
        client = OAuthClient(server=server, client_id=client_id, send=network, authentication=authentication)
        client.client_credentials()
        request: Request = network.sent[0]
        return request

    return sent


class ClockThatJumps(ManualClock):
    """Waits for nobody."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.advance(timeout)
        return event.is_set()


RequestOf = Callable[..., Request]


def test_a_public_client_names_itself(request_of: RequestOf) -> None:
    request = request_of(PublicClient())

    assert fields_of(request) == {"grant_type": "client_credentials", "client_id": "me"}
    assert "Authorization" not in request.headers


def test_basic_encodes_both_as_in_a_form(request_of: RequestOf) -> None:
    """RFC 6749, appendix B, has the example of the secret here."""
    request = request_of(ClientSecretBasic(Secret(" %&+£€")), client_id="a:b-c_d.e*f~g")

    scheme, _, encoded = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == "a%3Ab-c_d.e*f%7Eg:+%25%26%2B%C2%A3%E2%82%AC"
    assert fields_of(request) == {"grant_type": "client_credentials"}


def test_basic_can_be_decoded(request_of: RequestOf) -> None:
    request = request_of(ClientSecretBasic(SECRET))

    pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(part) for part in pair.split(":")] == ["me", SECRET.reveal()]


def test_post_sends_both_in_the_body(request_of: RequestOf) -> None:
    request = request_of(ClientSecretPost(SECRET))

    assert fields_of(request) == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_secret": SECRET.reveal(),
    }


def test_an_assertion_is_about_the_client_and_for_the_server(request_of: RequestOf, server: Server) -> None:
    request = request_of(ClientSecretJwt(SECRET))

    claims = claims_of(request)
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("me", "me", server.issuer)
    fields = fields_of(request)
    assert fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert fields["client_id"] == "me"
    assert SECRET.reveal() not in str(fields)


def test_the_audience_may_be_given_and_is_the_token_endpoint_of_an_unknown_issuer(
    server: Server, answer: Answer, wire: Callable[..., Any]
) -> None:
    bare = evolve(server, issuer=None)
    expected = {ClientSecretJwt(SECRET): server.token_endpoint, ClientSecretJwt(SECRET, audience="x"): "x"}
    for method, audience in expected.items():
        network = wire(answer(TOKEN))
        OAuthClient(server=bare, client_id="me", send=network, authentication=method).client_credentials()
        assert claims_of(network.sent[0])["aud"] == audience


def test_the_audience_may_be_the_address_of_each_request(
    server: Server, answer: Answer, wire: Callable[..., Any]
) -> None:
    server = evolve(server, pushed_authorization_request_endpoint="https://id.example.com/par")
    network = wire(answer(TOKEN), answer(b""), answer({"request_uri": "urn:r", "expires_in": 60}, 201))
    method = ClientSecretJwt(SECRET, audience="endpoint")
    client = OAuthClient(server=server, client_id="me", send=network, authentication=method)
    client.refresh(Secret("rt"))
    client.revoke(Secret("rt"))
    client.push({"client_id": "me", "response_type": "code"})
    assert [claims_of(request)["aud"] for request in network.sent] == [request.url for request in network.sent]
    assert len({request.url for request in network.sent}) == 3


def test_what_cannot_authenticate_is_known_without_a_request(server: Server, wire: Callable[..., Any]) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(), authentication=PrivateKeyJwt(SECRET))
    with raises_code(ConfigurationError, "invalid-signing-key") as caught:
        client.ensure_authenticates()
    assert SECRET.reveal() not in str(caught.value)
    evolve(client, authentication=ClientSecretJwt(SECRET)).ensure_authenticates()


def test_a_private_key_that_is_none_is_not_sent(request_of: RequestOf) -> None:
    with raises_code(ConfigurationError, "invalid-signing-key"):
        request_of(PrivateKeyJwt(SECRET))


def test_a_private_key_signs(request_of: RequestOf) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    request = request_of(PrivateKeyJwt(Secret(pem), "EdDSA", key_id="k", header={"x5t": "t"}, lifetime=30))

    header = fields_of(request)["client_assertion"].split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "EdDSA", "typ": "JWT", "kid": "k", "x5t": "t"}
    assert claims_of(request)["exp"] - claims_of(request)["iat"] == 30


def test_an_assertion_from_elsewhere_is_sent_as_it_is(request_of: RequestOf) -> None:  # RFC 7523, section 2.2
    request = request_of(ClientAssertion(Secret("e30.canary.c2ln")))

    assert fields_of(request) == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "e30.canary.c2ln",
    }
    assert "Authorization" not in request.headers


def test_an_assertion_that_cannot_be_sent_is_not_quoted(request_of: RequestOf) -> None:
    with raises_code(ConfigurationError, "invalid-request-field") as caught:
        request_of(ClientAssertion(Secret("canary\ud800")))
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", METHODS)
def test_every_request_is_authenticated(server: Server, answer: Answer, wire: Callable[..., Any], name: str) -> None:
    server = evolve(server, pushed_authorization_request_endpoint="https://id.example.com/par")
    device = {
        "device_code": "d1",
        "user_code": "AB-CD",
        "verification_uri": "https://id.example.com/d",
        "expires_in": 600,
        "interval": 1,
    }
    network = wire(
        answer(TOKEN),
        answer(b""),
        answer({"request_uri": "urn:r", "expires_in": 60}, 201),
        answer(device),
        answer({"error": "authorization_pending"}, 400),
        answer(TOKEN),
    )
    client = OAuthClient(
        server=server, client_id="me", send=network, authentication=METHODS[name], clock=ClockThatJumps()
    )

    client.refresh(Secret("rt"))
    client.revoke(Secret("rt"))
    client.push({"client_id": "me", "response_type": "code"})
    user = ScriptedUser(device=lambda *_: None)
    device_sign_in(scripted(network, clock=client.clock), client, user, scopes=("a",))

    proofs = [
        fields_of(request).get("client_assertion", request.headers.get("Authorization", "") or request.body)
        for request in network.sent
    ]
    assert len(proofs) == 6
    if name == "jwt":
        assert len(set(proofs)) == 6  # servers accept each assertion once
    for request in network.sent:
        fields = fields_of(request)
        assert ("Authorization" in request.headers) == (name == "basic")
        assert ("client_secret" in fields) == (name == "post")
        assert ("client_assertion" in fields) == (name in {"jwt", "elsewhere"})
    # An authorization parameter, whether or not the client authenticates (RFC 9126, section 2.1).
    assert fields_of(network.sent[2])["client_id"] == "me"


@pytest.mark.parametrize("method", [*METHODS.values(), PrivateKeyJwt(SECRET)])
def test_repr_shows_no_secret(server: Server, wire: Callable[..., Any], method: ClientAuthentication) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(), authentication=method)

    assert "canary" not in repr(method) + repr(client)


@pytest.mark.parametrize("kind", [ClientSecretBasic, ClientSecretPost, ClientSecretJwt])
@pytest.mark.parametrize("secret", ["", "canary\ud800"])
def test_an_unusable_secret(kind: Callable[[Secret], ClientAuthentication], secret: str) -> None:
    with raises_code(ConfigurationError, "invalid-client-secret") as caught:
        kind(Secret(secret))
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
