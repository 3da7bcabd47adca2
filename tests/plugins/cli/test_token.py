"""token: prints exactly the token, and nothing else, to stdout (LEK-6, TRU-6)."""

from __future__ import annotations

import re

import pytest

from cli_doubles import NEWER_TOKEN, TOKEN, FakeKeeper, Run, api_key, signed, token
from freshkey.errors import ProtocolError, ProviderRefused, TransientError
from freshkey.model.description import Inspection, Validity


def test_stdout_contains_only_the_token(run: Run) -> None:
    done = run("token")

    assert (done.code, done.out, done.err) == (0, f"{TOKEN}\n", "")


def test_token_as_json_includes_the_expiry(run: Run) -> None:
    done = run("token", "--json")

    assert done.json["token"] == TOKEN
    assert done.json["profile"] == "me"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done.json["expires_at"])


def test_token_without_expiry_has_null(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = api_key()

    assert run("token", "--json").json == {"profile": "me", "token": TOKEN, "expires_at": None}


def test_min_ttl_and_profile_reach_the_keeper(run: Run, keeper: FakeKeeper) -> None:
    run("token", "other", "--min-ttl", "600")

    assert keeper.asked == [("get", "other", 600.0)]
    assert keeper.closed


def test_token_of_a_lifetime_shorter_than_requested_is_printed_with_a_notice(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(lifetime=60.0)
    done = run("token", "--min-ttl", "600")

    assert (done.code, done.out) == (0, f"{TOKEN}\n")
    assert done.err == "me: the credential expires in 1 min 0 s, sooner than requested; a new one lasts 1 min 0 s\n"
    assert run("token", "--min-ttl", "600", "--json").err == done.err
    assert run("token", "--min-ttl", "60").err == ""


def test_token_that_ends_too_soon_is_not_printed(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = TransientError("it expires in 17 s", code="expires-too-soon")
    done = run("token", "--min-ttl", "600")

    assert (done.code, done.out, done.error_code) == (5, "", "expires-too-soon")


def test_valid_token_is_printed_after_the_check(run: Run, keeper: FakeKeeper) -> None:
    done = run("token", "--check", "--min-ttl", "60")

    assert (done.code, done.out, done.err) == (0, f"{TOKEN}\n", "")
    assert keeper.asked == [("get", "me", 60.0), ("inspect", "me")]


@pytest.mark.parametrize("validity", [Validity.REFUSED, Validity.EXPIRED])
def test_refused_token_is_renewed_once(run: Run, keeper: FakeKeeper, validity: Validity) -> None:
    keeper.inspection = Inspection(validity=validity)
    done = run("token", "--check", "--min-ttl", "60")

    assert (done.code, done.out, done.err) == (0, f"{NEWER_TOKEN}\n", "")
    assert keeper.asked == [("get", "me", 60.0), ("inspect", "me"), ("get", "me", 60.0, keeper.credential)]


@pytest.mark.parametrize(
    "answer",
    [
        Inspection(validity=Validity.UNREACHABLE, detail="no answer"),
        Inspection(validity=Validity.UNCHECKABLE, detail="no answer"),
        TransientError("no answer"),
        ProtocolError("no answer"),
    ],
)
def test_token_that_cannot_be_checked_is_printed_with_a_notice(
    run: Run, keeper: FakeKeeper, answer: Inspection | Exception
) -> None:
    keeper.inspection = answer
    done = run("token", "--check")

    assert (done.code, done.out) == (0, f"{TOKEN}\n")
    assert done.err.startswith("me: ")
    assert done.err.endswith(": no answer\n")
    assert run("token", "--check", "--json").err == ""


def test_check_that_fails_for_good_is_an_error(run: Run, keeper: FakeKeeper) -> None:
    keeper.inspection = ProviderRefused("its certificate cannot be verified")
    done = run("token", "--check")

    assert (done.code, done.out) == (6, "")


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_credential_of_several_parts_is_not_a_token(run: Run, keeper: FakeKeeper, options: tuple[str, ...]) -> None:
    keeper.credential = signed()
    done = run("token", *options)

    assert (done.code, done.out, done.error_code) == (6, "", "not-a-token")
    assert "freshkey export me --format json" in done.err
    assert "unchecked" not in done.err
    assert keeper.asked == [("get", "me", 0.0)]
    assert run("export", "--format", "json").code == 0
