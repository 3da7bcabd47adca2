"""What the errors of AWS's services and of botocore become, and how little is taken from it about the end of a key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore import exceptions

from freshkey.clock import Clock
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock import chain
from freshkey_bedrock.troubles import explained


def answer(code: str, status: int, message: str = "because") -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "AssumeRole")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ExpiredToken", 403, LoginRequired),
        ("ExpiredTokenException", 400, LoginRequired),
        ("Throttling", 400, TransientError),
        ("TooManyRequestsException", 429, TransientError),
        ("InternalFailure", 500, TransientError),
        ("Whatever", 503, TransientError),
        ("AccessDenied", 403, ProviderRefused),
        ("InvalidClientTokenId", 403, ProviderRefused),
        ("MalformedPolicyDocument", 400, ProviderRefused),
    ],
)
def test_answers_of_a_service(code: str, status: int, kind: type[FreshkeyError]) -> None:
    error = explained(answer(code, status), "team")
    assert type(error) is kind
    assert f"AWS answers {code} to AssumeRole" in str(error)


def test_a_denial_says_who_may_not_do_what_and_nothing_else_is_quoted() -> None:
    words = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole\x1b[2J" + "x" * 1000
    denied = str(explained(answer("AccessDenied", 403, words), "team"))
    assert "user/me is not authorized to perform: sts:AssumeRole" in denied
    assert "\x1b" not in denied
    assert len(denied) < 500
    assert "made up" not in str(explained(answer("SignatureDoesNotMatch", 403, "made up"), "team"))


def test_an_answer_without_anything_is_still_an_error() -> None:
    assert isinstance(explained(exceptions.ClientError({}, "AssumeRole"), "team"), ProviderRefused)


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (exceptions.UnauthorizedSSOTokenError(), LoginRequired, "aws sso login --profile team"),
        (exceptions.SSOTokenLoadError(error_msg="x"), LoginRequired, "aws sso login --profile team"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), LoginRequired, "aws sso login"),
        (exceptions.LoginRefreshRequired(), LoginRequired, "aws login --profile team"),
        (exceptions.LoginTokenLoadError(error_msg="x"), LoginRequired, "aws login --profile team"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://sts.x/?secret"), TransientError, "https://sts.x/ cannot"),
        (exceptions.ReadTimeoutError(endpoint_url="https://sts.x/"), TransientError, "https://sts.x/ cannot"),
        (exceptions.ProxyConnectionError(proxy_url="http://me:pw@proxy:1"), TransientError, "http://proxy:1 cannot"),
        (exceptions.MetadataRetrievalError(error_msg="x"), TransientError, "no credentials came"),
        (exceptions.CredentialRetrievalError(provider="assume-role", error_msg="x"), TransientError, "assume-role"),
        (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="x"), ProtocolError, "Version"),
        (exceptions.UnknownCredentialError(name="x"), ConfigurationError, "'team' cannot be used"),
        (FileNotFoundError(2, "No such file"), ConfigurationError, "No such file"),
        (KeyError("whatever"), ConfigurationError, "KeyError"),
        (RuntimeError("whatever"), ConfigurationError, "RuntimeError"),
    ],
)
def test_what_botocore_raises_itself(raised: Exception, kind: type[FreshkeyError], words: str) -> None:
    error = explained(raised, "team")
    assert type(error) is kind
    assert words in str(error)
    assert "secret" not in str(error)
    assert "pw" not in str(error)


def test_the_default_profile_needs_no_name() -> None:
    assert str(explained(exceptions.UnauthorizedSSOTokenError(), "default")).endswith("Run: aws sso login")


# --- the end of a key -------------------------------------------------------------------------------------------------


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
    assert chain._end(found) == end


def found(**more: Any) -> chain.Found:
    given = {"access_key_id": "AKIA", "secret_access_key": Secret("made up"), "session_token": None, "account": "1"}
    return chain.Found(**{**given, "expires_at": None, "method": "iam-role", **more})


def test_what_has_expired_is_no_credential(profile: Profile, clock: Clock) -> None:
    ended = datetime.fromtimestamp(clock.now().wall - 1, UTC)
    with pytest.raises(LoginRequired, match=r"^work: the AWS credentials of iam-role expired at .* UTC"):
        chain.credential(profile, found(expires_at=ended), "eu-west-1", clock)


def test_a_known_end_sets_the_time_and_an_unknown_one_an_hour(profile: Profile, clock: Clock) -> None:
    end = datetime.fromtimestamp(clock.now().wall + 900, UTC)
    temporary = chain.credential(profile, found(expires_at=end), "eu-west-1", clock)
    assert temporary.recheck_after is None
    assert temporary.lifetime == pytest.approx(900, abs=1e-3)
    static = chain.credential(profile, found(), "eu-west-1", clock)
    assert (static.lifetime, static.recheck_after) == (None, 3600.0)
    assert static.identity.organization == "1"


def test_a_profile_without_credentials_says_how_to_give_it_some(make_profile: Callable[..., Profile]) -> None:
    assert "aws configure --profile team" in str(chain._nothing(make_profile(), "team"))
    assert "aws sso login" in str(chain._nothing(make_profile(), None))


def test_a_command_to_run_can_be_pasted_whatever_the_profile_is_called() -> None:
    for error in (exceptions.SSOError(), exceptions.UnauthorizedSSOTokenError()):
        assert explained(error, "my team; reboot").hint == "Run: aws sso login --profile 'my team; reboot'"


def test_roles_that_lead_back_to_each_other_are_said_so_and_what_is_not_known_can_be_looked_at() -> None:
    loop = exceptions.InfiniteLoopConfigError(source_profile="team", visited_profiles=["team"])
    assert "leads back to it. Correct source_profile" in str(explained(loop, "team"))
    for error in (exceptions.InvalidDefaultsMode(mode="x", valid_modes=[]), ValueError("made up")):
        said = str(explained(error, "team"))
        assert "'team'" in said
        assert said.endswith("Run: aws sts get-caller-identity --profile team")
