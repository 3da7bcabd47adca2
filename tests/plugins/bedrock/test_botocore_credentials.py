"""What is made of what botocore finds: how little is taken from it about the end of a key, and what nothing becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from freshkey.clock import Clock
from freshkey.errors import LoginRequired
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock import botocore_credentials
from freshkey_bedrock.aws_keys import AwsKeys
from freshkey_bedrock.formats import AwsCredential


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
def test_an_end_is_taken_where_botocore_keeps_one(found: object, end: datetime | None) -> None:
    assert botocore_credentials._end(found) == end


def found(profile: Profile, clock: Clock, end: datetime | None) -> AwsCredential:
    keys = AwsKeys(
        access_key_id="AKIA", secret_access_key=Secret("made up"), session_token=None, expires_at=end, account_id="1"
    )
    return botocore_credentials.credential(profile, keys, "iam-role", "eu-west-1", clock)


def test_what_has_expired_is_no_credential(profile: Profile, clock: Clock) -> None:
    ended = datetime.fromtimestamp(clock.now().wall - 1, UTC)
    with pytest.raises(LoginRequired, match=r"^work: the AWS credentials of iam-role expired at .* UTC"):
        found(profile, clock, ended)


def test_a_known_end_sets_the_time_and_an_unknown_one_an_hour(profile: Profile, clock: Clock) -> None:
    end = datetime.fromtimestamp(clock.now().wall + 900, UTC)
    temporary = found(profile, clock, end)
    assert temporary.recheck_after is None
    assert temporary.lifetime == pytest.approx(900, abs=1e-3)
    static = found(profile, clock, None)
    assert (static.lifetime, static.recheck_after) == (None, 3600.0)
    assert static.identity.organization == "1"


def test_a_profile_without_credentials_says_how_to_give_it_some(make_profile: Callable[..., Profile]) -> None:
    assert "aws configure --profile team" in str(botocore_credentials._none_found(make_profile(), "team"))
    assert "aws sso login" in str(botocore_credentials._none_found(make_profile(), None))
