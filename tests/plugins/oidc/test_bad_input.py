"""Hostile and broken issuers at a sign-in: each gives a clear error, costs no stored sign-in and is told no secret."""

from __future__ import annotations

import base64
import functools
import json
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hmac
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

import freshkey_oidc
from counterparts.signed import new_key, public
from freshkey import Keeper
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey_oidc.formats import OidcToken
from freshkey_testing import ManualClock, ScriptedExchanges
from promises import proves
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeKeeper = Callable[..., Keeper]

HTML = {"headers": {"content-type": "text/html"}, "body": b"<!DOCTYPE html><html><body>Sign in</body></html>"}
SECRETS = re.compile(r"access-\d|refresh-\d|a-code|eyJ|canary")
CANARY = "canary-5c0de1e7"


@pytest.fixture(autouse=True)
def _only_one_document(freshkey_http: ScriptedExchanges, issuer: ScriptedIssuer) -> None:
    """The issuer has nothing in the other places; any other request fails the test, whatever host it goes to."""
    del issuer  # whose answers come first
    freshkey_http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)


@pytest.fixture
def keeper(freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer) -> Keeper:
    return freshkey_keeper({"oidc": freshkey_oidc}, {"work": {"provider": "oidc", **issuer.settings}})


def login(keeper: Keeper, issuer: ScriptedIssuer, **changes: str) -> OidcToken:
    with issuer.user(**changes) as user:
        token = keeper.login(interaction=user, replace=True)
    assert isinstance(token, OidcToken)
    return token


def check_quotes_nothing(error: FreshkeyError, logged: str) -> None:
    """Fail if an error, its hint, its traceback or the log has a token, a code or an ID token."""
    texts = [str(error), str(error.hint), repr(error), *traceback.format_exception(error), logged]
    assert not any(SECRETS.search(text) for text in texts)


# --- ID tokens -------------------------------------------------------------------------------------------------------


Make = Callable[[ScriptedIssuer, dict[str, Any]], Any]


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(algorithm: object = "none", signature: str = "") -> Make:
    return lambda _, claims: f"{part({'alg': algorithm})}.{part(claims)}.{signature}"


def by_secret(key: bytes) -> Make:
    return lambda _, claims: jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key), algorithms=["HS256"])


def by_public_key(issuer: ScriptedIssuer, claims: dict[str, Any]) -> str:
    """Return a token whose shared secret is the text of the public key, which a confused verifier would use."""
    text = f"{part({'alg': 'HS256', 'kid': str(issuer.key.kid)})}.{part(claims)}"
    code = hmac.HMAC(issuer.key.as_pem(private=False), SHA256())
    code.update(text.encode())
    return f"{text}.{base64.urlsafe_b64encode(code.finalize()).rstrip(b'=').decode()}"


def by_another_key(issuer: ScriptedIssuer, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "ES256", "kid": str(issuer.key.kid)}, claims, new_key())


def with_header(**members: object) -> Make:
    return lambda issuer, claims: jwt.encode(
        {"alg": str(issuer.key.alg), "kid": str(issuer.key.kid)} | members, claims, issuer.key
    )


def with_key_in_header(_: ScriptedIssuer, claims: dict[str, Any]) -> str:
    key = new_key("own")
    return jwt.encode({"alg": "ES256", "jwk": public(key)}, claims, key)


def tampered(issuer: ScriptedIssuer, claims: dict[str, Any]) -> str:
    header, _, signature = issuer.signed(claims).split(".")
    return f"{header}.{part(claims | {'sub': 'admin'})}.{signature}"


def with_critical_extension(issuer: ScriptedIssuer, claims: dict[str, Any]) -> str:
    """Return a token that is well signed, but demands an extension."""
    text = f"{part({'alg': 'ES256', 'crit': ['b64'], 'b64': True})}.{part(claims)}"
    signature = JWSRegistry.algorithms["ES256"].sign(text.encode(), issuer.key)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def always(value: object) -> Make:
    return lambda *_: value


ID_TOKENS: dict[str, tuple[Make, str]] = {
    "not signed": (unsigned(), "id-token-signature"),
    "not signed, in another case": (unsigned("NONE"), "id-token-signature"),
    "signed with an algorithm that is a list": (unsigned(["ES256"], "c2ln"), "id-token-signature"),
    "signed with an algorithm that is an object": (unsigned({"a": 1}, "c2ln"), "id-token-signature"),
    "signed with no algorithm": (unsigned(None, "c2ln"), "id-token-signature"),
    "signed with the client secret": (by_secret(CANARY.encode() * 2), "id-token-signature"),
    "signed with the public key as a secret": (by_public_key, "id-token-signature"),
    "signed with another key": (by_another_key, "id-token-signature"),
    "signed with a key that it brings along": (with_key_in_header, "id-token-signature"),
    "signed with a key of another name": (with_header(kid="k2"), "id-token-signature"),
    "in need of an extension": (with_critical_extension, "id-token-signature"),
    "changed": (tampered, "id-token-signature"),
    "signed over something else": (unsigned("ES256", "c2ln"), "id-token-signature"),
    "encrypted": (always("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"), "invalid-id-token"),
    "a JSON object": (always({"sub": "user-1"}), "invalid-id-token"),
    "a JSON text": (always('{"sub": "user-1"}'), "invalid-id-token"),
    "of two parts": (lambda issuer, claims: issuer.signed(claims).rpartition(".")[0], "invalid-id-token"),
    "a megabyte": (always("eyJ" + "a" * 1_000_000), "invalid-id-token"),
    "no claims": (lambda issuer, _: issuer.signed({}), "invalid-id-token"),
}


@pytest.mark.parametrize("which", ID_TOKENS)
@proves("FLO-13")
def test_id_token_that_is_not_the_issuers(
    which: str, keeper: Keeper, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    first = login(keeper, issuer)
    make, code = ID_TOKENS[which]
    issuer.id_token = functools.partial(make, issuer)
    with raises_code(ProtocolError, code) as caught:
        login(keeper, issuer)
    check_quotes_nothing(caught.value, caplog.text)
    assert keeper.get().headers() == first.headers()


MINUTE = 60
CLAIMS: dict[str, dict[str, object]] = {
    "of another issuer": {"iss": "https://other.example.test"},
    "of the issuer with a slash": {"iss": ISSUER + "/"},
    "of the issuer in another case": {"iss": "https://ID.example.test"},
    "for another client": {"aud": "app-2"},
    "for two clients": {"aud": ["app-1", "app-2"]},
    "for another party": {"aud": ["app-1", "app-2"], "azp": "app-2"},
    "with another nonce": {"nonce": "canary"},
    "with no nonce": {"nonce": None},
    "over for ten minutes": {"exp": -10 * MINUTE},
    "issued in ten minutes": {"iat": 10 * MINUTE},
    "valid in ten minutes": {"nbf": 10 * MINUTE},
    "with no end": {"exp": None},
    "with no subject": {"sub": None},
    "with a number as subject": {"sub": 7},
    "with a subject that would be shown otherwise": {"sub": "ad\u202emin"},
}
SKEWED: dict[str, dict[str, object]] = {
    "over for two minutes": {"exp": -2 * MINUTE},
    "issued in two minutes": {"iat": 2 * MINUTE},
    "valid in two minutes": {"nbf": 2 * MINUTE},
    "for this client in a list": {"aud": ["app-1"]},
    "for two clients, issued to this one": {"aud": ["app-1", "app-2"], "azp": "app-1"},
}


def claimed(claims: Mapping[str, object], clock: ManualClock) -> dict[str, object]:
    """Return claims whose times are those of the clock."""
    now = int(clock.now().wall)
    return {name: now + value if type(value) is int and name != "sub" else value for name, value in claims.items()}


@pytest.mark.parametrize("which", CLAIMS)
@proves("FLO-13")
def test_id_token_with_a_wrong_claim(
    which: str,
    keeper: Keeper,
    issuer: ScriptedIssuer,
    freshkey_clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = login(keeper, issuer)
    issuer.claims = claimed(CLAIMS[which], freshkey_clock)
    asked = len(issuer.http.requests)
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        login(keeper, issuer)
    check_quotes_nothing(caught.value, caplog.text)
    assert not any(request.url.endswith("/keys") for request in issuer.http.requests[asked:])
    assert keeper.get().headers() == first.headers()


@pytest.mark.parametrize("which", SKEWED)
def test_id_token_of_a_clock_that_differs_by_two_minutes_or_for_several_clients(
    which: str, keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    issuer.claims = claimed(SKEWED[which], freshkey_clock)
    assert login(keeper, issuer).identity.account == "user-1"


def test_error_about_the_time_of_an_id_token_names_the_clock(
    keeper: Keeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    issuer.claims = claimed({"exp": -10 * MINUTE}, freshkey_clock)
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        login(keeper, issuer)
    assert "clock" in str(caught.value.hint)


@proves("FLO-13")
def test_id_token_of_an_earlier_sign_in_is_refused(keeper: Keeper, issuer: ScriptedIssuer) -> None:
    made: list[str] = []

    def keep(claims: dict[str, Any]) -> str:
        made.append(issuer.signed(claims))
        return made[0]

    issuer.id_token = keep
    login(keeper, issuer)
    with raises_code(ProtocolError, "invalid-id-token"):
        login(keeper, issuer)


@pytest.mark.parametrize("none", [None, ""])
def test_without_an_id_token_the_userinfo_endpoint_says_who_signed_in(
    none: str | None, keeper: Keeper, issuer: ScriptedIssuer
) -> None:
    issuer.id_token = lambda _: none
    assert login(keeper, issuer).identity.account == "user-1"


# --- the issuer's keys -----------------------------------------------------------------------------------------------


KEYS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "a page": (HTML, IntermediaryAnswer, "answered-in-between"),
    "an error": ({"status": 500}, TransientError, "temporarily-unavailable"),
    "a refusal": ({"status": 403, "json": {}}, ProviderRefused, "provider-refused"),
    "nothing": ({"json": {"keys": []}}, ProtocolError, "id-token-signature"),
    "no list": ({"json": {"keys": {"k1": CANARY}}}, ProtocolError, "id-token-signature"),
    "no object": ({"json": [CANARY]}, ProtocolError, "invalid-response"),
    "a silence": ({"fault": "after-sending"}, OutcomeUnknown, "response-lost"),
    "unreachable": ({"fault": "before-sending"}, TransientError, "connection-failed"),
    "a curve that nobody knows": (
        {"json": {"keys": [{"kty": "EC", "kid": "k1", "crv": "zz", "x": "AA", "y": "AA"}]}},
        ProtocolError,
        "id-token-signature",
    ),
    "nonsense": (
        {"json": {"keys": [None, 7, {"kty": ["EC"]}, {"kty": "EC", "x": 5}, {"kty": "oct", "k": CANARY}]}},
        ProtocolError,
        "id-token-signature",
    ),
}


@pytest.mark.parametrize("which", KEYS)
@proves("FLO-13")
def test_keys_that_cannot_be_used(
    which: str, keeper: Keeper, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    first = login(keeper, issuer)
    answer, kind, code = KEYS[which]
    issuer.metadata["jwks_uri"] = f"{ISSUER}/other-keys"
    issuer.http.on("GET", f"{ISSUER}/other-keys", **answer)
    with raises_code(kind, code) as caught:
        login(keeper, issuer)
    check_quotes_nothing(caught.value, caplog.text)
    assert keeper.get().headers() == first.headers()


def test_key_that_cannot_be_used_does_not_stand_in_the_way_of_another(keeper: Keeper, issuer: ScriptedIssuer) -> None:
    issuer.published.insert(0, {"kty": "EC", "kid": "k1", "crv": "zz", "x": "AA", "y": "AA"})
    assert login(keeper, issuer).identity.account == "user-1"


# --- metadata --------------------------------------------------------------------------------------------------------


ENDPOINTS = [
    "token_endpoint",
    "authorization_endpoint",
    "revocation_endpoint",
    "jwks_uri",
    "device_authorization_endpoint",
]
ELSEWHERE = [
    "https://other.example.test/x",
    "https://169.254.169.254/latest/meta-data/",
    "http://id.example.test/x",
    "https://id.example.test.evil.example/x",
    "https://evilid.example.test/x",
    "https://id.example.test@evil.example/x",
    "https://localhost/x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "pushed_authorization_request_endpoint"])
@proves("FLO-11", "FAULT-57")
def test_endpoint_elsewhere_is_refused_before_anything_is_sent_to_it(
    endpoint: str, url: str, keeper: Keeper, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    first = login(keeper, issuer)
    issuer.metadata[endpoint] = url
    with issuer.user() as user, raises_code(ProviderRefused, "invalid-metadata") as caught:
        keeper.login(interaction=user, replace=True)
    assert user.opened == []
    assert "example.test/x" not in str(caught.value) + str(caught.value.hint)
    check_quotes_nothing(caught.value, caplog.text)
    assert keeper.get().headers() == first.headers()


@pytest.mark.parametrize("url", ELSEWHERE)
def test_userinfo_endpoint_elsewhere_is_never_asked(url: str, keeper: Keeper, issuer: ScriptedIssuer) -> None:
    issuer.metadata["userinfo_endpoint"] = url
    token = login(keeper, issuer)
    assert (token.userinfo_endpoint, token.identity.account) == (None, "user-1")


ISSUERS = [
    "https://other.example.test",
    ISSUER + "/",
    "https://ID.example.test",
    "http://id.example.test",
    None,
    7,
    [ISSUER],
]


@pytest.mark.parametrize("named", ISSUERS)
@proves("FLO-11")
def test_metadata_of_another_issuer(named: object, keeper: Keeper, issuer: ScriptedIssuer) -> None:
    first = login(keeper, issuer)
    issuer.metadata["issuer"] = named
    with issuer.user() as user, raises_code(ProviderRefused, "metadata-issuer-mismatch"):
        keeper.login(interaction=user, replace=True)
    assert user.opened == []
    assert keeper.get().headers() == first.headers()
