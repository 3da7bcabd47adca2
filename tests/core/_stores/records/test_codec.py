"""The codec: every credential survives a round trip, and nothing else is decoded."""

from __future__ import annotations

import functools
import json
import traceback
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from freshkey._stores.records.codec import Codec
from freshkey.clock import SYSTEM, Moment
from freshkey.errors import LoginRequired, PluginBroken, RecordUnreadable
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.identity import Identity
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


@frozen(kw_only=True)
class Picky(ApiKey):
    """A plugin's format with an extra field that has a validator, and a field that is not stored."""

    color: str = field(default="red")
    cache: list[str] = field(factory=list, eq=False, metadata={"stored": False})

    @color.validator
    def _known(self, attribute: object, value: str) -> None:
        if value not in {"red", "green"}:
            raise RuntimeError(f"unknown color {value}")


@frozen(kw_only=True)
class Odd(ApiKey):
    """A plugin's format with a field that JSON does not support."""

    shape: object


FORMATS: dict[str, type[Credential]] = {"oauth": OAuthToken, "key": ApiKey, "picky": Picky}

texts = st.text(max_size=40)
secrets = st.builds(Secret, texts)
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.builds(Moment, numbers, numbers, texts)
identities = st.builds(
    Identity, account=st.none() | texts, email=st.none() | texts, extra=st.dictionaries(texts, texts, max_size=2)
)
common: dict[str, Any] = {
    "obtained": moments,
    "lifetime": st.none() | numbers,
    "lead": st.none() | numbers,
    "source": texts,
    "identity": identities,
}
credentials = st.one_of(
    st.builds(ApiKey, **common, key=secrets, header=texts),
    st.builds(
        OAuthToken,
        **common,
        access_token=secrets,
        refresh_token=st.none() | secrets,
        scopes=st.lists(texts).map(tuple),
        client_id=st.none() | texts,
        issuer=st.none() | texts,
        token_endpoint=st.none() | texts,
        extra_headers=st.lists(st.tuples(texts, texts)).map(tuple),
    ),
)

KEY = ApiKey(obtained=Moment(1.5e9, 12.0, "boot"), key=Secret("sk-canary-123"))


@pytest.fixture
def codec() -> Codec:
    return Codec(FORMATS)


@functools.cache
def one_codec() -> Codec:
    """Return one codec for many examples, because each new codec generates code."""
    return Codec(FORMATS)


@given(credentials)
def test_every_credential_survives_a_round_trip(credential: Credential) -> None:
    assert one_codec().decode(one_codec().encode(credential)) == credential


def test_new_codec_decodes_tokens_and_keys(codec: Codec) -> None:
    token = OAuthToken(
        obtained=KEY.obtained,
        lifetime=3600,
        access_token=Secret("at-1"),
        refresh_token=Secret("rt-1"),
        scopes=("a", "b"),
        extra_headers=(("x-app", "cli"),),
    )
    for credential in (token, KEY):
        payload = codec.encode(credential)
        assert Codec(FORMATS).decode(payload) == credential


def test_plugin_format_keeps_its_class_and_fields(codec: Codec) -> None:
    picky = Picky(obtained=KEY.obtained, key=KEY.key, color="green")

    decoded = codec.decode(codec.encode(picky))

    assert type(decoded) is Picky
    assert decoded == picky


def test_field_that_is_not_stored_gets_its_default(codec: Codec) -> None:
    picky = Picky(obtained=KEY.obtained, key=KEY.key, cache=["sk-cached"], clock=ManualClock())

    payload = codec.encode(picky)
    decoded = codec.decode(payload)

    assert isinstance(decoded, Picky)
    assert decoded.cache == []
    assert decoded.clock is SYSTEM
    assert "sk-cached" not in payload.reveal()
    assert "clock" not in payload.reveal()


def test_class_that_is_not_in_the_formats_is_the_plugins_fault() -> None:
    with raises_code(PluginBroken, "plugin-formats-invalid") as caught:
        Codec({"key": ApiKey}).encode(Picky(obtained=KEY.obtained, key=KEY.key))
    assert "Picky" in str(caught.value)


def test_nan_is_not_stored(codec: Codec) -> None:
    with raises_code(PluginBroken, "plugin-formats-invalid") as caught:
        codec.encode(evolve(KEY, lifetime=float("nan")))
    assert "ApiKey" in str(caught.value)


def test_value_that_json_does_not_support_is_not_stored() -> None:
    with raises_code(PluginBroken, "plugin-formats-invalid") as caught:
        Codec({"odd": Odd}).encode(Odd(obtained=KEY.obtained, key=KEY.key, shape=object()))
    assert "Odd" in str(caught.value)


@functools.cache
def written() -> str:
    return Codec(FORMATS).encode(KEY).reveal()


def edited(**changes: object) -> Secret:
    return Secret(json.dumps({**json.loads(written()), **changes}))


def fields(**changes: object) -> dict[str, object]:
    known: dict[str, object] = json.loads(written())["fields"]
    return {**known, **changes}


def test_newer_schema_is_refused_before_anything_else_is_checked(codec: Codec) -> None:
    """STO-9, FAULT-13."""
    with raises_code(RecordUnreadable, "record-too-new") as caught:
        codec.decode(edited(schema=2, fields="in a future layout"))
    assert caught.value.hint is not None
    assert "Upgrade freshkey" in caught.value.hint


def test_unknown_format_is_refused(codec: Codec) -> None:
    with raises_code(RecordUnreadable, "record-too-new") as caught:
        codec.decode(edited(format="from the future"))
    assert caught.value.hint is not None
    assert "Upgrade the provider" in caught.value.hint


def test_unknown_field_is_ignored_and_a_missing_one_gets_its_default(codec: Codec) -> None:
    short = fields(novelty=1)
    del short["header"]

    assert codec.decode(edited(fields=short)) == KEY


@pytest.mark.parametrize(
    "payload",
    [
        Secret(""),
        Secret("sk-canary-123"),
        Secret("[]"),
        Secret("null"),
        Secret('{"schema": 1}'),
        Secret("[" * 100_000),
        edited(schema="1"),
        edited(schema=True),
        edited(schema=0),
        edited(format=["key"]),
        edited(fields=None),
        edited(fields=[1]),
        edited(fields={}),
        edited(fields=fields(key=123)),
        edited(fields=fields(key=None)),
        edited(fields=fields(lifetime="3600")),
        edited(fields=fields(lifetime=True)),
        edited(fields=fields(header=5)),
        edited(fields=fields(obtained={"wall": 1.0})),
        edited(fields=fields(identity="sk-canary-123")),
        edited(format="picky", fields=fields(color="sk-canary-123")),
    ],
)
def test_corrupt_record_is_unreadable_and_is_not_quoted(codec: Codec, payload: Secret) -> None:
    """FAULT-13."""
    with raises_code(RecordUnreadable, "record-unreadable") as caught:
        codec.decode(payload)

    assert "canary" not in "".join(traceback.format_exception(caught.value))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda s: st.lists(s) | st.dictionaries(texts, s))
)
def test_any_other_json_is_unreadable(value: object) -> None:
    for payload in (Secret(json.dumps(value)), edited(fields=value)):
        with pytest.raises(RecordUnreadable):
            one_codec().decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        '{"schema": 1, "CANARY',
        '{"schema": 1, "provider": "", "format": "picky", "fields": {"key": "k", "obtained": "CANARY"}}',
        '{"schema": 1, "provider": "", "format": "picky", "fields": {"key": "k", "color": "CANARY"}}',
    ],
)
def test_parser_error_is_not_chained(codec: Codec, payload: str) -> None:
    """LEK-1: `JSONDecodeError.doc` contains the whole payload."""
    with pytest.raises(RecordUnreadable) as caught:
        codec.decode(Secret(payload))
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_record_of_another_provider_requires_a_new_sign_in() -> None:
    formats = {"key": ApiKey}
    payload = Codec(formats, provider="one").encode(KEY)
    assert Codec(formats, provider="one").decode(payload) == KEY
    with raises_code(LoginRequired, "sign-in-of-another-provider") as caught:
        Codec(formats, provider="other").decode(payload)
    assert "'one'" in str(caught.value)
