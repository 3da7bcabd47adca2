"""What the provider contract takes for a refresh token in the answer of an API that is not OAuth."""

from __future__ import annotations

import json

from freshkey import Secret
from freshkey.plugin import Response
from freshkey_testing.provider_contract.results import refresh_token_names, sent_refresh_token, with_refresh_token


def answer(value: object) -> Response:
    return Response(status=200, headers={}, body=json.dumps(value).encode())


def test_it_is_found_by_the_value_that_was_kept() -> None:
    received = answer({"token": "at-1", "renew": "rt-2", "seconds": 900})
    names = refresh_token_names([received], Secret("rt-2"))
    assert names == {"renew"}
    assert sent_refresh_token([received]) is None
    assert sent_refresh_token([received], names) == "rt-2"
    assert json.loads(with_refresh_token(received, "rt-3", names).body) == {
        "token": "at-1",
        "renew": "rt-3",
        "seconds": 900,
    }


def test_one_that_oauth_names_needs_no_search() -> None:
    received = answer({"access_token": "at-1", "refresh_token": "rt-2"})
    assert refresh_token_names([received], Secret("rt-2")) == frozenset()
    assert json.loads(with_refresh_token(received, None).body) == {"access_token": "at-1"}


def test_what_was_not_kept_is_not_one() -> None:
    assert refresh_token_names([answer({"renew": "rt-2"}), answer([])], Secret("rt-1")) == frozenset()
    assert refresh_token_names([answer({"renew": None})], None) == frozenset()
