"""ID tokens: which claims are checked, and whom they describe."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.model.identity import Identity
from freshkey.oauth import OAuthClient, Server, TokenAnswer, identity_of, read_id_token
from freshkey.oauth.id_token import id_token_header
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


NOW = 1_767_225_600.0
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example.com",
    "aud": "me",
    "exp": NOW + 60,
    "iat": NOW,
    "sub": "user-1",
    "email": "ada@example.com",
    "name": "Ada",
    "org_id": "org-1",
}


def token(claims: object = None, **changes: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    merged = {**CLAIMS, **changes} if claims is None else claims
    return f"{part({'alg': 'RS256'})}.{part(merged)}.c2ln"


def answer_with(id_token: object) -> TokenAnswer:
    return TokenAnswer(access_token=Secret("at"), extra={"id_token": id_token})


def read(server: Server, id_token: object, nonce: str | None = None) -> object:
    return read_id_token(answer_with(id_token), server=server, client_id="me", now=NOW, nonce=nonce)


def test_the_claims_are_returned(server: Server) -> None:
    assert read(server, token()) == CLAIMS
    assert read(server, token(nonce="n"), nonce="n") == {**CLAIMS, "nonce": "n"}
    assert read(server, token(exp=NOW - 120))  # clocks differ
    assert read(server, token(iat=NOW + 120, nbf=NOW + 120))
    assert read(server, token(iat=None))
    assert read(server, token(aud=["me"]))
    assert read(server, token(aud=["me", "other"], azp="me"))


WRONG: dict[str, tuple[str, object]] = {
    "another issuer": ("iss", "https://id.example.com/"),
    "no issuer": ("iss", None),
    "another client": ("aud", "other"),
    "no audience": ("aud", None),
    "an audience in an audience": ("aud", [["me"]]),
    "several audiences and no party": ("aud", ["me", "other"]),
    "another party": ("azp", "other"),
    "over": ("exp", NOW - 181),
    "issued in the future": ("iat", NOW + 600),
    "not valid yet": ("nbf", NOW + 600),
    "no end": ("exp", None),
    "an end that is true": ("exp", True),
    "an end in words": ("exp", "tomorrow"),
    "no subject": ("sub", None),
    "an empty subject": ("sub", ""),
    "a long subject": ("sub", "x" * 256),
    "a subject that is not ASCII": ("sub", "ä"),
    "another nonce": ("nonce", "other"),
    "a nonce that is none": ("nonce", 7),
    "no nonce": ("nonce", None),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_claim(server: Server, wrong: str) -> None:
    name, value = WRONG[wrong]
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        read(server, token(**{"nonce": "n", name: value}), nonce="n")
    assert ("aud" if name == "azp" else name) in str(caught.value)


def aged(server: Server, authenticated: object) -> object:
    answer = answer_with(token(auth_time=authenticated))
    return read_id_token(answer, server=server, client_id="me", now=NOW, max_age=600)


def test_the_user_was_asked_recently_enough(server: Server) -> None:
    assert aged(server, NOW - 600)
    assert aged(server, NOW - 700)  # clocks differ
    assert read(server, token(auth_time=1))  # nobody wanted to know


@pytest.mark.parametrize("authenticated", [None, NOW - 781, "today", True])
def test_the_user_was_not_asked_recently_enough(server: Server, authenticated: object) -> None:
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        aged(server, authenticated)
    assert "auth_time" in str(caught.value)
    assert "max_age" in (caught.value.hint or "")


MALFORMED = [None, "", 7, "canary", "a.b", "e30.canary.", "e30..", "a.b.c.d.e", "x" * 70_000, token([]), f"{token()}\n"]


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_token_is_not_quoted(server: Server, malformed: object) -> None:
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        read(server, malformed)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_unknown_issuer(server: Server) -> None:
    with raises_code(ConfigurationError, "invalid-issuer"):
        read(evolve(server, issuer=None), token())


def test_identity_of() -> None:
    assert identity_of(CLAIMS) == Identity(account="user-1", email="ada@example.com", display_name="Ada")
    assert identity_of(CLAIMS, organization="org_id").organization == "org-1"
    assert identity_of({"sub": 7, "email": [], "name": "", "nickname": "a"}) == Identity(display_name="a")


@pytest.mark.parametrize(
    ("value", "account"),
    [
        ("ada", "ada"),
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        *((value, None) for value in ("", None, True, 1.5, [7], {"a": 1})),
    ],
)
def test_another_claim_may_identify_the_user(value: object, account: str | None) -> None:
    found = identity_of({"sub": "other", "id": value}, account="id")

    assert found.account == account


def test_the_subject_is_no_number() -> None:
    assert identity_of({"sub": 7}).account is None


def test_the_name_is_the_first_of_several() -> None:
    names = {"name": "Ada L.", "preferred_username": "ada", "nickname": "a", "login": "ada-l"}
    for name in list(names):
        assert identity_of(names).display_name == names.pop(name)
    assert identity_of({}).display_name is None


def test_the_header_of_an_id_token() -> None:
    assert id_token_header(answer_with(token())) == {"alg": "RS256"}


@pytest.mark.parametrize("malformed", [value for value in MALFORMED if value not in {token([]), "e30.canary."}])
def test_the_header_of_a_malformed_token_is_not_quoted(malformed: object) -> None:
    with raises_code(ProtocolError, "invalid-id-token") as caught:
        id_token_header(answer_with(malformed))
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_client_reads_it(server: Server, wire: Callable[..., Any]) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(), clock=ManualClock())
    answer = answer_with(token(exp=ManualClock().now().wall + 5, nonce="n"))

    identity = client.identity(answer, nonce="n", organization="org_id")

    assert (identity.account, identity.organization) == ("user-1", "org-1")
