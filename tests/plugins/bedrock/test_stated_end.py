"""Ends of temporary keys as AWS tools write them, and that ended keys are never used."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aws_home import AwsHome, Metadata
from freshkey import Keeper
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.profile import Profile
from freshkey_bedrock import aws_profile, default_chain
from freshkey_bedrock.description import description
from freshkey_bedrock.environment_keys import END_VARIABLES, environment_end
from freshkey_bedrock.stated_end import moment, stated_end
from freshkey_testing import ManualClock
from raises_code import raises_code


MakeKeeper = Callable[..., Keeper]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PAST = "2020-01-01T00:00:00Z"
CODE = "bedrock-aws-credentials-expired"

KEYS = "aws_access_key_id = ASIAHERE\naws_secret_access_key = made-up\naws_session_token = made-up-too\n"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T12:00:00Z",
        "2026-01-02T14:00:00+02:00",
        "2026-01-02T12:00:00+0000",
        "2026-01-02T12:00:00.000Z",
        "2026-01-02T12:00:00UTC",
        "2026-01-02 12:00:00",
        "2026-01-02 07:00:00-05",
        "2026-01-02 12:00:00 +0000 UTC",
        "2026-01-02 14:00:00.123456 +0200 CEST m=+3600.5",
        "20260102T120000Z",
        '"2026-01-02T12:00:00Z"',
        "Fri, 02 Jan 2026 12:00:00 GMT",
        "1767355200",
        "1767355200.75",
        "1767355200000",
        1767355200,
    ],
)
def test_times_that_tools_write(text: object) -> None:
    assert moment(text) == NOON


@pytest.mark.parametrize(
    "text",
    [
        *("", "never", "tomorrow", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "3600", "99999999999999", None),
        *("2026-01-02 07:00:00 EST", "2026-01-02 14:00:00 CEST", "2026-01-02T12:00:00 UTC EST"),
    ],
)
def test_other_texts_are_no_times(text: object) -> None:
    assert moment(text) is None


@pytest.mark.parametrize(
    "name",
    [
        "x_security_token_expires",
        "expiration",
        "aws_expiration",
        "aws_session_expiration",
        "aws_session_token_expires_at",
        "aws_credentials_expiration",
        "token_expiry",
        "Expiration",
        "aws_session_expire",
        "expiresAt",
        "ExpiryTime",
        "valid_until",
        "valid_to",
        "aws_valid_till",
        "ValidUntil",
        "not_after",
        "notAfter",
        "not_valid_after",
        "token_valid_until_utc",
    ],
)
def test_names_that_tools_use(name: str) -> None:
    end = stated_end({"region": "x", name: "2026-01-02T12:00:00Z"})
    assert end is not None
    assert (end.name, end.at) == (name, NOON)


@pytest.mark.parametrize(
    "name",
    [
        "expires_in",
        "refresh_token_expires",
        "registrationExpiresAt",
        "sso_expires",
        "source_expiration",
        "x",
        "valid",
        "invalid_to",
        "valid_from",
        "not_before",
        "certificate_not_after",
        "notes_after",
    ],
)
def test_ends_of_other_things_are_not_read(name: str) -> None:
    assert stated_end({name: PAST}) is None


@pytest.fixture
def far_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if sys.platform == "win32":
        pytest.skip("the time zone of a process cannot be set")
    monkeypatch.setenv("TZ", "UTC+8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone of a process cannot be set")
@pytest.mark.usefixtures("far_west")
def test_awsume_writes_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    end = stated_end({"expiration": "2026-01-02 04:00:00", "manager": "awsume"})
    assert end is not None
    assert end.at == NOON
    assert moment("2026-01-02 12:00:00") == NOON
    monkeypatch.setenv("AWSUME_EXPIRATION", "2026-01-02T04:00:00")
    in_environment = environment_end()
    assert in_environment is not None
    assert in_environment.at == NOON
    monkeypatch.setenv("AWSUME_EXPIRATION", "None")
    assert environment_end() is None


def test_child_process_is_not_told_when_other_keys_end() -> None:
    assert set(END_VARIABLES) <= set(description(None).variables)


def test_earliest_end_counts() -> None:
    end = stated_end({"expiration": "2027-01-01T00:00:00Z", "x_security_token_expires": "2026-01-02T12:00:00Z"})
    assert end is not None
    assert end.at == NOON


@pytest.mark.parametrize("name", ["x_security_token_expires", "expiration", "aws_expiration"])
@pytest.mark.parametrize("where", ["config", "credentials"])
@pytest.mark.parametrize("settings", [{"source": "default-chain"}, {}, {"aws_profile": "default"}])
def test_ended_keys_in_a_file_are_not_used(
    make_keeper: MakeKeeper, aws_home: AwsHome, name: str, where: str, settings: dict[str, object]
) -> None:
    getattr(aws_home, where)(f"[default]\n{KEYS}{name} = {PAST}\n")
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(**settings).get("work")
    assert f"{name} in {getattr(aws_home, f'{where}_file')}" in caught.value.message
    assert "2020-01-01 00:00:00 UTC" in caught.value.message


def test_end_in_a_file_is_the_end_of_the_credential(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    aws_home.credentials(f"[default]\n{KEYS}x_security_token_expires = {end.isoformat()}\n")
    keeper = make_keeper(source="default-chain")
    found = keeper.get("work").expires_at
    assert found is not None
    assert abs((found - end).total_seconds()) < 1
    steps = keeper.explain("work").steps
    assert [step.detected.expires_at for step in steps if step.detected and step.wins] == [end]


def test_next_place_is_used_instead_of_ended_keys(
    make_keeper: MakeKeeper, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials(f"[default]\n{KEYS}expiration = 2020-01-01 00:00:00\n")
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        keeper = make_keeper()
        assert str(keeper.get("work").environment()["AWS_ACCESS_KEY_ID"]).startswith("ASIAINSTANCE")
        assert keeper.status("work").source == "environment"
        origins = [step.detected.origin for step in keeper.explain("work").steps if step.detected and step.wins]
        assert origins == ["instance metadata; skipped, because it has ended: AWS profile 'default'"]


@pytest.mark.parametrize("name", END_VARIABLES)
def test_next_place_is_used_instead_of_ended_keys_in_the_environment(
    make_keeper: MakeKeeper, aws_home: AwsHome, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable, value in {"AWS_ACCESS_KEY_ID": "ASIAENDED", "AWS_SECRET_ACCESS_KEY": "s", name: PAST}.items():
        monkeypatch.setenv(variable, value)
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper().get("work")
    assert name in caught.value.message
    aws_home.credentials(f"[default]\n{KEYS}")
    clock.advance(61)
    keeper = make_keeper()
    assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIAHERE"
    assert keeper.status("work").source == "default-chain"


def test_end_in_the_environment_may_lack_an_offset(make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAHERE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", f"{end:%Y-%m-%d %H:%M:%S}")
    found = make_keeper().get("work").expires_at
    assert found is not None
    assert abs((found - end).total_seconds()) < 1


def test_role_with_ended_keys_is_an_expired_credential(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.credentials(f"[base]\n{KEYS}x_security_token_expires = {PAST}\n")
    aws_home.config("[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n")
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="team").get("work")
    assert str(aws_home.credentials_file) in caught.value.message


def printing(aws_home: AwsHome, end: str) -> str:
    printed = f'{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "expires_at": "{end}"}}'
    return f"[default]\ncredential_process = {aws_home.process(f'print({printed!r})')}\n"


def test_credential_process_may_name_the_end_differently(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.config(printing(aws_home, "2099-01-01T00:00:00Z"))
    expires_at = make_keeper(source="default-chain").get("work").expires_at
    assert expires_at is not None
    assert expires_at.year == 2099


def test_credential_process_whose_keys_have_ended_is_refused(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.config(printing(aws_home, PAST))
    with raises_code(LoginRequired, "command-output-expired"):
        make_keeper(source="default-chain").get("work")


def test_sign_in_with_the_tool_of_a_credential_process_ends_the_pause(
    make_keeper: MakeKeeper, aws_home: AwsHome, clock: ManualClock
) -> None:
    kept = aws_home.directory / "kept"
    kept.write_text(PAST)
    end = f"pathlib.Path({str(kept)!r}).read_text()"
    keys = f'"Version": 1, "AccessKeyId": "ASIANEW", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": {end}'
    aws_home.config(
        f"[default]\ncredential_process = {aws_home.process(f'import json, pathlib; print(json.dumps({{{keys}}}))')}\n"
    )
    running = make_keeper()
    with raises_code(LoginRequired, "command-output-expired"):
        running.get("work")
    kept.write_text((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    clock.advance(1)
    assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIANEW"
    clock.advance(1)
    assert running.get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIANEW"


def test_helper_may_name_the_end_differently(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    printed = f'\ufeff{{"Credentials": {{"AccessKeyId": "A", "SecretAccessKey": "s", "Expiry": "{PAST}"}}}}'
    script = f"import sys; sys.stdout.buffer.write({printed.encode()!r})"
    keeper = make_keeper(credential_export=aws_home.program(script))
    with raises_code(LoginRequired, "command-output-expired"):
        keeper.get("work")


def test_malformed_end_in_the_environment_is_named(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAHERE")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "soon")
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        default_chain.detect(profile)
    assert "AWS_CREDENTIAL_EXPIRATION" in caught.value.message


def test_ended_keys_are_detected_with_their_end(
    aws_home: AwsHome, make_profile: Callable[..., Profile], clock: ManualClock
) -> None:
    aws_home.credentials(f"[team]\n{KEYS}expiration = {PAST}\n")
    detected = aws_profile.detect(make_profile(aws_profile="team"))
    assert detected is not None
    assert detected.expires_at == datetime(2020, 1, 1, tzinfo=UTC)
    assert clock.now().wall > detected.expires_at.timestamp()
