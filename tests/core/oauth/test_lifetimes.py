"""Lifetimes and ends of tokens in all the ways in which servers state them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.model.exchange import Response
from freshkey.oauth import TokenAnswer, read_token
from freshkey.oauth.lifetimes import MAX_LIFETIME, access_lifetime, refresh_lifetime
from promises import proves


NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
YEARS = MAX_LIFETIME


def read(facts: dict[str, Any] | str, *, date: str = "", now: float = NOW) -> TokenAnswer:
    body = facts if isinstance(facts, str) else json.dumps({"access_token": "at-1", "refresh_token": "rt-1", **facts})
    return read_token(Response(status=200, headers={"date": date} if date else {}, body=body.encode()), now)


def literal(lifetime: str) -> str:
    return json.dumps({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": "X"}).replace('"X"', lifetime)


# --- expires_in -----------------------------------------------------------------------------------------------------


@proves("FAULT-41", "NET-6")
@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *(("3600", 3600.0), ("3600.0", 3600.0), ("3599.5", 3599.5), ("36e2", 3600.0), ("0", 0.0), ("0.5", 0.5)),
        *(('"3600"', 3600.0), ('"3600 "', 3600.0), ('" 3600"', 3600.0), ('"3600.0"', 3600.0), ('"3.6e3"', 3600.0)),
        *(('"+3600"', 3600.0), ('"0"', 0.0), ("null", None)),
        *(('"3600s"', 3600.0), ('"3599.5s"', 3599.5), ('"PT1H"', 3600.0), ('"PT59M60S"', 3600.0)),
        *(('"3600 seconds"', 3600.0), ('"3600 sec"', 3600.0), ('"1 second"', 1.0)),
        *(('"P1DT1S"', 86401.0), ('"2096-01-01T00:00:00Z"', YEARS)),
        *(("2147483647", YEARS), ('"999999999999999999"', YEARS), ("9223372036854775808", YEARS)),
        *(("1" + "0" * 40, YEARS), ("1e999", YEARS), ("Infinity", YEARS)),
    ],
)
def test_valid_lifetimes(written: str, seconds: float | None) -> None:
    assert read(literal(written)).expires_in == seconds


@proves("FAULT-41", "NET-6")
@pytest.mark.parametrize(
    "written",
    [
        *("true", "false", "-1", "-0.5", "NaN", "-Infinity", "[]", "{}", "[3600]"),
        *('"-1"', '"3600٣"', '"٣"', '""', '"soon"', '"1h"', '"0x10"', '"1_000"', '"' + "9" * 5000 + '"'),
        *('"P"', '"PT"', '"P1M"', '"s"', '"-3600s"', '"1e3s"', '"2025-12-31T23:00:00Z"'),
    ],
)
def test_an_unreadable_lifetime_counts_as_missing(written: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = read(literal(written))

    assert answer.expires_in is None
    assert answer.refresh_token is not None
    assert "unreadable expires_in" in caplog.text


@pytest.mark.parametrize("date", [NOW + 86400, (NOW + 86400) * 1000, "2026-01-02T00:00:00Z"])
def test_a_date_in_place_of_a_lifetime_is_recognized(date: object) -> None:
    assert read({"expires_in": date}).expires_in == 86400.0


# --- expires_at -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        NOW + 3600,
        str(int(NOW + 3600)),
        (NOW + 3600) * 1000,
        (NOW + 3600) * 10**6,
        str(int(NOW + 3600) * 10**9),
        "2026-01-01T01:00:00Z",
        "2026-01-01T01:00:00.000Z",
        "2026-01-01T03:00:00+02:00",
        "2026-01-01T01:00:00",
        "2026-01-01 01:00:00",
        "20260101T010000Z",
        "Thu, 01 Jan 2026 01:00:00 GMT",
        "2026-01-01 01:00:00 +0000 UTC",  # Go
        "2026-01-01 03:00:00.123456789 +0200 CEST m=+3600.1",
        "2026-01-01 01:00:00 UTC",  # Ruby
        "2026-01-01T01:00:00.000+0000",
        f"/Date({int(NOW + 3600) * 1000})/",  # .NET
        f"/Date({int(NOW + 3600) * 1000}+0200)/",
        "01/01/2026 01:00:00 AM +00:00",  # Azure App Service
        "1/1/2026 3:00:00 AM +02:00",
        "1/1/2026 1:00:00 AM",
        "Thu Jan 01 01:00:00 UTC 2026",  # Java
        "Thu Jan  1 01:00:00 2026",  # C
    ],
)
@pytest.mark.parametrize(
    "member",
    [
        *("expires_at", "expires_on", "expiresAt", "expires", ".expires", "expiration", "access_token_expires_at"),
        *("accessTokenExpiresAt", "access_token_expires", "expire_at", "expiry", "expiry_date", "expiration_time"),
        *("expiresTime", "expiration_date", "access_expires_at", "token_expiry", "expires_timestamp"),
    ],
)
def test_an_end_is_read_in_any_format(member: str, end: object) -> None:
    assert read({member: end}).expires_in == pytest.approx(3600.0, abs=0.2)


@pytest.mark.parametrize(
    "end",
    [
        *("01/02/2026 01:00:00", "13/01/2026 01:00:00 AM", "1/1/2026 13:00:00 PM", "/Date(soon)/", "Thu Jan 01 2026"),
        *("2026-01-01 01:00:00 CEST", "Xxx Xxx 99 99:99:99 2026", "12/32/2026 01:00:00 AM"),
    ],
)
def test_a_date_that_is_in_doubt_counts_as_missing(end: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read({"expires_at": end}).expires_in is None
    assert "unreadable expires_at" in caplog.text


@pytest.mark.parametrize(
    "member", ["expire_in", "expireIn", "expiresIn", "expires_in", "token_expires_in", "access_expires_in", "ttl"]
)
@pytest.mark.parametrize("lifetime", [600, "600", "600s", NOW + 600])
def test_a_lifetime_is_read_by_any_name(member: str, lifetime: object) -> None:
    assert read({member: lifetime}).expires_in == 600.0


@pytest.mark.parametrize(
    "member",
    [
        *("subscription_expires_at", "id_token_expires_in", "ext_expires_in", "session_expires_in", "code_expires_in"),
        *("refresh_token_lifetime", "expired", "expirience", "password_expiry", "expires_never", "ttl_unit"),
    ],
)
def test_the_end_of_something_else_is_not_the_tokens(member: str) -> None:
    answer = read({member: 600})

    assert answer.expires_in is None
    assert answer.refresh_expires_in is None


def test_an_end_is_compared_with_the_servers_own_clock() -> None:
    answer = read({"expires_at": NOW + 3600}, date="Thu, 01 Jan 2026 00:00:00 GMT", now=NOW - 86400)

    assert answer.expires_in == 3600.0


@pytest.mark.parametrize("date", ["", "soon"])
def test_without_a_date_it_is_compared_with_the_local_clock(date: str) -> None:
    assert read({"expires_at": NOW + 3600}, date=date, now=NOW + 60).expires_in == 3540.0


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({"expires_in": 3600, "expires_at": NOW + 600}, 600.0),
        ({"expires_in": 600, "expires_at": NOW + 3600}, 600.0),
        ({"expires_in": "junk", "expires_at": NOW + 3600}, 3600.0),
        ({"expires_in": 3600, "expires_at": "junk"}, 3600.0),
        ({"expires_in": 3600, "expires_at": 0}, 3600.0),
        ({"expires_in": 3600, "ext_expires_in": 60}, 3600.0),
        ({"expires_at": NOW - 5}, 0.0),
        ({"expires_at": NOW + 1e9}, YEARS),
        ({"expires_at": 3600}, None),
        ({"expires_at": True}, None),
        ({"expires_at": None}, None),
        ({"expires_in": 3600000, "expires_in_sec": 3600}, 3600.0),
        ({"access_token_expires_in": 600}, 600.0),
        ({"expires": "5183999"}, 5183999.0),
        ({"expires_in": 3600, "expires": 60}, 3600.0),
        ({"expires_in": 3600, "expiration": NOW + 60}, 3600.0),
        ({"expires_in": "junk", "expiration": NOW + 60}, 60.0),
        ({"expires_in": 0, "expiration": NOW + 60}, 0.0),
        ({"expiration": NOW - 60}, None),
        ({"expiration": 60}, None),
        ({"expires": 0}, None),
        ({"expires": False}, None),
        ({}, None),
    ],
)
def test_the_earliest_end_counts(facts: dict[str, Any], seconds: float | None) -> None:
    assert read(facts).expires_in == seconds


# --- the refresh token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({"refresh_token_expires_in": 15897600}, 15897600.0),
        ({"refresh_expires_in": 1800}, 1800.0),
        ({"x_refresh_token_expires_in": "8726400"}, 8726400.0),
        ({"refresh_token_expires_at": NOW + 60}, 60.0),
        ({"refresh_token_expires_at": "2026-01-01T00:01:00Z"}, 60.0),
        ({"refresh_token_expires_in": 100, "refresh_expires_in": 50}, 50.0),
        ({"refreshTokenExpiresIn": 100}, 100.0),
        ({"refreshTokenExpiresAt": NOW + 60}, 60.0),
        ({"refresh_token_expires_on": NOW + 60}, 60.0),
        ({"refresh_token_expires": "2026-01-01T00:01:00Z"}, 60.0),
        ({"refresh_token_expiration": (NOW + 60) * 1000}, 60.0),
        ({"refresh_token_expiry": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60.0),
        ({"refresh_token_expiration_date": "2026-01-01T00:01:00+00:00"}, 60.0),
        ({"refresh_token_expires_in": 100, "refresh_token_expires": NOW + 60}, 100.0),
        ({"refresh_token_expire_in": 600}, 600.0),
        ({"refresh_token_expire_in": NOW + 600}, 600.0),  # TikTok Shop
        ({"refresh_expire_in": 600}, 600.0),
        ({"re_expires_in": 600}, 600.0),
        ({"rt_expires_in": 600}, 600.0),
        ({"refresh_expires": NOW + 600}, 600.0),
        ({"refresh_expires_on": NOW + 600}, 600.0),
        ({"refresh_token_ttl": 600}, 600.0),
        ({"refreshExpiresIn": 600, "expire_in": 60}, 600.0),
        ({"refresh_token_expires_in": 100, "refresh_token_expire_in": 50}, 100.0),
        ({"refresh_token_expires": 30}, None),
        ({"refresh_token_expires": NOW - 60}, None),
        ({"refresh_expires_in": 0}, None),
        ({"refresh_token_expires_in": -1}, None),
        ({"refresh_token_expires_in": "never"}, None),
        ({"refresh_token_expires_in": 1e12}, YEARS),
        ({}, None),
    ],
)
def test_the_end_of_the_refresh_token_is_read(facts: dict[str, Any], seconds: float | None) -> None:
    assert read(facts).refresh_expires_in == seconds


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.datetimes().map(str)


@given(
    st.dictionaries(
        st.sampled_from(["expires_in", "expires_at", "expires", "refresh_expires_in", "refresh_token_expiry"]),
        JUNK,
    ),
    st.floats(0, 1e11),
)
def test_any_lifetime_is_finite_and_not_negative(facts: dict[str, Any], generated: float) -> None:
    for lifetime in (access_lifetime(facts, generated), refresh_lifetime(facts, generated)):
        assert lifetime is None or (math.isfinite(lifetime) and 0 <= lifetime <= MAX_LIFETIME)
