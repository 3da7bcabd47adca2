"""Clock skew causes a warning and nothing else (TIM-5)."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.errors import LoginRequired
from freshkey.model.exchange import Response
from freshkey.oauth import OAuthClient, Server
from freshkey.oauth.skew import seconds_behind, warn_of_skew
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


Answer = Callable[..., Response]
NOW = ManualClock().now()
DATE = format_datetime(NOW.utc, usegmt=True)


def test_seconds_behind_the_date_header() -> None:
    assert DATE == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert seconds_behind({"date": DATE}, NOW.wall - 90) == 90
    assert seconds_behind({"date": DATE}, NOW.wall + 90) == -90


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "Thu, 01 Jan 2026 00:00:00",
        "Thu, 01 Jan 2026 00:00:00 -0000",
        "Thu, 99 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 99999999999 00:00:00 GMT",
        "1767225600",
    ],
)
def test_a_missing_or_malformed_date_is_none(date: str) -> None:
    assert seconds_behind({"date": date}, NOW.wall) is None
    assert seconds_behind({}, NOW.wall) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,9} \d+:\d+:\d+ ([+-]\d{1,9}|[A-Z]{3})"))
def test_any_date_header_is_a_number_or_none(date: str) -> None:
    behind = seconds_behind({"date": date}, NOW.wall)
    assert behind is None or isinstance(behind, float)


@pytest.mark.parametrize(
    ("step", "messages"),
    [
        (0.0, []),
        (60.0, []),
        (-60.0, []),
        (61.0, ["this machine's clock is 61 s ahead of the clock of id.example.com"]),
        (-7200.0, ["this machine's clock is 7200 s behind the clock of id.example.com"]),
    ],
)
def test_more_than_a_minute_is_logged(step: float, messages: list[str], caplog: pytest.LogCaptureFixture) -> None:
    warn_of_skew({"date": DATE}, NOW.wall + step, "id.example.com")
    assert caplog.messages == messages


def test_a_renewal_warns_whatever_its_outcome_and_uses_the_local_clock(
    server: Server, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    clock.step_wall(3600)
    answers = [answer({"access_token": "at", "expires_in": 60}), answer({"error": "invalid_grant"}, 400)]
    dated = [Response(status=each.status, headers={**each.headers, "date": DATE}, body=each.body) for each in answers]
    client = OAuthClient(server=server, client_id="me", send=lambda request: dated.pop(0), clock=clock)

    assert client.refresh(Secret("rt")).expires_in == 60
    with raises_code(LoginRequired, "sign-in-ended"):
        client.refresh(Secret("rt"))
    assert len(caplog.messages) == 2
    assert all("3600 s ahead" in message for message in caplog.messages)
