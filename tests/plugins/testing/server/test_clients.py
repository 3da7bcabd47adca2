"""Clients that authenticate, tokens for the client itself, ID tokens and userinfo, with freshkey's own client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from freshkey.errors import LoginRequired, OutcomeUnknown, ProtocolError, ProviderRefused
from freshkey.model.exchange import Request, Response
from freshkey.model.identity import Identity
from freshkey.oauth import (
    Algorithm,
    ClientAuthentication,
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    Grant,
    OAuthClient,
    Pkce,
    PrivateKeyJwt,
    PublicClient,
    device_sign_in,
    discover,
)
from freshkey.secret import Secret
from freshkey_testing import Account, AuthorizationServer, ManualClock
from freshkey_testing.user import ScriptedUser
from plain_client import REDIRECT, VERIFIER, PlainClient
from raises_code import raises_code
from sending import on_loopback


Method = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
KEYS: dict[Algorithm, PrivateKeyTypes] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": (rsa_key := rsa.generate_private_key(65537, 2048)),
    "PS256": rsa_key,
}


def private_pem(algorithm: Algorithm) -> Secret:
    return Secret(KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


class ClockThatJumps(ManualClock):
    """Waits for nobody."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.advance(timeout)
        return event.is_set()


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    public = KEYS["EdDSA"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with AuthorizationServer(client_public_key=public) as running:
        yield running


def authentication(server: AuthorizationServer, method: Method) -> ClientAuthentication:
    secret = Secret(server.client_secret)
    return {
        "client_secret_basic": ClientSecretBasic(secret),
        "client_secret_post": ClientSecretPost(secret),
        "client_secret_jwt": ClientSecretJwt(secret),
        "private_key_jwt": PrivateKeyJwt(private_pem("EdDSA"), "EdDSA"),
    }[method]


def client_of(server: AuthorizationServer, method: ClientAuthentication | None = None) -> OAuthClient:
    profile = on_loopback()
    found = discover(profile, server.urls.issuer, look_for=("userinfo_endpoint", "revocation_endpoint"))
    return OAuthClient.of(profile, found, server.client_id, authentication=method or PublicClient())


METHODS: tuple[Method, ...] = ("client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt")


@pytest.mark.parametrize("method", METHODS)
def test_a_client_gets_a_token_for_itself(server: AuthorizationServer, method: Method) -> None:
    server.policy.client_authentication = method
    client = client_of(server, authentication(server, method))

    token = client.client_credentials(scopes=("a",))
    assert (token.scopes, token.refresh_token, "account" in token.extra) == (("a",), None, False)
    assert PlainClient(server).works(token.access_token.reveal())
    client.revoke(token.access_token, "access_token")
    assert not PlainClient(server).works(token.access_token.reveal())
    assert server.count("grant.client_credentials") == 1


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_are_refused(server: AuthorizationServer, method: Method) -> None:
    server.policy.client_authentication = method
    others = [PublicClient(), *(authentication(server, other) for other in METHODS if other != method)]
    if method == "client_secret_jwt":
        others += [ClientSecretJwt(Secret("another")), ClientSecretJwt(Secret(server.client_secret), audience="x")]
    if method in {"client_secret_basic", "client_secret_post"}:
        others += [ClientSecretBasic(Secret("wrong")), ClientSecretPost(Secret("wrong"))]

    for other in others:
        with raises_code(LoginRequired, "client-not-accepted"):
            client_of(server, other).client_credentials()
    assert server.count("request.refused") == len(others)


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_algorithm_is_verified(algorithm: Algorithm) -> None:
    public = KEYS[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with AuthorizationServer(client_public_key=public) as server:
        server.policy.client_authentication = "private_key_jwt"

        client_of(server, PrivateKeyJwt(private_pem(algorithm), algorithm)).client_credentials()
        for other, key in KEYS.items():
            if key is not KEYS[algorithm]:
                with pytest.raises(LoginRequired):
                    client_of(server, PrivateKeyJwt(private_pem(other), other)).client_credentials()


def test_an_assertion_ends(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "client_secret_jwt"
    past = ManualClock(wall=1e9)

    with raises_code(LoginRequired, "client-not-accepted"):
        evolve(client_of(server, ClientSecretJwt(Secret(server.client_secret))), clock=past).client_credentials()


def test_an_assertion_is_accepted_once(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "client_secret_jwt"
    sent: list[Request] = []

    def keep(request: Request) -> Response:
        sent.append(request)
        return on_loopback().send(request)

    evolve(client_of(server, ClientSecretJwt(Secret(server.client_secret))), send=keep).client_credentials()

    assert on_loopback().send(sent[0]).status == 401


def test_a_public_client_gets_none(server: AuthorizationServer) -> None:
    with raises_code(ProviderRefused, "request-refused"):
        client_of(server).client_credentials()


def test_a_refusal_asks_for_the_header(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "client_secret_basic"
    for header in ("Basic !", "Basic bWU=", "Bearer x", "Basic"):
        reply = PlainClient(server).request(
            "POST",
            server.urls.token,
            b"grant_type=client_credentials",
            Content_Type="application/x-www-form-urlencoded",
            Authorization=header,
        )
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Basic")


def test_an_assertion_that_cannot_be_read(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "private_key_jwt"
    for assertion in ("x", "a.b.c", "W10.W10.W10", "e30.e30.!", "e30.e30.e30"):
        reply = PlainClient(server).post(
            server.urls.token, grant_type="client_credentials", client_assertion=assertion, client_assertion_type="?"
        )
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")


def test_id_token_and_userinfo_describe_the_account(server: AuthorizationServer) -> None:
    plain, client = PlainClient(server), client_of(server)
    server.account = Account(email="bo@example.com", id="bo")
    code = plain.authorize(scope="openid", nonce="n-1")["code"]
    pkce = Pkce(verifier=Secret(VERIFIER), challenge="")

    tokens = client.exchange(Grant(code=Secret(code), redirect_uri=REDIRECT, pkce=pkce, state="the-state"))

    identity = client.identity(tokens, nonce="n-1", organization="org_id")
    assert (identity.account, identity.email, identity.organization) == (
        *("bo", "bo@example.com"),
        server.account.organization_id,
    )
    with raises_code(ProtocolError, "invalid-id-token"):
        client.identity(tokens, nonce="another")
    assert client.userinfo(tokens.access_token, known=identity).email == "bo@example.com"
    assert server.count("userinfo.read") == 1
    assert tokens.extra["id_token"] in server.secrets()
    with raises_code(LoginRequired, "sign-in-required"):
        client.userinfo(Secret("unknown"), known=identity)


def test_without_openid_there_is_neither(server: AuthorizationServer) -> None:
    tokens = PlainClient(server).sign_in()

    assert "id_token" not in tokens
    with raises_code(ProviderRefused, "provider-refused"):
        client_of(server).userinfo(Secret(tokens["access_token"]), known=Identity(account="user"))


def test_a_token_of_the_client_describes_nobody(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "client_secret_post"
    client = client_of(server, ClientSecretPost(Secret(server.client_secret)))
    token = client.client_credentials(scopes=("openid", "user:profile"))

    assert "id_token" not in token.extra
    for url in (server.urls.userinfo, server.urls.profile):
        assert PlainClient(server).get(url, token.access_token.reveal()).status == 403


def test_a_server_without_an_authorization_endpoint(server: AuthorizationServer) -> None:
    server.policy.authorization_endpoint = False

    client = client_of(server)

    assert client.server.authorization_endpoint is None
    assert server.count("authorization.approved") == 0


def test_device_and_pushed_requests_are_authenticated_too(server: AuthorizationServer) -> None:
    server.policy.client_authentication = "client_secret_jwt"
    server.policy.pushed_requests = "offered"
    server.policy.device_interval = 1
    server.script_device("pending", "approved")
    jumping = ClockThatJumps(wall=time.time())
    client = evolve(client_of(server, ClientSecretJwt(Secret(server.client_secret))), clock=jumping)

    challenge = {"code_challenge": "A" * 43, "code_challenge_method": "S256"}
    fields = {"client_id": server.client_id, "response_type": "code", "redirect_uri": REDIRECT, **challenge}
    assert client.push(fields).request_uri
    with raises_code(ProviderRefused, "request-refused"):
        client_of(server).push(fields)
    shown: list[str] = []
    user = ScriptedUser(device=lambda code, *_: shown.append(code))
    answer = device_sign_in(on_loopback(clock=jumping), client, user, scopes=("a",))
    assert answer.scopes == ("a",)
    assert len(shown) == 1
    assert server.count("device.answered") == 2


def test_a_key_that_nobody_gave_the_server_is_the_tests_own_mistake() -> None:
    def ask() -> None:
        with AuthorizationServer() as server:
            server.policy.client_authentication = "private_key_jwt"
            with suppress(OutcomeUnknown):
                client_of(server, PrivateKeyJwt(private_pem("EdDSA"), "EdDSA")).client_credentials()

    with pytest.raises(ValueError, match="client_public_key"):
        ask()


def test_an_id_token_is_verified_with_the_key_that_the_server_publishes(server: AuthorizationServer) -> None:
    server.policy.signature_algorithm = "ES256"
    client = client_of(server)
    code = PlainClient(server).authorize(scope="openid")["code"]
    pkce = Pkce(verifier=Secret(VERIFIER), challenge="")
    answer = client.exchange(Grant(code=Secret(code), redirect_uri=REDIRECT, pkce=pkce, state="the-state"))
    assert client.verified_identity(answer).account == server.account.claims()["sub"]

    server.policy.signature_algorithm = "HS256"
    with raises_code(ProtocolError, "id-token-signature"):
        client.verified_identity(answer)
