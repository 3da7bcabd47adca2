"""Credentials, profiles and descriptions as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from example_provider import HELPER, SIGN_IN, Settings, description, profile, token
from freshkey._stores.records.codec import Codec
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, CredentialExpired, NotForHttp
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.identity import Identity
from freshkey.model.sign_in_end import carried_over
from freshkey.model.storage import Record, Snapshot
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def fresh(clock: ManualClock, **changes: Any) -> OAuthToken:
    return token(**{"obtained": clock.now(), "clock": clock} | changes)


# --- profiles and identities -----------------------------------------------------------------------------------------


def test_settings_are_returned_with_their_type() -> None:
    assert profile(settings=Settings(region="north")).settings_as(Settings).region == "north"


def test_settings_of_another_provider_are_an_error() -> None:
    with raises_code(ConfigurationError, "wrong-settings-class") as caught:
        profile(settings=object()).settings_as(Settings)
    assert caught.value.profile == "me"
    assert "'example'" in caught.value.message


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        (Identity(email="a@b.c", account="1", display_name="Ada"), "a@b.c"),
        (Identity(account="1", display_name="Ada"), "Ada"),
        (Identity(account="1", organization="org"), "1"),
        (Identity(organization="org"), "org"),
        (Identity(extra={"plan": "max"}), None),
    ],
)
def test_label_is_the_most_readable_name(identity: Identity, label: str | None) -> None:
    assert identity.label == label


# --- time ------------------------------------------------------------------------------------------------------------


def test_times_are_aware_utc(clock: ManualClock) -> None:  # TIM-1
    credential = fresh(clock)
    assert credential.obtained_at == START
    assert credential.expires_at == START + timedelta(hours=1)
    assert credential.refresh_at == START + timedelta(minutes=55)
    assert {at.tzinfo for at in (credential.obtained_at, credential.expires_at, credential.refresh_at)} == {UTC}


@pytest.mark.parametrize("lifetime", [32e9, 1e12])
def test_times_of_a_credential_that_outlives_this_millennium(clock: ManualClock, lifetime: float) -> None:
    """Windows converts no time after the year 3000, and `datetime` none after 9999."""
    credential = fresh(clock, lifetime=lifetime, renewable_for=lifetime)
    end = min(START.timestamp() + lifetime, datetime.max.replace(tzinfo=UTC).timestamp())
    for at in (credential.expires_at, credential.sign_in_ends_at, credential.refresh_at):
        assert at is not None
        assert at.timestamp() == pytest.approx(end, abs=301)


def test_an_old_credential_is_reported_as_expired_whatever_the_wall_clock_says() -> None:
    clock = ManualClock(wall=-1e6)
    credential = fresh(clock)
    clock.advance(3601)
    with pytest.raises(CredentialExpired) as failure:
        credential.headers()
    assert failure.value.message == "the credential expired at 1969-12-20 11:13:20 UTC"


def test_refresh_at_uses_the_lead_of_the_credential(clock: ManualClock) -> None:
    assert fresh(clock, lead=600.0).refresh_at == START + timedelta(minutes=50)


def test_credential_without_a_lifetime_never_expires(clock: ManualClock) -> None:
    credential = fresh(clock, lifetime=None)
    clock.advance(1e9)
    assert (credential.expires_at, credential.refresh_at, credential.expired()) == (None, None, False)
    assert (credential.seconds_left(), credential.sign_in_ends_at) == (None, None)


@pytest.mark.parametrize(
    ("lifetime", "renewable_for", "refresh_after"),
    [(3600.0, 86_400.0, 3300.0), (3600.0, 1800.0, 1500.0), (3600.0, 600.0, 480.0), (None, 1000.0, 800.0)],
)
def test_it_is_due_before_it_or_its_sign_in_ends(
    clock: ManualClock, lifetime: float | None, renewable_for: float, refresh_after: float
) -> None:
    credential = fresh(clock, lifetime=lifetime, renewable_for=renewable_for)
    assert credential.sign_in_ends_at == START + timedelta(seconds=renewable_for)
    assert credential.refresh_at == START + timedelta(seconds=refresh_after)
    clock.advance(renewable_for - 1)
    assert not credential.expired() or lifetime is not None


@pytest.mark.parametrize(
    "spend", [lambda clock: clock.advance(3600.0), lambda clock: clock.suspend(3600.0), lambda c: c.reboot(3600.0)]
)
def test_it_expires_with_elapsed_time_and_after_a_reboot_with_the_wall_clock(clock: ManualClock, spend: Any) -> None:
    """TIM-1."""
    credential = fresh(clock)
    assert (credential.expired(), credential.seconds_left()) == (False, 3600.0)
    spend(clock)
    assert (credential.expired(), credential.seconds_left()) == (True, 0.0)


def test_expired_credential_cannot_be_used(clock: ManualClock) -> None:
    credential = fresh(clock)
    clock.advance(3600.0)
    for use in (credential.headers, credential.environment):
        with raises_code(CredentialExpired, "credential-expired") as caught:
            use()
        assert "2026-01-01 01:00:00 UTC" in caught.value.message


@pytest.mark.parametrize("step", [7200.0, 75 * 365 * 86_400.0, -7200.0])
def test_step_of_the_wall_clock_does_not_fail_requests(clock: ManualClock, step: float) -> None:
    """TIM-1: within one boot, only elapsed time withholds a credential."""
    credential = fresh(clock)
    clock.step_wall(step)
    assert not credential.expired()
    assert credential.headers() == {"Authorization": "Bearer at-1"}
    clock.suspend(3600.0)
    with pytest.raises(CredentialExpired):
        credential.headers()


def test_clock_is_neither_compared_nor_stored(clock: ManualClock) -> None:
    assert fresh(clock) == attrs.evolve(fresh(clock), clock=SYSTEM)
    assert attrs.fields(OAuthToken).clock.metadata == {"stored": False}


# --- formats ---------------------------------------------------------------------------------------------------------


def test_token_is_sent_as_bearer_token_with_extra_headers(clock: ManualClock) -> None:  # RFC 6750, section 2.1
    credential = fresh(clock, access_token=Secret("at"), extra_headers=(("X-Beta", "1"),))
    assert credential.headers("POST", "https://api.example/", b"{}") == {"Authorization": "Bearer at", "X-Beta": "1"}
    assert credential.token == Secret("at")


def test_extra_headers_are_not_shown(clock: ManualClock) -> None:  # LEK-1: they may include a gateway's key
    assert "CANARY" not in repr(fresh(clock, access_token=Secret("at"), extra_headers=(("X-Key", "CANARY"),)))


@pytest.mark.parametrize(
    ("header", "sent"), [("Authorization", "Bearer k"), ("authorization", "Bearer k"), ("X-Api-Key", "k")]
)
def test_a_key_is_sent_in_its_header(clock: ManualClock, header: str, sent: str) -> None:
    key = ApiKey(obtained=clock.now(), clock=clock, key=Secret("k"), header=header)
    assert key.headers() == {header: sent}
    assert (key.token, key.renewable, key.renewal_secret, dict(key.binding)) == (Secret("k"), False, None, {})


def test_environment_is_empty_by_default(clock: ManualClock) -> None:
    assert fresh(clock, refresh_token=Secret("rt")).environment() == {}


def test_a_refresh_token_makes_it_renewable(clock: ManualClock) -> None:
    with_one = fresh(clock, refresh_token=Secret("rt"))
    assert (with_one.renewable, with_one.renewal_secret) == (True, Secret("rt"))
    assert (fresh(clock).renewable, fresh(clock).renewal_secret) == (False, None)


def test_binding_contains_the_known_origin(clock: ManualClock) -> None:
    assert dict(fresh(clock).binding) == {}
    bound = fresh(clock, issuer="https://as.example", client_id="app")
    assert dict(bound.binding) == {"issuer": "https://as.example", "client_id": "app"}
    assert fresh(clock, token_endpoint="https://as.example/token").binding["token_endpoint"].endswith("/token")


def test_authorizes_like_compares_the_token(clock: ManualClock) -> None:
    one = fresh(clock, access_token=Secret("at"))
    clock.advance(1.0)
    assert one.authorizes_like(fresh(clock, access_token=Secret("at")))
    assert not one.authorizes_like(fresh(clock, access_token=Secret("other")))


def test_format_without_a_token_is_compared_as_a_whole(clock: ManualClock) -> None:
    @frozen(kw_only=True)
    class Signing(Credential):
        key_id: str

        def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
            return {"X-Signed": f"{method} {url} {len(body)} by {self.key_id}"}

    one = Signing(obtained=clock.now(), clock=clock, key_id="1")
    assert one.headers("PUT", "https://a/", b"xy") == {"X-Signed": "PUT https://a/ 2 by 1"}
    assert (one.token, one.renewal_secret, one.renewable, dict(one.binding)) == (None, None, False, {})
    assert one.authorizes_like(attrs.evolve(one))
    assert not one.authorizes_like(attrs.evolve(one, key_id="2"))
    assert not one.authorizes_like(fresh(clock))


@pytest.mark.parametrize(
    "value", [token(), ApiKey(obtained=SYSTEM.now(), key=Secret("k")), profile(), Identity(), SIGN_IN, description()]
)
def test_values_are_immutable(value: Any) -> None:
    name = attrs.fields(type(value))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, None)


@frozen(kw_only=True)
class Login(Credential):
    password: Secret

    @property
    def used_for(self) -> str:
        return "database connections"


def test_credential_that_is_not_for_http_has_no_headers(clock: ManualClock) -> None:
    login = Login(obtained=clock.now(), clock=clock, lifetime=60.0, password=Secret("swordfish-1"))
    with raises_code(NotForHttp, "not-for-http") as caught:
        login.headers("GET", "https://example.com/")
    assert "Login" in caught.value.message
    assert "database connections" in caught.value.message
    assert login.environment() == {}
    with raises_code(NotForHttp, "not-for-http"):
        Credential(obtained=clock.now(), clock=clock).headers()
    clock.advance(60)
    with raises_code(CredentialExpired, "credential-expired"):
        login.headers()


def test_credential_without_a_token_is_like_another_with_its_secrets(clock: ManualClock) -> None:
    login = Login(obtained=clock.now(), password=Secret("swordfish-1"))
    clock.advance(60)
    assert login.authorizes_like(evolve(login, obtained=clock.now(), lifetime=60.0))
    assert not login.authorizes_like(evolve(login, password=Secret("swordfish-2")))
    assert not login.authorizes_like(ApiKey(obtained=clock.now(), key=Secret("swordfish-1")))
    assert not Credential(obtained=login.obtained).authorizes_like(Credential(obtained=clock.now()))


# --- the latest end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime", [3600.0, None])
def test_latest_end_limits_the_lifetime_and_all_that_depends_on_it(clock: ManualClock, lifetime: float | None) -> None:
    latest = clock.now().utc + timedelta(seconds=1000)
    held = fresh(clock, lifetime=lifetime, ends_at_latest=latest)
    assert (held.lifetime, held.seconds_left(), held.expires_at) == (1000, 1000, latest)
    assert held.refresh_at == latest - timedelta(seconds=200)
    assert held.ends_for_good
    clock.advance(1000)
    assert held.expired()
    assert evolve(held, obtained=clock.now()).lifetime == 0
    assert evolve(held, obtained=clock.now(), ends_at_latest=latest + timedelta(hours=2), lifetime=60.0).lifetime == 60


def test_latest_end_after_the_end_changes_nothing(clock: ManualClock) -> None:
    held = fresh(clock, ends_at_latest=clock.now().utc + timedelta(hours=2))
    assert (held.lifetime, held.ends_for_good) == (3600, False)
    assert not fresh(clock).ends_for_good


@pytest.mark.parametrize(
    ("lifetime", "gap", "ends"),
    [(3600, 29, True), (3600, 31, False), (60, 5, True), (60, 7, False), (1, 4, True), (1, 6, False)],
)
def test_lifetime_that_ends_just_before_the_latest_end_ends_there(
    clock: ManualClock, lifetime: float, gap: float, ends: bool
) -> None:
    latest = clock.now().utc + timedelta(seconds=lifetime + gap)
    assert fresh(clock, lifetime=lifetime, ends_at_latest=latest).ends_for_good is ends


def test_sign_in_ends_at_the_earlier_of_both_ends(clock: ManualClock) -> None:
    latest = clock.now().utc + timedelta(hours=2)
    assert fresh(clock).sign_in_ends_at is None
    assert fresh(clock, ends_at_latest=latest).sign_in_ends_at == latest
    assert fresh(clock, ends_at_latest=latest, renewable_for=600.0).sign_in_lasts == 600
    assert fresh(clock, ends_at_latest=latest, renewable_for=9000.0).sign_in_lasts == 7200


def test_latest_end_is_an_aware_time_in_utc(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        fresh(clock, ends_at_latest=datetime(2030, 1, 1))  # noqa: DTZ001  the point of the test
    zone = timezone(timedelta(hours=14))
    ends = fresh(clock, ends_at_latest=datetime(2030, 1, 1, tzinfo=zone)).ends_at_latest
    assert ends is not None
    assert ends.utcoffset() == timedelta(0)


def test_latest_end_is_stored_and_kept_by_renewals(clock: ManualClock) -> None:
    latest = clock.now().utc + timedelta(seconds=1000)
    before = fresh(clock, ends_at_latest=latest)
    codec = Codec({"token": type(before)})
    assert codec.decode(codec.encode(before)).ends_at_latest == latest
    clock.advance(500)
    assert carried_over(before, fresh(clock)).expires_at == latest
    other = latest + timedelta(seconds=60)
    assert carried_over(before, fresh(clock, ends_at_latest=other)).expires_at == other


# --- descriptions and snapshots --------------------------------------------------------------------------------------


def test_a_source_is_found_by_its_id() -> None:
    assert description().source("helper") is HELPER
    assert description().source("Helper") is None


def test_source_detects_nothing_by_default() -> None:
    assert SIGN_IN.detect(profile()) is None


@given(st.integers(min_value=1))
def test_snapshot_has_the_generation_of_its_record(generation: int) -> None:
    record = Record(generation=generation, payload=None, written_at=0.0)
    assert Snapshot(record=record).generation == generation
    assert Snapshot().generation == 0


def test_profile_defaults() -> None:
    plain = profile(state_dir=Path("/s"))
    assert (plain.store, plain.source, plain.lead, dict(plain.store_settings)) == (None, None, None, {})
