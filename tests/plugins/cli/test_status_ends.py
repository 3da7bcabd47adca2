"""status: when the access token ends, and when its sign-in does."""

from __future__ import annotations

from cli_doubles import FakeKeeper, Run, token


DAY = 86_400.0


def test_status_shows_both_ends(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(renewable_for=29 * DAY)
    assert "1 h 0 min (sign-in: 29 d 0 h)" in run("status", "me").out
    (value,) = run("status", "me", "--json").json["profiles"]
    assert value["seconds_left"] == 3600
    assert value["sign_in_seconds_left"] == 29 * DAY
    assert value["sign_in_ends_at"] == "2026-01-30T00:00:00Z"
    assert value["sign_in_ending"] is False


def test_status_without_an_end_of_the_sign_in_shows_only_the_other(run: Run) -> None:
    assert "sign-in:" not in run("status", "me").out
    (value,) = run("status", "me", "--json").json["profiles"]
    assert (value["sign_in_seconds_left"], value["sign_in_ends_at"]) == (None, None)


def test_status_says_before_the_sign_in_ends_what_to_run(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(renewable_for=2 * DAY, sign_in_term=30 * DAY)
    done = run("status", "me")
    assert "sign-in ends soon" in done.out
    assert "me: the sign-in ends at 2026-01-03 00:00 UTC; before that, run: freshkey login me" in done.err
    (value,) = run("status", "me", "--json").json["profiles"]
    assert value["sign_in_ending"] is True
