"""What `Attempts` records about a failure, fact by fact, and what another process concludes from it."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.failure import describe_shared
from freshkey._renewal.reading import Reading
from freshkey._renewal.subject import subject_of
from freshkey.clock import Moment
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
    found_here,
)
from freshkey.model.credential import OAuthToken
from freshkey.model.source import Source
from freshkey.model.storage import Record, Snapshot
from freshkey.secret import Secret
from rotating import World, hints


SIGN_IN = Source(id="sign-in", title="A sign-in", owned=True, interactive=True)
VARIABLE = Source(id="variable", title="A variable", owned=False)
HELPER = Source(id="helper", title="A helper", owned=False)

LATER = TransientError("later", code="example-later")


def attempts(world: World) -> Attempts:
    return Attempts(world.keeper()._open_profile("me").context, {})


def token(world: World, lifetime: float | None = 3600.0) -> OAuthToken:
    return OAuthToken(
        obtained=world.clock.now(),
        lifetime=lifetime,
        source="sign-in",
        access_token=Secret("at-1"),
        refresh_token=Secret("rt-1"),
        client_id="c",
    )


def signed_in(world: World, lifetime: float | None = 3600.0) -> Reading:
    """Return what a renewal of generation 7 reads."""
    snapshot = Snapshot(record=Record(generation=7, payload=Secret("x"), written_at=0.0))
    return Reading(winner=SIGN_IN, stored=token(world, lifetime), snapshot=snapshot)


def write(world: World, written: Hints) -> None:
    HintsFile(world.state_dir, "me").write(written)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_shared_failure_has_its_class_code_time_source_subject_and_pause(world: World) -> None:
    world.random = 1.0
    them, reading = attempts(world), signed_in(world)
    failure = them.note_failure(LATER, reading)
    assert failure is not None
    now = world.clock.now()
    assert (failure.error, failure.found_at, failure.pause) == (LATER, now.elapsed, 60.0)
    assert (failure.subject, failure.count) == (None, 1)
    assert hints(world) == Hints(
        source="sign-in",
        subject=subject_of(them.context, reading),
        attempted=now,
        pause=60.0,
        failures=1,
        kind="TransientError",
        error_code="example-later",
    )


@pytest.mark.parametrize(
    ("shared", "earlier", "source", "count"),
    [
        (0, 0, VARIABLE, 1),
        (2, 0, VARIABLE, 3),
        (2, 4, VARIABLE, 5),
        (4, 2, VARIABLE, 5),
        (2, 0, HELPER, 1),
        (2, 1, HELPER, 2),
    ],
)
def test_failures_in_a_row_are_those_of_one_source(
    world: World, shared: int, earlier: int, source: Source, count: int
) -> None:
    write(world, Hints(source="variable", failures=shared))
    failure = attempts(world).note_failure(LATER, Reading(winner=source), earlier)
    assert failure is not None
    assert failure.count == count
    assert (hints(world).failures, hints(world).source) == (count, source.id)


@pytest.mark.parametrize(
    ("error", "at_most", "pause"),
    [
        (TransientError("later", retry_after=7.0), 5.0, 7.0),
        (TransientError("later", retry_after=90.0), 5.0, 90.0),
        (TransientError("later", retry_after=90.0), 1000.0, 90.0),
        (TransientError("later"), 0.25, 0.25),
        (TransientError("later"), 1000.0, 30.0),
        (TransientError("not yet", starting=True), 1000.0, 2.0),
        (TransientError("not yet", starting=True), 1.5, 1.5),
        (TransientError("exit 1", code="command-failed"), 1.5, 1.5),
    ],
)
def test_pause_is_as_long_as_requested_and_otherwise_as_allowed(
    world: World, error: TransientError, at_most: float, pause: float
) -> None:
    failure = attempts(world).note_failure(error, Reading(winner=VARIABLE), at_most=at_most)
    assert failure is not None
    assert failure.pause == hints(world).pause == pytest.approx(pause)


@pytest.mark.parametrize(
    ("earlier", "awaited", "pause"),
    [(0, True, 2.0), (1, True, 4.0), (3, True, 16.0), (4, True, 30.0), (20, True, 30.0), (0, False, 30.0)],
)
def test_failed_helper_is_run_again_soon_only_if_someone_waits(
    world: World, earlier: int, awaited: bool, pause: float
) -> None:
    error = TransientError("exit 1", code="command-failed")
    failure = attempts(world).note_failure(error, Reading(winner=VARIABLE), earlier, awaited=awaited)
    assert failure is not None
    assert failure.pause == pause


def test_pause_depends_on_the_lifetime_of_what_is_stored(world: World) -> None:
    for lifetime, pause in ((100.0, 10.0), (None, 30.0)):
        failure = attempts(world).note_failure(ProviderRefused("no"), signed_in(world, lifetime))
        assert failure is not None
        assert failure.pause == pause


def test_other_processes_look_at_the_configuration_at_once(world: World) -> None:
    failure = attempts(world).note_failure(ConfigurationError("no such file"), Reading(winner=VARIABLE))
    assert failure is not None
    assert (failure.pause, hints(world).pause, hints(world).kind) == (30.0, 0.0, "ConfigurationError")


@pytest.mark.parametrize(
    ("error", "source"),
    [
        (LATER, None),
        (StoreUnavailable("locked"), SIGN_IN),
        (TransientError("no proxy", local=True), SIGN_IN),
    ],
)
def test_failures_of_one_process_are_not_shared(world: World, error: FreshkeyError, source: Source | None) -> None:
    failure = attempts(world).note_failure(error, Reading(winner=source))
    assert failure is not None
    assert failure.pause == 30.0
    assert hints(world) == Hints()


@pytest.mark.parametrize("kind", [TransientError, ProviderRefused, ConfigurationError, LoginRequired])
def test_what_was_found_on_this_machine_is_told_but_holds_back_no_other_process(
    world: World, kind: type[FreshkeyError]
) -> None:
    error = found_here(kind("the clock of this machine is wrong"))
    for earlier, pause in ((0, 2.0), (1, 4.0), (9, 30.0)):
        failure = attempts(world).note_failure(error, Reading(winner=VARIABLE), earlier)
        assert failure is not None
        assert failure.pause == pause
        assert (hints(world).pause, hints(world).failures, hints(world).kind) == (0.0, 0, kind.__name__)
    background = attempts(world).note_failure(error, Reading(winner=VARIABLE), awaited=False)
    assert background is not None
    assert background.pause == 30.0


@pytest.mark.parametrize(
    ("error", "holds_back_from"),
    [
        (IntermediaryAnswer("a page"), 3),
        (IntermediaryAnswer("empty", may_be_refusal=True), 3),
        (LoginRequired("denied", doubtful=True), 3),
        (ProtocolError("cut off"), 1),
    ],
)
def test_what_may_come_from_the_surroundings_holds_back_later_processes_from_the_third_time_on(
    world: World, error: FreshkeyError, holds_back_from: int
) -> None:
    reading = signed_in(world)
    for count in range(1, 5):
        asked = world.clock.elapsed()
        attempts(world).note_failure(error, reading)
        assert attempts(world).reason_to_wait(reading, None, asked) is not None, "who waited does not repeat it"
        later = attempts(world).reason_to_wait(reading, None, asked + 0.001)
        assert (later is not None) is (count >= holds_back_from)
        told = describe_shared(hints(world), world.clock.now(), owned=True)
        assert told is not None
        assert ("next try" in told) is (count >= holds_back_from)
        world.clock.advance(10)


def test_other_invalid_responses_are_shared(world: World) -> None:
    failure = attempts(world).note_failure(ProtocolError("cut off"), signed_in(world))
    assert failure is not None
    assert (failure.pause, hints(world).pause, hints(world).kind) == (30.0, 30.0, "ProtocolError")


@pytest.mark.parametrize(
    ("earlier", "pause"), [(0, 30.0), (1, 60.0), (2, 120.0), (6, 1920.0), (7, 3600.0), (9999, 3600.0)]
)
def test_doubtful_refusal_pauses_one_process_longer_each_time(world: World, earlier: int, pause: float) -> None:
    write(world, Hints(source="variable", failures=9, pause=50.0))
    error = LoginRequired("denied", doubtful=True, code="example-denied")
    failure = attempts(world).note_failure(error, signed_in(world), earlier)
    assert failure is not None
    assert (failure.pause, failure.count, failure.holds_back(1000.0, background=False)) == (pause, earlier + 1, True)
    assert (error.code, error.retry_after) == ("sign-in-probably-ended", pause)
    noted = hints(world)
    assert (noted.kind, noted.error_code) == ("LoginRequired", "sign-in-probably-ended")
    assert (noted.source, noted.pause, noted.failures) == ("sign-in", pause, earlier + 1)


@pytest.mark.parametrize(("shared", "failures"), [(3, 3), (0, 0)])
@pytest.mark.parametrize("error", [ConfigurationError("no"), LoginRequired("moved", unsent=True)])
def test_what_pauses_no_other_process_lengthens_no_pause_of_theirs(
    world: World, error: FreshkeyError, shared: int, failures: int
) -> None:
    write(world, Hints(source="sign-in", failures=shared))
    attempts(world).note_failure(error, signed_in(world))
    assert (hints(world).failures, hints(world).pause) == (failures, 0.0)


@pytest.mark.parametrize("source", [None, SIGN_IN])
def test_missing_sign_in_pauses_no_one(world: World, source: Source | None) -> None:
    assert attempts(world).note_failure(LoginRequired("signed out"), Reading(winner=source)) is None
    assert hints(world) == Hints()


# --- a sign-in that has ended, probably or for good -------------------------------------------------------------------

BEFORE = Hints(generation=7, source="variable", subject="s", attempted=Moment(1, 1, "b"), pause=50.0, failures=2)


def test_doubt_is_shared_without_a_pause(world: World) -> None:
    write(world, BEFORE)
    error = LoginRequired("probably ended", code="example-doubt")
    failure = attempts(world).note_doubt(error, signed_in(world), 40.0)
    now = world.clock.now()
    assert (failure.error, failure.found_at, failure.retry_at) == (error, now.elapsed, now.elapsed + 40.0)
    assert hints(world) == evolve(
        BEFORE,
        source="sign-in",
        subject=None,
        attempted=now,
        pause=0.0,
        kind="LoginRequired",
        error_code="example-doubt",
    )


def test_refusal_is_shared_with_its_generation_and_remembered(world: World) -> None:
    write(world, BEFORE)
    them, error = attempts(world), LoginRequired("revoked", code="example-revoked")
    them.note_refusal(error, signed_in(world))
    assert hints(world) == evolve(
        BEFORE,
        source="sign-in",
        subject=None,
        attempted=world.clock.now(),
        pause=0.0,
        kind="LoginRequired",
        error_code="example-revoked",
        sign_in_code="example-revoked",
        refused_generation=7,
    )
    assert list(them.refusals) == [7]
    assert (them.refusals[7].hint, them.refusals[7].code) == ("Run: freshkey login me", "example-revoked")


def test_expiry_of_what_cannot_be_renewed_is_not_a_refusal(world: World) -> None:
    them, reading = attempts(world), signed_in(world)
    assert isinstance(reading.stored, OAuthToken)
    key = evolve(reading, stored=evolve(reading.stored, refresh_token=None))
    them.note_refusal(LoginRequired("expired", code="sign-in-ended"), key)
    assert them.refusals == {}
    assert hints(world).refused_generation == 0


@pytest.mark.parametrize("reading", [Reading(), Reading(winner=SIGN_IN), Reading(winner=VARIABLE)])
def test_only_a_stored_sign_in_can_be_refused_for_good(world: World, reading: Reading) -> None:
    them = attempts(world)
    them.note_refusal(LoginRequired("revoked"), reading)
    them.note_refusal(LoginRequired("revoked"), evolve(signed_in(world), winner=VARIABLE))
    assert (them.refusals, hints(world)) == ({}, Hints())


def test_success_allows_the_next_attempt_after_the_floor(world: World) -> None:
    write(world, evolve(BEFORE, kind="TransientError", error_code="example-later"))
    attempts(world).note_success(token(world, 100.0), "t")
    assert hints(world) == evolve(
        BEFORE, source="sign-in", subject="t", attempted=world.clock.now(), pause=10.0, failures=0
    )


# --- what others conclude ---------------------------------------------------------------------------------------------


def paused(world: World, **changes: object) -> Hints:
    """Write hints with a pause of 20 s that has just begun."""
    written = evolve(Hints(source="variable", attempted=world.clock.now(), pause=20.0), **changes)  # type: ignore[arg-type]
    write(world, written)
    return written


def test_pause_is_one_of_the_winning_source(world: World) -> None:
    paused(world, kind="TransientError", error_code="example-later")
    them = attempts(world)
    assert them.reason_to_wait(Reading(winner=HELPER), None) is None
    assert them.reason_to_wait(Reading(), None) is None
    world.clock.advance(5)
    waited = them.reason_to_wait(Reading(winner=VARIABLE), None)
    assert waited is not None
    assert (waited.found_at, waited.retry_at) == (world.clock.elapsed() - 5, world.clock.elapsed() + 15)
    assert waited.subject == subject_of(them.context, Reading(winner=VARIABLE))
    world.clock.advance(15)
    assert them.reason_to_wait(Reading(winner=VARIABLE), None) is None


def test_another_subject_is_not_paused(world: World) -> None:
    them = attempts(world)
    subject = subject_of(them.context, Reading(winner=VARIABLE))
    for written, waits in ((subject, True), ("another", False), (None, True)):
        paused(world, kind="TransientError", error_code="example-later", subject=written)
        assert (them.reason_to_wait(Reading(winner=VARIABLE), None) is not None) is waits


def test_failure_of_the_sign_in_is_repeated_with_its_command(world: World) -> None:
    paused(world, source="sign-in", kind="ProviderRefused", error_code="example-refused")
    waited = attempts(world).reason_to_wait(signed_in(world), None)
    assert waited is not None
    assert (type(waited.error), waited.error.code, waited.subject) == (ProviderRefused, "example-refused", None)
    assert waited.error.hint == "Wait, or run: freshkey refresh me"
    paused(world, source="sign-in", kind="LoginRequired", error_code="sign-in-probably-ended", failures=3)
    waited = attempts(world).reason_to_wait(signed_in(world), None)
    assert waited is not None
    assert (type(waited.error), waited.error.code) == (LoginRequired, "sign-in-probably-ended")


@pytest.mark.parametrize(
    ("source", "age", "lifetime", "waits"),
    [
        (VARIABLE, 9.9, 100.0, True),
        (VARIABLE, 10.0, 100.0, False),
        (VARIABLE, 29.0, None, True),
        (VARIABLE, 30.0, None, False),
        (SIGN_IN, 5000.0, 100.0, True),
    ],
)
def test_credential_that_is_refused_right_away_is_not_replaced_in_a_loop(
    world: World, source: Source, age: float, lifetime: float | None, waits: bool
) -> None:
    refused = token(world, lifetime)
    world.clock.advance(age)
    paused(world, source=source.id)
    waited = attempts(world).reason_to_wait(Reading(winner=source), refused)
    assert (waited is not None) is waits
    assert attempts(world).reason_to_wait(Reading(winner=source), None) is None
    if waited is not None:
        assert waited.error.code == "renewal-paused"
        assert "obtained only seconds ago" in waited.error.message
        assert waited.error.hint == "If it happens again, run: freshkey whoami me"
