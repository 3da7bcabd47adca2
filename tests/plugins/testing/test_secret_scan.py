from __future__ import annotations

import base64

import pytest
from attrs import frozen

from freshkey.clock import SYSTEM
from freshkey.model.credential import OAuthToken
from freshkey.secret import Secret
from freshkey_testing import assert_no_secret, secrets_of


SECRET = "a secret/with=odd characters"


@frozen
class Nested:
    inner: tuple[object, ...]
    named: dict[str, object]


def test_secrets_are_found_in_nested_values() -> None:
    token = OAuthToken(obtained=SYSTEM.now(), access_token=Secret("access-1"), refresh_token=Secret("refresh-1"))
    nested = Nested(inner=(token, "plain"), named={"more": [Secret("more-1")]})
    assert secrets_of(nested) == {"access-1", "refresh-1", "more-1"}


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        "a%20secret%2Fwith%3Dodd%20characters",
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_leak_is_found_in_every_form_and_not_quoted(form: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_no_secret(f"before {form} after", {SECRET, "another-secret"}, "the log")
    assert "the log" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_text_without_a_secret_passes() -> None:
    assert_no_secret("nothing here", {SECRET}, "the log")
    assert_no_secret("short strings appear by chance", {"short"}, "the log")
