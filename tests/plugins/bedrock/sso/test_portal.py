"""Arbitrary responses of the access portal cause no unexpected exceptions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.errors import TransientError
from freshkey.secret import Secret
from freshkey_bedrock.sso import portal
from raises_code import raises_code
from sso_answers import answering, anything, outcome


@settings(deadline=None)  # slow on a busy machine
@given(st.dictionaries(st.sampled_from(["accessKeyId", "secretAccessKey", "sessionToken", "expiration"]), anything))
def test_any_role_credentials_are_accepted_or_refused(printed: dict[str, object]) -> None:
    body = json.dumps({"roleCredentials": printed}).encode()
    outcome(
        lambda: portal.role_keys(
            "https://portal.example",
            Secret("a"),
            account_id="111122223333",
            role_name="r",
            send=answering(body).profile.send,
            now=0.0,
        )
    )


@settings(deadline=None)  # slow on a busy machine
@given(st.binary(max_size=60), st.sampled_from([200, 201, 400, 401, 403, 404, 408, 429, 500, 503]))
def test_any_body_causes_a_freshkey_error_or_none(body: bytes, status: int) -> None:
    send = answering(body, status).profile.send
    outcome(lambda: portal.end_session("https://p.example", Secret("a"), send=send, now=0.0))


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 407, 511])
def test_web_page_is_not_an_answer_of_the_portal(status: int) -> None:
    send = answering(b"\n<!DOCTYPE html><html>Blocked</html>", status).profile.send
    code = "server-unavailable" if status == 511 else "answered-in-between"
    with raises_code(TransientError, code):
        portal.role_keys(
            "https://portal.example", Secret("a"), account_id="111122223333", role_name="r", send=send, now=0.0
        )
    with raises_code(TransientError, code):
        portal.end_session("https://portal.example", Secret("a"), send=send, now=0.0)
