"""OAuth in the letters of SSO-OIDC: names there and back, and answers of any kind read without surprise or leak."""

from __future__ import annotations

import functools
import json
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey._http import client as http_client
from freshkey._http.messages import Request, Response
from freshkey.errors import FreshkeyError, LoginRequired
from freshkey.oauth.answers import read_token
from freshkey.secret import Secret
from freshkey_bedrock.sso import oidc, portal
from freshkey_bedrock.sso.messages import encode, translated
from freshkey_bedrock.sso.oidc import IdentityCenter
from freshkey_bedrock.sso.session import Registration, SsoSession
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_testing.leaks import assert_no_secret
from sso_double import START_URL, SsoDouble, fields_of


FIELDS = {
    "grant_type": "g",
    "client_id": "c",
    "code_verifier": "v",
    "redirect_uri": "r",
    "device_code": "d",
    "code": "x",
}
CANARY = "canary-of-the-client-secret"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def answering(body: bytes, status: int = 200) -> IdentityCenter:
    return IdentityCenter(
        oidc="https://oidc.example",
        start_url=START_URL,
        send=lambda request: Response(status=status, headers={}, body=body),
        clock=ManualClock(),
    )


def session(client_secret: str = "s") -> SsoSession:
    client = Registration(client_id="c", client_secret=Secret(client_secret), expires=2e9)
    return SsoSession(
        start_url=START_URL,
        access_token=Secret("a"),
        expires=0.0,
        refresh_token=Secret("canary-refresh"),
        client=client,
    )


def test_fields_are_written_in_camel_case() -> None:
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


def test_a_success_is_read_as_oauth_and_a_refusal_as_it_is() -> None:
    printed = {"accessToken": "at", "tokenType": "Bearer", "expiresIn": 60, "refreshToken": "rt", "idToken": None}
    send = translated(answering(json.dumps(printed).encode()).send)
    answer = read_token(send(Request(method="POST", url="https://oidc.example/token")), 0.0)
    assert (answer.access_token.reveal(), answer.expires_in) == ("at", 60)
    refused = translated(answering(b'{"error": "invalid_grant"}', 400).send)
    with pytest.raises(LoginRequired):
        read_token(refused(Request(method="POST", url="https://oidc.example/token")), 0.0)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(["clientId", "clientSecret", "clientSecretExpiresAt"]), anything))
def test_any_registration_is_read_or_refused(printed: dict[str, object]) -> None:
    outcome(lambda: oidc.register(answering(json.dumps(printed).encode()), "browser"))


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(["accessToken", "refreshToken", "expiresIn", "tokenType", "x"]), anything))
def test_any_token_is_read_or_refused(printed: dict[str, object]) -> None:
    outcome(lambda: oidc.renewed(session(), answering(json.dumps(printed).encode())))


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(["accessKeyId", "secretAccessKey", "sessionToken", "expiration"]), anything))
def test_any_role_credentials_are_read_or_refused(printed: dict[str, object]) -> None:
    body = json.dumps({"roleCredentials": printed}).encode()
    outcome(
        lambda: portal.role_keys(
            "https://portal.example",
            Secret("a"),
            account_id="111122223333",
            role_name="r",
            send=answering(body).send,
            now=0.0,
        )
    )


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=60), st.sampled_from([200, 201, 400, 401, 403, 404, 408, 429, 500, 503]))
def test_any_bytes_are_an_error_of_the_contract(body: bytes, status: int) -> None:
    for call in (
        lambda: oidc.renewed(session(), answering(body, status)),
        lambda: oidc.register(answering(body, status), "device"),
        lambda: portal.end_session("https://p.example", Secret("a"), send=answering(body, status).send, now=0.0),
    ):
        outcome(call)


def outcome(call: object) -> None:
    """Run it; anything but an answer or an error of the contract fails the test."""
    assert callable(call)
    try:
        call()
    except FreshkeyError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert_no_secret(shown, ["canary-refresh"], "a traceback")


def test_a_failing_sign_in_shows_the_client_secret_nowhere(double: SsoDouble, clock: ManualClock) -> None:
    double.knobs.bodies["/client/register"] = json.dumps(
        {"clientId": "c", "clientSecret": CANARY, "clientSecretExpiresAt": 2_000_000_000}
    ).encode()
    place = IdentityCenter(
        oidc=double.url,
        start_url=START_URL,
        send=functools.partial(http_client.send, allow_insecure_loopback=True),
        clock=clock,
        insecure=True,
    )
    for flow in ("browser", "device"):
        with pytest.raises(FreshkeyError) as error, ScriptedUser(browser=_decline) as user:
            oidc.sign_in(place, "device" if flow == "device" else "browser", user)
        shown = "".join(traceback.TracebackException.from_exception(error.value, capture_locals=True).format())
        assert_no_secret(shown, [CANARY], f"the traceback of the flow {flow}")


def _decline(url: str) -> None:
    asked = fields_of(url)
    follow(f"{asked['redirect_uri']}?error=access_denied&state={asked['state']}")
