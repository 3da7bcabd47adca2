"""A failure that is raised again: same class and code, when it was found, and when the next attempt follows."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

from freshkey._http.circuit_breaker import HostPaused
from freshkey._interprocess.hints import Hints
from freshkey._renewal.failure import Failure, describe_refusal, describe_shared, is_request, kind_of, shared_error
from freshkey.clock import Moment
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
    TrustNeeded,
)


NOW = Moment(wall=1_000.0, elapsed=50.0, boot_id="this boot")
SHARED = Hints(attempted=evolve(NOW, elapsed=38.0), pause=29.5, kind="ProviderRefused", error_code="example-no-plan")


class PlanError(ProviderRefused):
    """A plugin's own class."""


def test_error_is_repeated_with_its_age_and_the_time_left() -> None:
    error = TransientError("no route", retry_after=90.0, hint="Wait", profile="me")
    again = Failure(error, found_at=38.0, retry_at=67.5).again(50.0)
    assert str(again) == "me: no route (found 12 s ago; next try in 18 s). Wait"
    assert isinstance(again, TransientError)
    assert again.retry_after == 17.5
    assert (error.message, error.retry_after) == ("no route", 90.0), "the original can be repeated again"


def test_long_times_are_said_in_minutes() -> None:
    again = Failure(TransientError("no route"), found_at=0.0, retry_at=1300.0).again(398.0)
    assert again.message == "no route (found 7 min ago; next try in 16 min)"


@pytest.mark.parametrize("retry_at", [math.inf, 50.0, 10.0])
def test_without_a_pause_only_the_age_is_said(retry_at: float) -> None:
    again = Failure(ProviderRefused("no"), found_at=51.0, retry_at=retry_at).again(50.0)
    assert again.message == "no (found 0 s ago)"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PlanError("x"), "ProviderRefused"),
        (HostPaused("x"), "TransientError"),
        (TrustNeeded("x"), "TrustNeeded"),
        (StoreUnavailable("x"), "FreshkeyError"),
    ],
)
def test_nearest_class_that_every_process_knows_is_shared(error: FreshkeyError, kind: str) -> None:
    assert kind_of(error) == kind
    again = shared_error(Hints(kind=kind, error_code="example-code"), "Do it")
    assert (type(again).__name__, again.code, again.hint) == (kind, "example-code", "Do it")


def test_status_describes_what_another_process_found() -> None:
    sentence = "the provider rejected an earlier attempt to renew: example no plan"
    assert describe_shared(SHARED, NOW, owned=True) == f"{sentence} (found 12 s ago; next try in 18 s)"
    assert describe_shared(SHARED, evolve(NOW, elapsed=100.0), owned=True) == f"{sentence} (found 62 s ago)"
    assert describe_shared(SHARED, evolve(NOW, boot_id="another"), owned=True) == sentence
    assert describe_shared(Hints(), NOW, owned=True) is None


@pytest.mark.parametrize(
    ("kind", "code", "owned", "waits"),
    [
        ("TransientError", "command-failed", False, False),
        ("LoginRequired", "example-signed-out", False, False),
        ("ProviderRefused", "example-no-plan", False, False),
        ("TransientError", "temporarily-unavailable", False, True),
        ("ProviderRefused", "example-no-plan", True, True),
    ],
)
def test_next_try_is_said_only_of_what_the_next_command_waits_for(
    kind: str, code: str, owned: bool, waits: bool
) -> None:
    said = describe_shared(evolve(SHARED, kind=kind, error_code=code), NOW, owned=owned)
    assert str(said).endswith("(found 12 s ago; next try in 18 s)" if waits else "(found 12 s ago)")


def test_code_that_says_nothing_more_is_not_repeated() -> None:
    assert describe_refusal(None) == describe_refusal(LoginRequired.code) == "the sign-in can no longer be renewed"
    assert describe_refusal("sign-in-ended").endswith(": sign in ended")
    assert describe_refusal("renewal-response-lost").endswith(": renewal response lost")


@pytest.mark.parametrize(
    ("kind", "code", "request_"),
    [
        ("TransientError", "temporarily-unavailable", True),
        ("TransientError", "command-failed", False),
        ("ProtocolError", "invalid-command-output", False),
        ("LoginRequired", "sign-in-required", False),
        ("an unknown class", None, True),
    ],
)
def test_only_requests_are_held_back_from_a_user(kind: str, code: str | None, request_: bool) -> None:
    assert is_request(Hints(kind=kind, error_code=code)) is request_
