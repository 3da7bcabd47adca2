"""Signatures of ID tokens: which are verified, with which of the published keys, and what is refused."""

from __future__ import annotations

import base64
import hmac
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from crash_report import crash_report
from freshkey.errors import ConfigurationError, FreshkeyError, ProtocolError, ProviderRefused, TransientError
from freshkey.model.exchange import Response
from freshkey.oauth import Server, TokenAnswer, check_signature, keys_request, read_keys
from freshkey.secret import MAX_TOKEN, Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


Answer = Callable[..., Response]
CANARY: Final = "canary-5d1e77aa02c3"
PAYLOAD: Final = json.dumps({"sub": CANARY}).encode()

KINDS: Final = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
    "Ed448": "Ed448",
}
"""The kind of key for each algorithm that is verified."""


@cache
def key_of(kind: str, number: int = 0) -> Key:
    """Return a private key, the same for the same arguments."""
    del number
    if kind.startswith("RSA"):
        pem = generate_private_key(65537, int(kind.partition(" ")[2] or 2048)).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        with warnings.catch_warnings(action="ignore"):
            return RSAKey.import_key(pem)
    if kind.startswith(("Ed", "X")):
        return OKPKey.generate_key(kind)  # type: ignore[arg-type]
    return ECKey.generate_key(kind)


def public(key: Key, **members: object) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": "k1", **members}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(key: Key | None, algorithm: str = "RS256", header: object = None, payload: bytes = PAYLOAD) -> str:
    """Return a token that is signed with an algorithm, whatever its header says; without a key, not signed."""
    head = {"alg": algorithm, "kid": "k1"} if header is None else header
    content = f"{base64url(json.dumps(head).encode())}.{base64url(payload)}"
    signature = JWSRegistry.algorithms[algorithm].sign(content.encode(), key) if key else b""
    return f"{content}.{base64url(signature)}"


def answer_with(token: object) -> TokenAnswer:
    return TokenAnswer(access_token=Secret("at"), extra={"id_token": token})


def check(token: object, *keys: Mapping[str, Any]) -> None:
    check_signature(answer_with(token), keys)


def refused(token: str, *keys: Mapping[str, Any]) -> str:
    """Expect that a token is refused; return the message."""
    with raises_code(ProtocolError, "id-token-signature") as caught:
        check(token, *keys)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None
    return caught.value.message


# --- what is verified -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), [*KINDS.items(), ("EdDSA", "Ed448")])
def test_signature_with_a_published_key_is_verified(algorithm: str, kind: str) -> None:
    key = key_of(kind)
    check(signed(key, algorithm), public(key))
    check(signed(key, algorithm), public(key, alg=algorithm, use="sig", key_ops=["verify"]))


@pytest.mark.parametrize(("algorithm", "kind"), KINDS.items())
def test_signature_with_another_key_is_refused(algorithm: str, kind: str) -> None:
    assert "not signed with any" in refused(signed(key_of(kind, 1), algorithm), public(key_of(kind)))


@pytest.mark.parametrize(("algorithm", "kind"), KINDS.items())
def test_no_part_can_be_changed(algorithm: str, kind: str) -> None:
    key = key_of(kind)
    header, payload, signature = signed(key, algorithm).split(".")
    changed = base64url(json.dumps({"alg": algorithm, "kid": "k1", "typ": "JWT"}).encode())
    other = base64url(b'{"sub": "somebody else"}')
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    for parts in (
        (changed, payload, signature),
        (header, other, signature),
        (header, payload, flipped),
        (header, payload, signature[:-4]),
        (header, payload, ""),
    ):
        refused(".".join(parts), public(key))


@pytest.mark.parametrize(("algorithm", "other"), [("RS256", "PS256"), ("RS256", "RS512"), ("PS256", "PS384")])
def test_header_decides_the_algorithm(algorithm: str, other: str) -> None:
    key = key_of("RSA")
    refused(signed(key, other, {"alg": algorithm, "kid": "k1"}), public(key))


def test_header_may_have_parameters_that_only_others_know() -> None:
    key = key_of("P-256")
    chain = [base64.b64encode(b"certificate" * 100).decode()] * 2
    header = {"alg": "ES256", "kid": "k1", "x5c": chain, "x5t": "x", "https://example.com/extra": {"a": [1]}}
    check(signed(key, "ES256", header), public(key))


# --- algorithms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
def test_token_without_a_signature_is_refused(algorithm: str) -> None:
    header = {"alg": algorithm, "kid": "k1"}
    message = refused(signed(None, header=header), public(key_of("RSA")))
    assert ("is not signed" in message) is (algorithm == "none")
    refused(signed(key_of("RSA"), header=header), public(key_of("RSA")))


def test_missing_algorithm_is_refused() -> None:
    assert "unknown algorithm" in refused(signed(key_of("RSA"), header={"kid": "k1"}), public(key_of("RSA")))


@pytest.mark.parametrize(
    "algorithm", ["RS1", "RS255", "ES256K", "dir", "rs256", "RS256 ", 7, None, True, ["RS256"], {}]
)
def test_unknown_algorithm_is_refused(algorithm: object) -> None:
    header = {"alg": algorithm, "kid": "k1"}
    assert "cannot verify" in refused(signed(key_of("RSA"), header=header), public(key_of("RSA")))


def test_name_of_the_algorithm_is_shown_unless_it_may_be_a_secret() -> None:
    assert "HS256" in refused(signed(None, header={"alg": "HS256"}))
    assert "unknown" in refused(signed(None, header={"alg": f"{CANARY} {'Qx7' * 20}"}))
    assert "unknown" in refused(signed(None, header={"alg": f"eyJhbGciOiJ{CANARY}"}))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_published_key_is_no_shared_secret(algorithm: str) -> None:
    """Whoever reads the keys could sign with them otherwise."""
    key = key_of("RSA")
    assert isinstance(key, RSAKey)
    pem = key.as_pem(private=False)
    for secret in (pem, pem.strip(), json.dumps(public(key)).encode(), b"published"):
        published = {"kty": "oct", "k": base64url(secret), "kid": "k1", "alg": algorithm}
        for claimed in (algorithm, "RS256"):
            content = f"{base64url(json.dumps({'alg': claimed, 'kid': 'k1'}).encode())}.{base64url(PAYLOAD)}"
            signature = hmac.digest(secret, content.encode(), f"sha{algorithm[2:]}")
            message = refused(f"{content}.{base64url(signature)}", public(key), published)
            assert (algorithm in message) is (claimed == algorithm)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_key_that_the_token_names_must_be_published() -> None:
    key = key_of("P-256")
    token = signed(key, "ES256")
    refused(token)
    refused(token, public(key, kid="k2"))
    refused(token, {name: value for name, value in public(key).items() if name != "kid"})
    refused(token, public(key, kid=["k1"]))


@pytest.mark.parametrize("key_id", [7, [], {}, True, ["k1"]])
def test_key_id_must_be_text(key_id: object) -> None:
    key = key_of("P-256")
    refused(signed(key, "ES256", {"alg": "ES256", "kid": key_id}), public(key), public(key, kid=key_id))


def test_token_that_names_no_key_is_tried_with_each() -> None:
    key = key_of("P-256")
    token = signed(key, "ES256", {"alg": "ES256"})
    check(token, public(key_of("P-256", 1), kid="k0"), public(key_of("RSA")), public(key))
    refused(token, public(key_of("P-256", 1), kid="k0"), public(key_of("RSA")))


def test_several_keys_may_have_the_same_id() -> None:
    key, another = key_of("RSA"), key_of("RSA", 1)
    check(signed(key), public(key_of("P-256")), public(another), public(key))
    refused(signed(key), public(key_of("P-256")), public(another))


def test_no_more_keys_are_tried_than_a_server_publishes() -> None:
    key, another = key_of("P-256"), key_of("P-256", 1)
    check(signed(key, "ES256"), *[public(another)] * 63, public(key))
    refused(signed(key, "ES256"), *[public(another)] * 64, public(key))


def test_rsa_key_that_is_too_short_is_not_used() -> None:
    key = key_of("RSA 1024")
    padded = base64url(bytes(300) + base64.urlsafe_b64decode(public(key)["n"] + "=="))
    with warnings.catch_warnings(record=True, action="always") as warned:
        for algorithm in ("RS256", "PS256"):
            refused(signed(key, algorithm), public(key))
            refused(signed(key, algorithm), public(key, n=padded))
    assert warned == []


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("RS256", "P-256"),
        ("ES256", "RSA"),
        ("ES256", "P-384"),
        ("ES512", "P-256"),
        ("ES256", "secp256k1"),
        ("EdDSA", "P-256"),
        ("EdDSA", "X25519"),
        ("Ed25519", "Ed448"),
        ("Ed448", "Ed25519"),
    ],
)
def test_key_of_another_kind_is_not_used(algorithm: str, kind: str) -> None:
    refused(signed(key_of(KINDS[algorithm]), algorithm), public(key_of(kind)))
    check(signed(key_of(KINDS[algorithm]), algorithm), public(key_of(kind)), public(key_of(KINDS[algorithm])))


@pytest.mark.parametrize("members", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"use": "sig", "key_ops": ["encrypt"]}])
def test_key_for_something_else_is_not_used(members: dict[str, object]) -> None:
    key = key_of("RSA")
    refused(signed(key), public(key, **members))


KEY_TYPES: list[Any] = ["RSA", "EC", "OKP", "oct", "AKP", "", None, 7, ["RSA"], {}]
MODULI: list[Any] = ["", "AA", "é", "a b", 7, None, [], "AQ" * 40_000]
EXPONENTS: list[Any] = ["", "AA", "AQ", "Ag", "A" * 90_000, 65537, None]
CURVES: list[Any] = ["P-256", "P-999", "Ed25519", "Ed999", "X448", "", None, 7, [], {}]
FOREIGN: list[dict[str, Any]] = [
    {},
    *({"kty": kind, "kid": "k1"} for kind in KEY_TYPES),
    *({"kty": "RSA", "kid": "k1", "n": modulus, "e": "AQAB"} for modulus in MODULI),
    *({"kty": "RSA", "kid": "k1", "n": "AQ" * 200, "e": exponent} for exponent in EXPONENTS),
    *({"kty": kind, "kid": "k1", "crv": curve, "x": "AA", "y": "AA"} for kind in ("EC", "OKP") for curve in CURVES),
]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_foreign_and_malformed_keys_are_passed_over(algorithm: str) -> None:
    key = key_of(KINDS[algorithm])
    for foreign in FOREIGN:
        refused(signed(key, algorithm), foreign)
    check(signed(key, algorithm), *FOREIGN, public(key))


@pytest.mark.parametrize(
    ("name", "value"),
    [("alg", "RSA-OAEP-512"), ("alg", 7), ("x5c", "certificate"), ("x5u", "ftp:"), ("d", 7), ("p", "")],
)
def test_members_that_do_not_count_may_be_wrong(name: str, value: object) -> None:
    key = key_of("RSA")
    check(signed(key), public(key, **{name: value}))


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("critical", [["exp"], ["b64"], [], "exp", None, 7])
def test_extension_that_must_be_understood_is_refused(critical: object) -> None:  # RFC 7515, section 4.1.11
    key = key_of("P-256")
    for more in ({}, {"exp": 1}, {"b64": False}, {"b64": True}):
        header = {"alg": "ES256", "kid": "k1", "crit": critical, **more}
        assert "extension" in refused(signed(key, "ES256", header), public(key))


def test_payload_that_is_not_encoded_is_refused() -> None:  # RFC 7797, section 7
    key = key_of("P-256")
    refused(signed(key, "ES256", {"alg": "ES256", "kid": "k1", "b64": False}), public(key))


@pytest.mark.parametrize(
    "token",
    [
        *(
            None,
            "",
            7,
            CANARY,
            "a.b",
            ".e30.",
            f"{CANARY}.e30.",
            "e30..",
            "a.b.c.d.e",
            [],
            {},
            f"é{CANARY}.e30.",
            "W10.e30.",
        ),
        *(
            f"{base64url(b)}.e30.c2ln"
            for b in (b"[" * 10_000, b"7", b'"alg"', b'["alg"]', b'{"alg":1,"alg":2}', b"\xff{}")
        ),
        *(f"\ud800{CANARY}.e30.c2ln", f"{signed(None)}\n", f" {signed(None)}", f"{signed(None)}="),
    ],
)
def test_malformed_token_is_not_quoted(token: object) -> None:
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        check(token, public(key_of("RSA")))
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_token_may_be_long_but_not_endless() -> None:
    key = key_of("P-256")
    long = signed(key, "ES256", payload=b"x" * (MAX_TOKEN // 2))
    check(long, public(key))
    with raises_code(ProtocolError, "invalid-id-token"):
        check(signed(key, "ES256", payload=b"x" * MAX_TOKEN), public(key))
    padded = {"alg": "ES256", "kid": "k1", "x": "x" * 40_000}
    check(signed(key, "ES256", padded), public(key))


def test_crash_report_shows_nothing_of_the_token() -> None:
    key = key_of("P-256")
    for token in (signed(key, "ES256"), signed(None, header={"alg": "none"}), f"{CANARY}.e30.c2ln"):
        with pytest.raises(FreshkeyError) as caught:
            check(token, public(key_of("P-256", 1)))
        report = crash_report(caught.value)
        assert "errors.py" in report
        assert CANARY not in report
        assert base64url(PAYLOAD) not in report


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "joserfc"]:
        monkeypatch.setitem(sys.modules, name, None)
    with raises_code(ConfigurationError, "missing-package") as caught:
        check("e30.e30.c2ln")
    assert "freshkey[jwt]" in str(caught.value)


# --- the keys of a server -------------------------------------------------------------------------------------------


def test_keys_are_requested_where_the_server_publishes_them(server: Server) -> None:
    request = keys_request(evolve(server, jwks_uri="https://id.example.com/keys"))
    assert (request.method, request.url, request.body) == ("GET", "https://id.example.com/keys", b"")
    assert request.headers["Accept"] == "application/jwk-set+json, application/json"


def test_server_without_published_keys(server: Server) -> None:
    with raises_code(ConfigurationError, "endpoint-missing") as caught:
        keys_request(server)
    assert "jwks_uri" in caught.value.message


@pytest.fixture
def read(server: Server) -> Callable[[Response], tuple[Mapping[str, Any], ...]]:
    request = keys_request(evolve(server, jwks_uri="https://id.example.com/keys"))
    return lambda response: read_keys(request, response, clock=ManualClock())


def test_keys_are_read_and_anything_else_in_the_list_is_passed_over(read: Callable[..., Any], answer: Answer) -> None:
    keys = [{"kty": "RSA"}, 7, None, "key", [{}], {"kty": "new"}]
    assert read(answer({"keys": keys, "more": 1})) == ({"kty": "RSA"}, {"kty": "new"})
    assert read(answer({"keys": []})) == ()


@pytest.mark.parametrize("body", [{}, {"keys": {}}, {"keys": None}, {"keys": CANARY}, {"kty": "RSA", "n": CANARY}])
def test_document_that_is_no_set_of_keys(read: Callable[..., Any], answer: Answer, body: object) -> None:
    with raises_code(ProtocolError, "id-token-signature") as caught:
        read(answer(body))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", CANARY.encode(), b'{"keys": [', b'{"keys": [], "keys": []}', b"[" * 9_000, b"\xff", b" " * (1 << 21)],
)
def test_keys_that_are_no_json_are_not_quoted(read: Callable[..., Any], answer: Answer, body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(answer(body))
    assert caught.value.code in {"invalid-response", "response-too-large"}
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, ProviderRefused, "provider-refused"),  # nothing was presented, so signing in again would not help
        (403, ProviderRefused, "provider-refused"),
        (404, ProviderRefused, "provider-refused"),
        (429, TransientError, "temporarily-unavailable"),
        (503, TransientError, "temporarily-unavailable"),
    ],
)
def test_keys_that_are_not_handed_out(
    read: Callable[..., Any], answer: Answer, status: int, kind: type[FreshkeyError], code: str
) -> None:
    with raises_code(kind, code):
        read(answer({"keys": []}, status, {"retry-after": "7"}))
