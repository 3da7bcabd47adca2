"""A secret does not appear in anything that a program prints, logs, pickles or raises (LEK-1)."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import re
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._text.redact import masked
from freshkey.clock import Moment
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.identity import Identity
from freshkey.model.storage import Record
from freshkey.plugin import Request, Response
from freshkey.secret import FAMILIES, Secret, looks_secret, quoted


CANARY = "canary-9b1d4e77aa02c3f8"
OTHER = "canary-refresh-5512aa90be"
SECRET = Secret(CANARY)
OBTAINED = Moment(1_000_000.0, 10.0, "boot")
TOKEN = OAuthToken(obtained=OBTAINED, access_token=SECRET, refresh_token=Secret(OTHER), identity=Identity(email="a@b"))
KEY = ApiKey(obtained=OBTAINED, key=SECRET)
RECORD = Record(generation=1, payload=SECRET, written_at=0.0)
HOLDERS: list[object] = [SECRET, TOKEN, KEY, RECORD, [SECRET], {"a": TOKEN}, (KEY,)]

SHOWN: list[Callable[[Any], str]] = [
    repr,
    str,
    ascii,
    format,
    lambda value: f"{value} {value!r} {value!s}",
    lambda value: "{} {!r}".format(value, value),  # noqa: UP032  the method is what is tested
    lambda value: "%s %r" % (value, value),  # noqa: UP031  the operator is what is tested
    pprint.pformat,
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("show", SHOWN)
def test_no_conversion_to_text_shows_it(show: Callable[[Any], str], holder: object) -> None:  # LEK-1
    text = show(holder)
    assert "Secret(…)" in text.encode().decode("unicode_escape") or "Secret(…)" in text
    assert CANARY not in text
    assert OTHER not in text


def test_format_specification_applies_to_the_mask() -> None:
    assert f"{SECRET:>12}" == "   Secret(…)"


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_a_log_record_does_not_show_it(holder: object, caplog: pytest.LogCaptureFixture) -> None:  # LEK-1
    caplog.set_level(logging.DEBUG)
    logging.getLogger("app").debug("got %s and %r", holder, holder)
    assert "got" in caplog.text
    assert CANARY not in caplog.text
    assert OTHER not in caplog.text


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_a_traceback_with_local_variables_does_not_show_it(holder: object) -> None:  # LEK-1
    def fails(argument: object) -> None:
        raise ValueError(argument)

    with pytest.raises(ValueError, match="Secret") as caught:
        fails(holder)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "argument = " in shown
    assert CANARY not in shown
    assert OTHER not in shown


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(holder: object, protocol: int) -> None:  # LEK-1
    with pytest.raises(TypeError) as caught:
        pickle.dumps(holder, protocol)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_it_cannot_be_written_as_json(holder: object) -> None:  # LEK-1
    with pytest.raises(TypeError) as caught:
        json.dumps(holder)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_secret_itself(clone: Callable[[Secret], Secret]) -> None:
    assert clone(SECRET) is SECRET


@pytest.mark.parametrize("holder", [TOKEN, KEY, RECORD], ids=lambda holder: type(holder).__name__)
def test_asdict_keeps_it_wrapped(holder: Any) -> None:
    assert SECRET in attrs.asdict(holder).values()
    assert CANARY not in repr(attrs.asdict(holder))


@pytest.mark.parametrize("holder", [TOKEN, KEY], ids=lambda holder: type(holder).__name__)
def test_secrets_and_credentials_have_no_dict(holder: Credential) -> None:
    assert not hasattr(SECRET, "__dict__")
    assert not hasattr(holder, "__dict__")


@pytest.mark.parametrize("use", [lambda s: "" + s, "".join, len, iter, lambda s: s < Secret(""), lambda s: s[0]])
def test_string_operations_fail_without_showing_the_value(use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        use(SECRET)
    assert CANARY not in str(caught.value)


def test_it_is_immutable() -> None:
    with pytest.raises(AttributeError):
        SECRET._value = "x"
    assert SECRET.reveal() == CANARY


@given(st.text("ab\x00é…\ud800"), st.text("ab\x00é…\ud800"))
def test_equality_compares_the_revealed_strings(one: str, other: str) -> None:
    assert Secret(one).reveal() == one
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one
    assert bool(Secret(one)) == bool(one)


def test_unpaired_surrogates_can_be_compared() -> None:
    """An encoding error would contain the whole string."""
    assert Secret("\ud800x") == Secret("\ud800x")
    assert Secret("\ud800x") != Secret("\ud800y")


def test_comparing_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:  # LEK-1
    compared: list[tuple[bytes, bytes]] = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return True

    monkeypatch.setattr("hmac.compare_digest", spy)
    assert Secret("a") == Secret("b")
    assert compared == [(b"a", b"b")]


@pytest.mark.parametrize(("value", "shown"), [("x" * 19, None), ("x" * 16 + "tail", "tail"), ("", None)])
def test_last_four_is_none_for_short_secrets(value: str, shown: str | None) -> None:
    assert Secret(value).last_four() == shown


def test_fingerprint_identifies_a_secret_without_revealing_it() -> None:
    fingerprint = Secret("sk-example").fingerprint()
    assert fingerprint == Secret("sk-example").fingerprint()
    assert fingerprint != Secret("sk-example-2").fingerprint()
    assert re.fullmatch("[0-9a-f]{32}", fingerprint)
    assert Secret("\ud800").fingerprint()


@pytest.mark.parametrize(
    "method", ["__getstate__", "__reduce__", "__getnewargs__", "__getnewargs_ex__", "__reduce_ex__"]
)
def test_no_method_that_serializers_call_gives_it_away(method: str) -> None:  # LEK-1
    with pytest.raises(TypeError, match="pickled"):
        getattr(SECRET, method)()


def test_a_subclass_or_a_changed_slot_cannot_show_it() -> None:
    with pytest.raises(TypeError, match="subclassed"):
        type("Shown", (Secret,), {})
    with pytest.raises(AttributeError):
        del SECRET._cell
    assert CANARY not in repr([getattr(SECRET, name) for name in Secret.__slots__])


def test_requests_and_responses_cannot_be_pickled() -> None:  # LEK-1
    for message in (
        Request(method="GET", url="https://x", body=CANARY.encode()),
        Response(status=200, headers={}, body=CANARY.encode()),
    ):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(message, protocol)


@pytest.mark.parametrize(
    "secret",
    [
        *(
            "sk-ant-oat01-aB3dE5fG7hJ9",
            "sk-proj-a1B2c3D4e5F6g7H8",
            "sk_live_a1B2c3D4e5F6g7H8",
            "sk-a1B2c3D4e5F6g7H8i9J0",
        ),
        *("bedrock-api-key-a1B2c3D4e5F6g7H8", "ABSKa1B2c3D4e5F6g7H8", "AKIAIOSFODNN7EXAMPLE", "ya29.a1B2c3D4e5"),
        *("1//a1B2c3D4e5F6g7H8i9J0", "AIza" + "a1B2c3" * 6, "GOCSPX-a1B2c3D4e5", "ghp_a1B2c3D4e5F6g7H8"),
        *(
            "github_pat_a1B2c3D4e5F6g7H8i9J0",
            "xoxb-a1B2c3D4e5",
            "glpat-a1B2c3D4e5F6g7H8",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        ),
    ],
)
def test_family_is_known_in_the_place_of_a_name_and_in_prose(secret: str) -> None:  # LEK-9, TRU-13
    assert looks_secret(secret)
    assert masked(f"the key {secret} was refused") == "the key [redacted] was refused"


def test_each_family_has_an_example_above() -> None:
    (mark,) = test_family_is_known_in_the_place_of_a_name_and_in_prose.pytestmark  # type: ignore[attr-defined]
    for begins, _, rest in FAMILIES:
        assert any(re.fullmatch(f"{begins}{rest}", example) for example in mark.args[1]), begins


@pytest.mark.parametrize("name", ["ci-3f2a9c1b7d4e", "k8s-prod-eu1-blue2", "us-east-1", "Team2Prod", "p-1234567890123"])
def test_plain_name_is_shown(name: str) -> None:
    assert quoted(name) == repr(name)


@pytest.mark.parametrize("text", ["s3cr3t-Q7x9Z2w8", "a1B2c3D4e5F6", "0a1B2c3D4e5F6g7H8i9J0k1L2m3"])
def test_dense_mixture_of_letters_and_digits_is_not_shown(text: str) -> None:  # NET-10
    assert quoted(text) == "(not shown)"
