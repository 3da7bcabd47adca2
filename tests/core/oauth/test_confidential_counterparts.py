"""Clients with secrets and keys, ID tokens and userinfo, at a certified authorization server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from counterparts.oidc import OidcServer
from counterparts.oidc import sign_in as visit
from freshkey.errors import LoginRequired
from freshkey.oauth import (
    ClientAuthentication,
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    OAuthClient,
    PrivateKeyJwt,
    Server,
    authorize,
    discover,
    new_state,
)
from freshkey.secret import Secret
from freshkey_testing import ScriptedUser
from raises_code import raises_code
from sending import on_loopback


pytestmark = pytest.mark.counterpart

PROFILE = on_loopback()
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = Secret(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
SECRET = Secret("s3cret +/%:~*&= that is longer than 32 characters")
METHODS: dict[str, ClientAuthentication] = {
    "client_secret_basic": ClientSecretBasic(SECRET),
    "client_secret_post": ClientSecretPost(SECRET),
    "client_secret_jwt": ClientSecretJwt(SECRET),
    "private_key_jwt": PrivateKeyJwt(PEM, "ES256", key_id="k1"),
}


def jwk() -> dict[str, str]:
    numbers = KEY.public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": x, "y": y}


def machine(method: str) -> dict[str, Any]:
    shown = {"jwks": {"keys": [jwk()]}} if method == "private_key_jwt" else {"client_secret": SECRET.reveal()}
    return {"client_id": f"machine:{method}", "token_endpoint_auth_method": method, **shown}


@pytest.fixture(scope="module")
def oidc() -> Iterator[OidcServer]:
    with OidcServer(access_token_seconds=60, machines=[machine(method) for method in METHODS]) as server:
        yield server


@pytest.fixture(scope="module")
def server(oidc: OidcServer) -> Server:
    return discover(PROFILE, oidc.issuer)


@pytest.mark.parametrize("method", METHODS)
def test_a_client_gets_tokens_for_itself(server: Server, method: str) -> None:
    client = OAuthClient.of(PROFILE, server, f"machine:{method}", authentication=METHODS[method])

    first, second = client.client_credentials(), client.client_credentials()

    assert first.access_token != second.access_token
    assert (first.expires_in, first.refresh_token) == (60, None)
    client.revoke(first.access_token, "access_token")


@pytest.mark.parametrize("wrong", [ClientSecretBasic(Secret("wrong")), PrivateKeyJwt(PEM, "ES256", audience="x")])
def test_a_client_that_is_another(server: Server, wrong: ClientAuthentication) -> None:
    method = "client_secret_basic" if isinstance(wrong, ClientSecretBasic) else "private_key_jwt"

    with raises_code(LoginRequired, "client-not-accepted"):
        OAuthClient.of(PROFILE, server, f"machine:{method}", authentication=wrong).client_credentials()


def test_who_signed_in(oidc: OidcServer, server: Server) -> None:
    client, nonce = OAuthClient.of(PROFILE, server, oidc.client_id), new_state()
    extra = {"prompt": "consent", "nonce": nonce}
    with ScriptedUser(browser=visit) as user:
        tokens = client.exchange(authorize(PROFILE, client, user, scopes=("openid", "email"), extra=extra))

    identity = client.identity(tokens, nonce=nonce)
    asked = client.userinfo(tokens.access_token, known=identity)

    assert (identity.account, asked.account) == ("alice", "alice")
    assert asked.email == "alice@example.test"
