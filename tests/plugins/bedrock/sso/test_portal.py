"""Arbitrary responses of the access portal cause no unexpected exceptions."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.secret import Secret
from freshkey_bedrock.sso import portal
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
            send=answering(body).send,
            now=0.0,
        )
    )


@settings(deadline=None)  # slow on a busy machine
@given(st.binary(max_size=60), st.sampled_from([200, 201, 400, 401, 403, 404, 408, 429, 500, 503]))
def test_any_body_causes_a_freshkey_error_or_none(body: bytes, status: int) -> None:
    send = answering(body, status).send
    outcome(lambda: portal.end_session("https://p.example", Secret("a"), send=send, now=0.0))
