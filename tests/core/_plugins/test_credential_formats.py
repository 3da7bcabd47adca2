"""A credential class that could show its secret is refused when its provider is loaded (LEK-11)."""

from __future__ import annotations

import dataclasses
from typing import Any, NewType

import attrs
import pytest
from attrs import field, frozen

import freshkey_bedrock.description
import freshkey_claude_oauth.description
import freshkey_vertex.description
from freshkey._plugins.credential_formats import flaw_of_credential, flaw_of_format
from freshkey.clock import SYSTEM
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.secret import Secret
from promises import proves


CANARY = "canary-9b1d4e77aa02c3f8"
Key = NewType("Key", str)


class Sending(Credential):
    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {CANARY}"}


def made(name: str, kind: object, **options: Any) -> type:
    return attrs.make_class("Made", {name: field(type=kind, **options)}, bases=(Sending,), frozen=True, kw_only=True)  # type: ignore[call-overload]


@proves("LEK-11")
@pytest.mark.parametrize(
    "name",
    [
        *("token", "key", "api_key", "apikey", "apiKey", "access_token", "refresh_token", "password", "client_secret"),
        *("secret_access_key", "passphrase", "tokens", "key2", "_key", "sessionToken", "jwt", "bearer"),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [str, "str", str | None, "str | None", bytes, "Any", Key, list[str], dict[str, str], "tuple[str, ...]", None],
)
@pytest.mark.parametrize("shown", [True, False])
def test_field_named_like_a_secret_must_be_one(name: str, kind: object, *, shown: bool) -> None:
    flaw = flaw_of_format(made(name, kind, repr=shown))
    assert flaw is not None
    assert name in flaw
    assert flaw_of_format(made(name, Secret)) is None
    assert flaw_of_format(made(name, "Secret | None")) is None


@pytest.mark.parametrize(
    "name",
    [
        "access_key_id",
        "token_type",
        "token_endpoint",
        "key_name",
        "region",
        "account",
        "key_file",
        "monkey",
        "token_url",
    ],
)
def test_field_that_only_tells_about_a_secret_may_be_text(name: str) -> None:
    assert flaw_of_format(made(name, str)) is None


def test_fields_of_a_class_that_is_not_decorated_or_a_dataclass_count() -> None:
    class Bare(Sending):
        api_key: str

    @dataclasses.dataclass(frozen=True)
    class Foreign(Sending):
        password: str = ""

    assert "'api_key'" in (flaw_of_format(Bare) or "")
    assert "'password'" in (flaw_of_format(Foreign) or "")


@proves("LEK-11")
def test_own_classes_and_those_of_every_provider_pass() -> None:
    kinds: set[type[Credential]] = {ApiKey, OAuthToken}
    for module in (freshkey_bedrock.description, freshkey_claude_oauth.description, freshkey_vertex.description):
        kinds |= set(module.description(None).formats.values())
    assert len(kinds) > 5
    assert [kind for kind in kinds if flaw_of_format(kind)] == []


@frozen(kw_only=True)
class Inner:
    it: str


@frozen(kw_only=True)
class Innocent(Sending):
    blob: Any = None


@proves("LEK-11")
@pytest.mark.parametrize(
    "blob", [CANARY, CANARY.encode(), [CANARY], {"a": CANARY}, (("x", [CANARY]),), Inner(it=CANARY)], ids=repr
)
def test_plain_value_that_authorizes_is_found_whatever_its_field_is_called(blob: object) -> None:
    held = Innocent(obtained=SYSTEM.now(), blob=blob)
    flaw = flaw_of_credential(held)
    assert flaw is not None
    assert "'blob'" in flaw
    assert CANARY not in flaw


@frozen(kw_only=True, repr=False)
class Talkative(Sending):
    it: Secret

    def __repr__(self) -> str:
        return f"Talkative({self.it.reveal()})"


@frozen(kw_only=True)
class InVariables(Credential):
    it: str

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        raise RuntimeError

    def _environment(self) -> dict[str, str]:
        return {"ACME_API_KEY": self.it, "ACME_REGION": "eu"}


def test_own_repr_and_variables_are_tried() -> None:
    now = SYSTEM.now()
    assert "repr()" in (flaw_of_credential(Talkative(obtained=now, it=Secret(CANARY))) or "")
    assert "'it'" in (flaw_of_credential(InVariables(obtained=now, it=CANARY)) or "")


def test_credential_whose_secret_is_wrapped_passes() -> None:
    now = SYSTEM.now()
    assert flaw_of_credential(Innocent(obtained=now, blob=Secret(CANARY))) is None
    assert flaw_of_credential(ApiKey(obtained=now, key=Secret(CANARY))) is None
    token = OAuthToken(obtained=now, access_token=Secret(CANARY), client_id="a", extra_headers=(("x-api-key", "g"),))
    assert flaw_of_credential(token) is None
