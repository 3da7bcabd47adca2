"""Requests that botocore sends for credentials: each is sent once, and what AWS answers is passed on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aws_home import AwsHome
from counterparts.moto import REGION
from freshkey import Keeper
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_bedrock import aws_profile, default_chain
from loopback_server import Exchange, LoopbackServer
from raises_code import raises_code


MakeProfile = Callable[..., Profile]

XML = "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
KEYS = "aws_access_key_id = AKIABASE\naws_secret_access_key = made-up\n"
ROLE = f"[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n[profile base]\n{KEYS}"
SSO = (
    "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n"
    f"[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = {REGION}\n"
)


class Aws(LoopbackServer):
    """Every AWS service at once: answers each request with the same error."""

    def __init__(self) -> None:
        super().__init__()
        self.answers(400, XML.format(code="Throttling", message="Rate exceeded"))
        self.asked: list[str] = []

    def answers(self, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, dict(headers or {})

    def serve(self, exchange: Exchange) -> None:
        """Record a request, and answer it."""
        exchange.body()
        self.asked.append(f"{exchange.command} {exchange.path.partition('?')[0]}")
        exchange.answer(self.status, self.body.encode(), self.headers)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
        yield aws


@pytest.fixture
def team(make_profile: MakeProfile) -> Profile:
    return make_profile(aws_profile="team")


def signed_in(*, expires: timedelta = timedelta(hours=1)) -> None:
    """Write a session of ``aws sso login``, which can be renewed."""
    cache = Path.home() / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    facts = {
        "accessToken": "made-up",
        "expiresAt": f"{now + expires:%Y-%m-%dT%H:%M:%SZ}",
        "refreshToken": "made-up",
        "clientId": "made-up",
        "clientSecret": "made-up",
        "registrationExpiresAt": f"{now + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "startUrl": "https://corp.awsapps.com/start",
    }
    name = hashlib.sha1(b"corp", usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(facts))


def failure(profile: Profile) -> FreshkeyError:
    with pytest.raises(FreshkeyError) as caught:
        aws_profile.take(profile, NonInteractive("work"))
    return caught.value


def test_sts_is_asked_once_and_its_wait_is_heeded(team: Profile, aws: Aws, aws_home: AwsHome) -> None:
    aws_home.config(ROLE)
    aws.answers(400, XML.format(code="Throttling", message="Rate exceeded"), {"Retry-After": "7"})
    error = failure(team)
    assert isinstance(error, TransientError)
    assert error.code == "bedrock-aws-unavailable"
    assert error.retry_after == 7
    assert "AWS STS responded to AssumeRole with Throttling" in error.message
    assert len(aws.asked) == 1


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequestsException"), (503, "x"), (500, "InternalFailure")])
def test_access_portal_is_asked_once(team: Profile, aws: Aws, aws_home: AwsHome, status: int, code: str) -> None:
    aws_home.config(SSO)
    signed_in()
    aws.answers(status, '{"message": "slow down"}', {"x-amzn-ErrorType": code, "Retry-After": "3"})
    error = failure(team)
    assert isinstance(error, TransientError)
    assert error.retry_after == 3
    assert "access portal" in error.message
    assert aws.asked == ["GET /federation/credentials"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "TooManyRequestsException", TransientError),
        (400, "SlowDownException", TransientError),
        (500, "InternalServerException", TransientError),
        (400, "InvalidGrantException", LoginRequired),
        (401, "InvalidClientException", LoginRequired),
        (400, "InvalidRequestRegionException", ProviderRefused),
    ],
)
def test_session_that_cannot_be_renewed_says_why(
    team: Profile, aws: Aws, aws_home: AwsHome, *, status: int, code: str, kind: type[FreshkeyError]
) -> None:
    aws_home.config(SSO)
    signed_in(expires=-timedelta(minutes=1))
    aws.answers(status, '{"error": "x"}', {"x-amzn-ErrorType": code})
    error = failure(team)
    assert type(error) is kind, error
    assert aws.asked == ["POST /token"]


def test_container_is_asked_once_without_a_pause(profile: Profile, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/keys")
    with raises_code(TransientError, "bedrock-aws-unavailable"):
        default_chain.take(profile, NonInteractive("work"))
    assert aws.asked == ["GET /keys"]


def test_container_that_answers_with_something_else_is_no_configuration_error(
    profile: Profile, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/keys")
    aws.answers(200, '{"message": "no role is attached"}')
    with raises_code(TransientError, "answered-in-between"):
        default_chain.take(profile, NonInteractive("work"))


def test_web_identity_is_asked_once(
    profile: Profile, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("eyJhbGciOiJSUzI1NiJ9.made-up.c2ln")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    aws.answers(400, XML.format(code="IDPCommunicationError", message="x"))
    with raises_code(TransientError, "bedrock-aws-unavailable") as caught:
        default_chain.take(profile, NonInteractive("work"))
    assert "identity provider" in caught.value.message
    assert len(aws.asked) == 1


def test_keeper_alone_decides_how_often_a_request_is_repeated(
    make_keeper: Callable[..., Keeper], aws: Aws, aws_home: AwsHome
) -> None:
    aws_home.config(ROLE)
    with raises_code(TransientError, "bedrock-aws-unavailable"):
        make_keeper(aws_profile="team").get("work")
    assert len(aws.asked) <= 4


def test_wrong_clock_is_named_with_the_difference(team: Profile, aws: Aws, aws_home: AwsHome) -> None:
    aws_home.config(ROLE)
    message = "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)"
    aws.answers(403, XML.format(code="SignatureDoesNotMatch", message=message))
    error = failure(team)
    assert error.code == "bedrock-clock-skew"
    assert "this machine's clock is 20 min behind AWS's" in error.message
    assert "clock" in str(error.hint)
    assert len(aws.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, "<html>Blocked</html>"), (200, "<html>Log in to the Wi-Fi</html>"), (404, ""), (407, "{}")],
)
@pytest.mark.parametrize("files", [ROLE, SSO], ids=["STS", "portal"])
def test_answer_of_something_in_between_is_not_a_refusal(
    team: Profile, aws: Aws, aws_home: AwsHome, *, files: str, status: int, body: str
) -> None:
    aws_home.config(files)
    signed_in()
    aws.answers(status, body, {"Content-Type": "text/html"})
    error = failure(team)
    assert isinstance(error, TransientError), error


def test_default_chain_uses_the_named_aws_profile(make_keeper: Callable[..., Keeper], aws_home: AwsHome) -> None:
    aws_home.credentials(f"[default]\n{KEYS}[team]\n{KEYS.replace('BASE', 'TEAM')}")
    keeper = make_keeper(source="default-chain", aws_profile="team")
    assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIATEAM"
    steps = {step.source.id: step for step in keeper.explain("work").steps}
    detected = steps["default-chain"].detected
    assert detected is not None
    assert "'team'" in detected.origin


def test_default_chain_prefers_the_environment_to_the_named_aws_profile(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials(f"[team]\n{KEYS}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    keeper = make_keeper(source="default-chain", aws_profile="team")
    assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIAENVIRONMENT"


def test_default_chain_refuses_a_named_aws_profile_that_does_not_exist(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome
) -> None:
    aws_home.credentials(f"[default]\n{KEYS}")
    with raises_code(ConfigurationError, "bedrock-unknown-aws-profile") as caught:
        make_keeper(source="default-chain", aws_profile="gone").get("work")
    assert "'gone'" in caught.value.message


def test_environment_source_needs_no_aws_profile(
    make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    keeper = make_keeper(source="environment", aws_profile="gone")
    assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIAENVIRONMENT"
