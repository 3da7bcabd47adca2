"""Conversion between OAuth's names and those of SSO-OIDC."""

from __future__ import annotations

import json

from freshkey.errors import LoginRequired
from freshkey.model.exchange import Request
from freshkey.oauth.answers import read_token
from freshkey_bedrock.sso.messages import encode, translated
from raises_code import raises_code
from sso_answers import answering


FIELDS = {
    "grant_type": "g",
    "client_id": "c",
    "code_verifier": "v",
    "redirect_uri": "r",
    "device_code": "d",
    "code": "x",
}


def test_request_fields_are_camel_case() -> None:
    request = encode("https://oidc.example/token", FIELDS, {})
    assert request.headers["Content-Type"] == "application/json"
    assert set(json.loads(request.body)) == {
        "grantType",
        "clientId",
        "codeVerifier",
        "redirectUri",
        "deviceCode",
        "code",
    }


def test_success_is_converted_to_oauth_and_error_is_unchanged() -> None:
    printed = {"accessToken": "at", "tokenType": "Bearer", "expiresIn": 60, "refreshToken": "rt", "idToken": None}
    send = translated(answering(json.dumps(printed).encode()).profile.send)
    answer = read_token(send(Request(method="POST", url="https://oidc.example/token")), 0.0)
    assert (answer.access_token.reveal(), answer.expires_in) == ("at", 60)
    refused = translated(answering(b'{"error": "invalid_grant"}', 400).profile.send)
    with raises_code(LoginRequired, "sign-in-ended"):
        read_token(refused(Request(method="POST", url="https://oidc.example/token")), 0.0)
