"""What is not a Bedrock API key, but was set or entered as one."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from attrs import evolve

from bedrock_keys import LONG_TERM, short_term_key
from freshkey import Keeper
from freshkey.errors import ConfigurationError, FreshkeyError, ProviderRefused
from freshkey.model.profile import Profile
from freshkey_bedrock.api_key import source
from freshkey_bedrock.api_key.shape import other_than_entered_key, other_than_key
from freshkey_testing import ManualClock, ScriptedUser
from raises_code import raises_code


VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
CODE = "bedrock-invalid-api-key"
PADDED = "ABSK" + base64.b64encode(b"BedrockAPIKey-abcd-at-123456789012:made-up-2").decode()
SHORT = short_term_key(datetime(2026, 1, 2, tzinfo=UTC))

NO_KEYS = [
    ("AKIAIOSFODNN7EXAMPLE", "access key ID"),
    ("ASIAIOSFODNN7EXAMPLE", "access key ID"),
    ("AKIA" + "A" * 124, "access key ID"),
    (PADDED + PADDED, "two keys"),
    (PADDED + LONG_TERM, "two keys"),
    (LONG_TERM + SHORT, "two keys"),
    (LONG_TERM + LONG_TERM, "two keys"),
    ("ABSKmadeup=ABSKother", "two keys"),
    (PADDED + SHORT, "two keys"),
    (SHORT + SHORT, "two keys"),
    *((f"{before}{PADDED}{after}", "punctuation") for before, after in ("()", "[]", "**", "<>", "{}")),
    *((f"{PADDED}{after}", "punctuation") for after in (".", "%", "$", ")", "]", "!", "**")),
    *((f"{SHORT}{after}", "punctuation") for after in (".", "%", "$", ")")),
    (f"**{LONG_TERM}", "punctuation"),
    (LONG_TERM + "&x", "something else"),
    (LONG_TERM[:12] + "@" + LONG_TERM[12:], "something else"),
    (PADDED + "#mine", "something else"),
    ("ABSKmade=up", "something else"),
]


@pytest.mark.parametrize(("text", "fact"), NO_KEYS)
def test_what_is_no_key_is_refused_everywhere_and_not_quoted(  # noqa: PLR0917  fixtures
    make_keeper: Callable[..., Keeper],
    profile: Profile,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    fact: str,
) -> None:
    assert fact in str(other_than_key(text))
    with ScriptedUser(secret=text) as user, raises_code(ProviderRefused, CODE) as entered:
        source.from_user(evolve(profile, clock=clock), user)
    assert text not in str(entered.value)
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(FreshkeyError) as caught:
        make_keeper().get("work")
    assert isinstance(caught.value, ConfigurationError)
    assert VARIABLE in caught.value.message
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *(LONG_TERM, PADDED, SHORT, "ABSK-made-up", "AKIAME", "AKIAiosfodnn7example", "sk-of-a-gateway"),
        *("made.up.token", "e30.e30.", "gateway-ABSK", "xABSKmade=ABSKup", "a1b2" * 10, "AKIA-of-a-gateway-1234"),
    ],
)
def test_keys_and_those_of_gateways_are_taken(text: str) -> None:
    assert other_than_key(text) is None


@pytest.mark.parametrize("text", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "sk-ant-api03-made-up"])
def test_entered_secrets_of_another_kind_are_refused(profile: Profile, clock: ManualClock, text: str) -> None:
    with ScriptedUser(secret=text) as user, raises_code(ProviderRefused, CODE) as caught:
        source.from_user(evolve(profile, clock=clock), user)
    assert "it looks like a" in caught.value.message
    assert text not in str(caught.value)
    assert other_than_key(text) is None


def test_tokens_of_gateways_are_no_aws_secret_keys() -> None:
    for text in (LONG_TERM, secrets.token_hex(20), secrets.token_urlsafe(30).replace("/", "_"), "A" * 39 + "/"):
        assert other_than_entered_key(text) is None
