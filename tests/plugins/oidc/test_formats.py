"""The format of what is stored, and how a token is used."""

from __future__ import annotations

import pytest

from freshkey.secret import Secret
from freshkey_oidc.formats import FORMATS, OidcToken
from freshkey_testing import ManualClock


def token(**fields: object) -> OidcToken:
    standard = {"obtained": ManualClock().now(), "access_token": Secret("a-token")}
    return OidcToken(**standard | fields)  # type: ignore[arg-type]  # tests pass what they mean


def test_tag_in_stored_records_stays() -> None:
    assert {"oidc-token": OidcToken} == FORMATS


def test_token_is_sent_as_a_bearer_token() -> None:
    assert token().headers() == {"Authorization": "Bearer a-token"}


@pytest.mark.parametrize(("variable", "found"), [(None, {}), ("APP_TOKEN", {"APP_TOKEN": "a-token"})])
def test_programs_get_it_only_in_the_variable_that_is_set(variable: str | None, found: dict[str, str]) -> None:
    assert token(variable=variable).environment() == found
