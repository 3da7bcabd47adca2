"""Conversion of botocore's result: expiration, expired credentials, and no credentials."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve

from freshkey.clock import Clock
from freshkey.errors import LoginRequired
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock import botocore_credentials
from freshkey_bedrock.aws_keys import AwsKeys
from freshkey_bedrock.formats import AwsCredential
from raises_code import raises_code


class Refreshable:
    def __init__(self, end: object) -> None:
        self._expiry_time = end


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (Refreshable(NOON), NOON),
        (Refreshable(NOON.astimezone(timezone(timedelta(hours=5)))), NOON),
        (Refreshable(NOON.replace(tzinfo=None)), NOON),
        (Refreshable("2026-01-01T12:00:00Z"), None),
        (Refreshable(None), None),
        (object(), None),
    ],
)
def test_expiration_is_read_if_botocore_has_one(found: object, end: datetime | None) -> None:
    assert botocore_credentials._end(found) == end


def found(profile: Profile, clock: Clock, end: datetime | None) -> AwsCredential:
    keys = AwsKeys(
        access_key_id="AKIA", secret_access_key=Secret("made up"), session_token=None, expires_at=end, account_id="1"
    )
    return botocore_credentials.credential(evolve(profile, clock=clock), keys, "iam-role", "eu-west-1")


def test_expired_credentials_raise(profile: Profile, clock: Clock) -> None:
    ended = datetime.fromtimestamp(clock.now().wall - 1, UTC)
    with raises_code(LoginRequired, "bedrock-aws-credentials-expired") as caught:
        found(profile, clock, ended)
    assert caught.value.profile == "work"
    assert "iam-role" in caught.value.message
    assert f"{ended:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message


def test_known_expiration_sets_lifetime_and_unknown_one_rechecks_hourly(profile: Profile, clock: Clock) -> None:
    end = datetime.fromtimestamp(clock.now().wall + 900, UTC)
    temporary = found(profile, clock, end)
    assert temporary.recheck_after is None
    assert temporary.lifetime == pytest.approx(900, abs=1e-3)
    static = found(profile, clock, None)
    assert (static.lifetime, static.recheck_after) == (None, 3600.0)
    assert static.identity.organization == "1"


def test_missing_credentials_name_the_aws_command_to_run(make_profile: Callable[..., Profile]) -> None:
    for named, command in (("team", "aws configure --profile team"), (None, "aws sso login")):
        error = botocore_credentials._none_found(make_profile(), named)
        assert error.code == "bedrock-no-aws-credentials"
        assert command in str(error.hint)
