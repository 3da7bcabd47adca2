"""Signed assertions: what is in them, that others can verify them, and keys that do not fit."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.errors import ConfigurationError
from freshkey.oauth import Algorithm, ClientSecretJwt, PrivateKeyJwt, signed_assertion
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
FIXED = settings(derandomize=True, database=None, max_examples=100)
SHARED = "canary-shared-secret-that-is-long-enough"


def pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode())


KEYS: dict[Algorithm, Secret] = {
    "HS256": Secret(SHARED),
    "RS256": pem(RSA),
    "PS256": pem(RSA),
    "ES256": pem(P256),
    "EdDSA": pem(ED25519),
}
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts(token: Secret) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.reveal().split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims))


def signature(token: Secret) -> tuple[bytes, bytes]:
    signed, _, end = token.reveal().rpartition(".")
    return signed.encode(), decoded(end)


def test_claims_and_header() -> None:
    clock = ManualClock()
    now = int(clock.now().wall)

    token = signed_assertion(
        key=KEYS["RS256"],
        algorithm="RS256",
        issuer="app-7",
        subject="me",
        audience="https://api.example.com",
        lifetime=600,
        backdate=60,
        key_id="k1",
        claims={"scope": "a b"},
        header={"x5t#S256": "thumb"},
        clock=clock,
        random=bytes,
    )

    header, claims = parts(token)
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1", "x5t#S256": "thumb"}
    assert claims.pop("jti") == "A" * 43
    assert claims == {
        "iss": "app-7",
        "sub": "me",
        "aud": "https://api.example.com",
        "scope": "a b",
        "iat": now - 60,
        "exp": now + 600,
    }


def test_what_is_not_given_is_left_out() -> None:
    header, claims = parts(signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="app-7"))

    assert header == {"alg": "HS256", "typ": "JWT"}
    assert set(claims) == {"iss", "iat", "exp", "jti"}


def test_each_assertion_has_its_own_id() -> None:
    one, other = (parts(signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="a"))[1] for _ in range(2))

    assert one["jti"] != other["jti"]


def test_hs256_is_verified_by_the_shared_secret() -> None:
    signed, given = signature(signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="a"))

    assert hmac.digest(SHARED.encode(), signed, hashlib.sha256) == given


def test_others_are_verified_by_the_public_key() -> None:
    signed, given = signature(signed_assertion(key=KEYS["RS256"], algorithm="RS256", issuer="a"))
    RSA.public_key().verify(given, signed, padding.PKCS1v15(), hashes.SHA256())
    signed, given = signature(signed_assertion(key=KEYS["PS256"], algorithm="PS256", issuer="a"))
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    RSA.public_key().verify(given, signed, salted, hashes.SHA256())
    signed, given = signature(signed_assertion(key=KEYS["ES256"], algorithm="ES256", issuer="a"))
    assert len(given) == 64
    pair = encode_dss_signature(int.from_bytes(given[:32], "big"), int.from_bytes(given[32:], "big"))
    P256.public_key().verify(pair, signed, ec.ECDSA(hashes.SHA256()))
    signed, given = signature(signed_assertion(key=KEYS["EdDSA"], algorithm="EdDSA", issuer="a"))
    ED25519.public_key().verify(given, signed)


WRONG = {
    "no key at all": Secret("canary, nothing but words"),
    "empty": Secret(""),
    "unpaired surrogate": Secret("canary\ud800"),
    "a public key": Secret(RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()),
    "a passphrase": pem(RSA, BestAvailableEncryption(b"canary")),
    "too small": pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505  the one that is refused
    "another curve": pem(ec.generate_private_key(ec.SECP384R1())),
    "cut off": Secret(pem(RSA).reveal()[:400]),
}


@pytest.mark.parametrize("algorithm", [algorithm for algorithm in ALGORITHMS if algorithm != "HS256"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_key_is_never_quoted(algorithm: Algorithm, wrong: str) -> None:
    with raises_code(ConfigurationError, "invalid-signing-key") as caught:
        signed_assertion(key=WRONG[wrong], algorithm=algorithm, issuer="a")

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    assert str(caught.value).startswith(algorithm)


@pytest.mark.parametrize("algorithm", [algorithm for algorithm in ALGORITHMS if algorithm != "HS256"])
def test_keys_of_another_kind(algorithm: Algorithm) -> None:
    fitting = {"RS256", "PS256"} if algorithm in {"RS256", "PS256"} else {algorithm}
    for name, key in KEYS.items():
        if name not in fitting:
            with raises_code(ConfigurationError, "invalid-signing-key"):
                signed_assertion(key=key, algorithm=algorithm, issuer="a")


@pytest.mark.parametrize("key", [Secret(""), KEYS["RS256"], WRONG["a public key"]])
def test_a_key_in_pem_format_is_no_shared_secret(key: Secret) -> None:
    with raises_code(ConfigurationError, "invalid-signing-key"):
        signed_assertion(key=key, algorithm="HS256", issuer="a")


def test_an_unknown_algorithm() -> None:
    with raises_code(ConfigurationError, "invalid-signing-key") as caught:
        signed_assertion(key=KEYS["HS256"], algorithm="none", issuer="a")  # type: ignore[arg-type]  # a plugin's mistake

    assert "HS256, RS256, PS256, ES256, EdDSA" in str(caught.value)


@pytest.mark.parametrize("more", [{"claims": {"exp": 1}}, {"header": {"alg": "none"}}])
def test_what_it_sets_itself_cannot_be_overridden(more: Any) -> None:
    with raises_code(ConfigurationError, "reserved-parameter"):
        signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="a", **more)


def made(**more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return parts(signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="a", clock=ManualClock(), **more))


@pytest.mark.parametrize("lifetime", [0, 0.99, -1, -300.0, float("nan"), float("inf"), float("-inf")])
def test_lifetime_with_which_it_would_never_be_valid(lifetime: float) -> None:
    with pytest.raises(ValueError, match="at least one"):
        made(lifetime=lifetime)
    with pytest.raises(ValueError, match="at least one"):
        PrivateKeyJwt(KEYS["RS256"], lifetime=lifetime)
    with pytest.raises(ValueError, match="at least one"):
        ClientSecretJwt(Secret(SHARED), lifetime=lifetime)


@pytest.mark.parametrize("backdate", [-0.1, float("nan"), float("inf")])
def test_start_in_the_future_or_nowhere(backdate: float) -> None:
    with pytest.raises(ValueError, match="not negative"):
        made(backdate=backdate)


def test_several_who_accept_it() -> None:
    assert made(audience=("https://a.example", "https://b.example"))[1]["aud"] == [
        "https://a.example",
        "https://b.example",
    ]
    assert made(audience=["https://a.example"])[1]["aud"] == ["https://a.example"]
    with pytest.raises(ValueError, match="audience is empty"):
        made(audience=[])
    with pytest.raises(TypeError, match="'aud'"):
        made(audience=[b"canary"])


def too_deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(100_000):
        inner = [inner]
    return inner


def circle() -> list[Any]:
    inner: list[Any] = ["canary"]
    inner.append(inner)
    return inner


NO_JSON: dict[str, tuple[object, str]] = {
    "date": (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
    "bytes": (b"canary", "bytes"),
    "secret": (Secret("canary"), "Secret"),
    "set": ({"canary"}, "set"),
    "nan": (float("nan"), "float"),
    "inside": ({"canary": [{"canary": float("inf")}]}, "dict"),
    "name": ({b"canary": 1}, "dict"),
    "deep": (too_deep(), "list"),
    "circle": (circle(), "list"),
}


@pytest.mark.parametrize("case", NO_JSON)
@pytest.mark.parametrize(("where", "what"), [("claims", "claim"), ("header", "header parameter")])
def test_what_is_no_json_is_named_and_not_quoted(case: str, where: str, what: str) -> None:
    value, kind = NO_JSON[case]
    with pytest.raises(TypeError) as caught:
        made(**{where: {"fine": 1, "about": value}})
    assert str(caught.value) == f"the {what} 'about', of type {kind}, cannot be written as JSON"
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown.replace("canary()", "")
    assert caught.value.__context__ is None


def test_name_that_is_no_text() -> None:
    with pytest.raises(TypeError, match="a claim has a name of type bytes instead of str"):
        made(claims={b"canary": 1})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
others = st.binary() | st.sets(st.integers(), min_size=1) | st.just(float("nan")) | st.complex_numbers() | st.dates()


@FIXED
@given(st.dictionaries(st.text().map("x-{}".format), json_values, max_size=4), st.floats(1.0, 1e9), st.floats(0.0, 1e9))
def test_every_json_value_arrives_as_it_is(claims: dict[str, Any], lifetime: float, backdate: float) -> None:
    header, read = made(claims=claims, header=claims, lifetime=lifetime, backdate=backdate)
    for part in (header, read):
        assert {name: part[name] for name in claims} == claims
    assert read["iat"] <= int(ManualClock().now().wall) < read["exp"]
    assert {type(read["iat"]), type(read["exp"])} == {int}


@FIXED
@given(st.recursive(others, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=4))
def test_every_other_value_is_one_kind_of_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"^the claim 'about', of type [a-z]+, cannot be written as JSON$"):
        made(claims={"about": value})


def test_without_the_package_the_hint_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with raises_code(ConfigurationError, "missing-package") as caught:
        signed_assertion(key=KEYS["RS256"], algorithm="RS256", issuer="a")
    assert "freshkey[jwt]" in (caught.value.hint or "")
    assert signed_assertion(key=KEYS["HS256"], algorithm="HS256", issuer="a")
