"""A credential class that could show its secret is refused when its provider is loaded (LEK-11)."""

from __future__ import annotations

import base64
import dataclasses
import hmac
from collections.abc import Callable
from typing import Any, NewType, cast
from urllib.parse import quote

import attrs
import pytest
from attrs import field, frozen

import freshkey_bedrock.description
import freshkey_claude_oauth.description
import freshkey_oidc.description
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
        *("private_key", "signing_key", "token_value", "APIKey", "key_pem", "session_cookie", "private_key_data"),
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
        *("token_audience", "token_issuer", "token_realm", "token_server", "token_client", "token_status"),
        *("token_label", "token_claims", "token_expiration", "token_created", "token_permissions", "key_region"),
        *("key_alias", "key_owner", "key_algorithm", "key_ops", "key_last_four", "public_key", "jwt_subject"),
        *("cookie_domain", "signature_algorithm", "signature_date", "password_policy", "secret_manager_region"),
        *("tokenAudience", "public_keys", "partition_key", "password_changed_at", "jwks", "keyring", "is_token_valid"),
    ],
)
def test_field_that_only_tells_about_a_secret_may_be_text(name: str) -> None:
    assert flaw_of_format(made(name, str)) is None


@frozen(kw_only=True)
class Marked(Sending):
    page_token: str = field(metadata={"secret": False})


@proves("LEK-11")
def test_field_can_say_that_it_holds_no_secret() -> None:
    marked = {"secret": False}
    assert "metadata={'secret': False}" in (flaw_of_format(made("page_token", str)) or "")
    assert flaw_of_format(made("page_token", str, metadata=marked)) is None
    assert flaw_of_format(made("page_token", str, metadata={"secret": True})) is not None

    @dataclasses.dataclass(frozen=True)
    class Foreign(Sending):
        page_token: str = dataclasses.field(default="", metadata=marked)

    assert flaw_of_format(Foreign) is None
    # What it says is not believed of what authorizes.
    held = Marked(obtained=SYSTEM.now(), page_token=CANARY)
    assert flaw_of_format(Marked) is None
    assert "'page_token'" in (flaw_of_credential(held) or "")


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
    for module in (freshkey_bedrock, freshkey_claude_oauth, freshkey_oidc, freshkey_vertex):
        kinds |= set(module.description.description(None).formats.values())
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


@frozen(kw_only=True, repr=False)
class Encoding(Sending):
    it: Secret

    def __str__(self) -> str:
        return base64.b64encode(self.it.reveal().encode()).decode()


@frozen(kw_only=True)
class InVariables(Credential):
    it: str
    name: str = "ACME_API_KEY"

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        raise RuntimeError

    def _environment(self) -> dict[str, str]:
        return {self.name: self.it, "ACME_REGION": "eu"}


def test_own_repr_and_variables_are_tried() -> None:
    now = SYSTEM.now()
    assert "repr()" in (flaw_of_credential(Talkative(obtained=now, it=Secret(CANARY))) or "")
    assert "repr()" in (flaw_of_credential(Encoding(obtained=now, it=Secret(CANARY))) or "")
    assert "'it'" in (flaw_of_credential(InVariables(obtained=now, it=CANARY)) or "")
    assert "'it'" in (flaw_of_credential(InVariables(obtained=now, it=CANARY, name="TOKEN_ACME")) or "")
    audience = InVariables(obtained=now, it="https://api.example", name="ACME_TOKEN_AUDIENCE")
    assert flaw_of_credential(audience) is None


def test_credential_whose_secret_is_wrapped_passes() -> None:
    now = SYSTEM.now()
    assert flaw_of_credential(Innocent(obtained=now, blob=Secret(CANARY))) is None
    assert flaw_of_credential(ApiKey(obtained=now, key=Secret(CANARY))) is None
    token = OAuthToken(obtained=now, access_token=Secret(CANARY), client_id="a", extra_headers=(("x-api-key", "g"),))
    assert flaw_of_credential(token) is None


# --- what is sent in parts -------------------------------------------------------------------------------------------

ACCOUNT = "acme-production-4711"
PASSWORD = "Qw8eRt7yUi6oPa5sDf4gHj3k9LmN"
Texts = Callable[[Any], dict[str, str]]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def jwt(key: str, account: str) -> str:
    body = ".".join(
        base64.urlsafe_b64encode(each.encode()).decode() for each in ('{"alg":"HS256"}', f'{{"iss":"{account}"}}')
    )
    return f"{body}.{hmac_of(key, body)}"


def hmac_of(key: str, body: str = "") -> str:
    return hmac.new(key.encode(), body.encode(), "sha256").hexdigest()


def sending(headers: Texts, environment: Texts | None = None, **fields: object) -> Credential:
    """Return a credential with these fields, whose class makes headers and variables from it."""
    body = {
        "_headers": lambda self, _method, _url, _body: headers(self),
        "_environment": lambda self: environment(self) if environment else {},
    }
    declared = {name: field(type=type(value)) for name, value in fields.items()}
    kind = attrs.make_class("Made", declared, bases=(Credential,), class_body=body, frozen=True, kw_only=True)
    return cast("Credential", kind(obtained=SYSTEM.now(), **fields))


@proves("LEK-11")
@pytest.mark.parametrize(
    "headers",
    [
        lambda it: {"Cookie": f"sid={it.value}"},
        lambda it: {"Cookie": f"lang=en; session_id={it.value}; theme=dark"},
        lambda it: {"Cookie": f"acme={quote(it.value)}"},
        lambda it: {"Authorization": "Basic " + b64(it.value)},
        lambda it: {"Authorization": "Basic " + b64(f"{it.value}:")},
        lambda it: {"Authorization": "Basic " + b64(f"{it.value}:X")},
        lambda it: {"authorization": "basic " + b64(f"ada:{it.value}")},
        lambda it: {"Authorization": f'Token token="{it.value}"'},
        lambda it: {"Authorization": f"Token token={it.value}, realm=acme"},
        lambda it: {"Authorization": it.value},
        lambda it: {"Authorization": f"Bearer  {it.value}"},
        lambda it: {"Authorization": f"Bearer v1.{it.value}.0"},
        lambda it: {"Authorization": f"Bearer {quote(it.value, safe='')}"},
        lambda it: {"Authorization": "Bearer " + it.value.encode().hex()},
        lambda it: {"Authorization": f"SharedKey account:{it.value}"},
        lambda it: {"Proxy-Authorization": "Basic " + b64(f"ada:{it.value}")},
        lambda it: {"X-Api-Key": f"acme {it.value}"},
        lambda it: {"X-Acme-Auth": it.value},
        lambda it: {"X-Auth-Token": b64(it.value)},
        lambda it: {"X-Signature": it.value},
    ],
)
@pytest.mark.parametrize("more", [{}, {"refresh": Secret(CANARY)}], ids=["alone", "beside a secret"])
def test_plain_value_in_what_authorizes_is_found(headers: Texts, more: Any) -> None:
    flaw = flaw_of_credential(sending(headers, value=PASSWORD + "/+", **more))
    assert flaw is not None
    assert "'value'" in flaw
    assert PASSWORD not in flaw


@proves("LEK-11")
@pytest.mark.parametrize(
    "environment",
    [
        lambda it: {"ACME_TOKEN": f"v1:{it.value}"},
        lambda it: {"ACME_AUTH": b64(it.value)},
        lambda it: {"DATABASE_URL": f"postgres://ada:{it.value}@db.example.com/acme"},
        lambda it: {"ACME_PASSWORD": it.value, "ACME_PROFILE": "me"},
    ],
)
def test_plain_value_in_a_variable_that_authorizes_is_found(environment: Texts) -> None:
    flaw = flaw_of_credential(sending(lambda _it: {}, environment, value=PASSWORD, refresh=Secret(CANARY)))
    assert "'value'" in (flaw or "")


@proves("LEK-11")
def test_class_that_signs_with_a_plain_value_is_refused() -> None:
    def signature(it: Any) -> dict[str, str]:
        return {"X-Signature": hmac_of(it.seed)}

    assert "'seed'" in (flaw_of_credential(sending(signature, seed=PASSWORD)) or "")
    assert "'seed'" in (
        flaw_of_credential(sending(lambda it: {"Authorization": f"A id:{hmac_of(it.seed)}"}, seed=PASSWORD)) or ""
    )
    hidden = sending(lambda it: {"X-Signature": hmac_of(it.seed.reveal())}, seed=Secret(PASSWORD), account=ACCOUNT)
    assert flaw_of_credential(hidden) is None


@proves("LEK-11")
def test_plain_value_that_has_the_secret_in_it_is_found() -> None:
    held = sending(
        lambda it: {"Authorization": f"Bearer {it.key.reveal()}"}, key=Secret(PASSWORD), answer=f'{{"t": "{PASSWORD}"}}'
    )
    assert "'answer'" in (flaw_of_credential(held) or "")


@pytest.mark.parametrize(
    ("headers", "environment"),
    [
        (lambda it: {"Authorization": "Basic " + b64(f"{it.account}:{it.key.reveal()}")}, None),
        (lambda it: {"Authorization": "Basic " + b64(f"{it.key.reveal()}:{it.account}")}, None),
        (lambda it: {"Authorization": f"Bearer {it.account}|{it.key.reveal()}"}, None),
        (
            lambda it: {
                "Authorization": f"Bearer {it.key.reveal()}",
                "X-Account": it.account,
                "X-Api-Version": it.other,
            },
            None,
        ),
        (lambda it: {"Authorization": f"Bearer {it.key.reveal()}", "X-Api-Key-Id": it.account}, None),
        (lambda it: {"Authorization": f'Token token="{it.key.reveal()}", account="{it.account}"'}, None),
        (lambda it: {"Cookie": f"session={it.key.reveal()}; tenant={it.account}; consent={it.other}"}, None),
        (lambda it: {"Authorization": f"AWS {it.account}:{hmac_of(it.key.reveal())}"}, None),
        (
            lambda it: {
                "Authorization": f"AWS4-HMAC-SHA256 Credential={it.account}/20261130/{it.other}/s3/aws4_request, "
                f"SignedHeaders=host;x-amz-date, Signature={hmac_of(it.key.reveal())}"
            },
            None,
        ),
        (lambda it: {"Authorization": f'Signature keyId="{it.account}",signature="{hmac_of(it.key.reveal())}"'}, None),
        (lambda it: {"Authorization": f"Bearer {jwt(it.key.reveal(), it.account)}"}, None),
        (
            lambda it: {},
            lambda it: {"ACME_TOKEN": it.key.reveal(), "ACME_PROFILE": it.account, "ACME_REGION": it.other},
        ),
        (lambda it: {}, lambda it: {"ACME_API_KEY": it.key.reveal(), "ACME_API_KEY_ID": it.account}),
        (
            lambda it: {},
            lambda it: {"ACME_TOKEN": f"https://h/?u={it.account}&X-Amz-Signature={hmac_of(it.key.reveal())}"},
        ),
        (lambda it: {}, lambda it: {"DATABASE_URL": f"postgres://{it.account}:{it.key.reveal()}@{it.other}/db"}),
    ],
)
def test_names_and_accounts_beside_what_authorizes_pass(headers: Texts, environment: Texts | None) -> None:
    for secret in (PASSWORD, "hunter2", "pass/word:+=1"):
        held = sending(headers, environment, key=Secret(secret), account=ACCOUNT, other="eu-central-1-preview")
        assert flaw_of_credential(held) is None


@pytest.mark.parametrize(
    ("headers", "environment", "fields"),
    [
        (lambda it: {"X-Goog-User-Project": it.project}, None, {"project": ACCOUNT}),
        (
            lambda it: {},
            lambda it: {"AWS_PROFILE": it.profile, "AWS_REGION": it.region},
            {"profile": ACCOUNT, "region": "eu-central-1"},
        ),
        (lambda it: {}, lambda it: {"GOOGLE_APPLICATION_CREDENTIALS": it.file}, {"file": "/home/ada/.config/key.json"}),
        (lambda it: {}, lambda it: {"PRIVATE_KEY": it.place}, {"place": "/home/ada/.ssh/id_ed25519"}),
        (lambda it: {"Authorization": "Bearer not-needed-here"}, None, {"base_url": "http://localhost:11434/v1"}),
        (
            lambda it: {"Authorization": "Bearer anonymous-access"},
            None,
            {"region": "eu-central-1", "model": "acme-large-2"},
        ),
    ],
)
def test_class_without_a_secret_passes_if_nothing_plain_authorizes(
    headers: Texts, environment: Texts | None, fields: dict[str, object]
) -> None:
    assert flaw_of_credential(sending(headers, environment, **fields)) is None
