"""A container endpoint or instance metadata that gives no credentials, yet or at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.profile import Profile
from freshkey_bedrock import botocore_credentials
from freshkey_bedrock.machine_credentials import LastAnswer, container_failure, instance_failure
from freshkey_testing import ManualClock
from loopback_server import Exchange, LoopbackServer
from raises_code import raises_code


CODE = "bedrock-aws-unavailable"
CONTAINER = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
INSTANCE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
ABSENT = "http://127.0.0.1:9"

MakeKeeper = Callable[..., Keeper]


def keys(left: float = 3600) -> bytes:
    end = (datetime.now(UTC) + timedelta(seconds=left)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {"AccessKeyId": "ASIAHERE", "SecretAccessKey": "made up", "Token": "made-up", "Expiration": end}
    ).encode()


def of_sts(left: float) -> bytes:
    end = (datetime.now(UTC) + timedelta(seconds=left)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>made up</SecretAccessKey><SessionToken>t</SessionToken>"
    user = "<AssumedRoleUser><Arn>arn:aws:sts::1:x</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>"
    result = f"{user}<Credentials>{keys}<Expiration>{end}</Expiration></Credentials>"
    name, namespace = "AssumeRole", "https://sts.amazonaws.com/doc/2011-06-15/"
    return f'<{name}Response xmlns="{namespace}"><{name}Result>{result}</{name}Result></{name}Response>'.encode()


class Place(LoopbackServer):
    """STS and both services: answers with the given failures first, and then with keys; a context manager.

    Its time is that of a machine whose clock is not `ahead` by so many seconds.
    """

    def __init__(self, *failures: tuple[int, bytes], forever: bool = False, ahead: float = 0) -> None:
        super().__init__()
        self.failures = list(failures)
        self.forever = forever
        self.ahead = ahead

    def serve(self, exchange: Exchange) -> None:
        if exchange.path.endswith("/api/token"):
            exchange.answer(200, b"a-metadata-token")
            return
        if self.failures:
            exchange.answer(*(self.failures[0] if self.forever else self.failures.pop(0)))
        else:
            role = b"the-role" if exchange.path.endswith("/security-credentials/") else keys(3600 - self.ahead)
            content = of_sts(3600 - self.ahead) if exchange.command == "POST" else role
            exchange.answer(200, content, {"Date": formatdate(time.time() - self.ahead, usegmt=True)})


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    return monkeypatch


def failure(profile: Profile, *, explicit: bool = False) -> TransientError:
    with raises_code(TransientError, CODE) as caught:
        botocore_credentials.take(profile, explicit=explicit)
    return caught.value


@pytest.mark.parametrize("variable", [CONTAINER, INSTANCE])
def test_place_that_does_not_work_yet_has_probably_not_started(
    profile: Profile, environment: pytest.MonkeyPatch, variable: str
) -> None:
    with Place((503, b"")) as place:
        environment.setenv(variable, place.url)
        failed = failure(profile)
        assert (failed.local, failed.starting) == (True, True)
        assert "responded with status 503" in failed.message
        assert botocore_credentials.take(profile, explicit=False).access_key_id == "ASIAHERE"
    absent = failure(profile)
    assert (absent.local, absent.starting) == (True, True)
    assert "cannot be reached" in absent.message
    assert "profile" not in absent.message


@pytest.mark.parametrize(
    ("status", "content", "fact", "hint"),
    [
        (404, b"", "responded with status 404", "Attach a role"),
        (401, b"", "responded with status 401", "hop limit"),
        (
            200,
            b'{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role r.\\u0000"}',
            "AssumeRoleUnauthorizedAccess EC2 cannot assume the role r.",
            "its role",
        ),
    ],
)
def test_instance_without_a_usable_role_is_no_reason_for_others_to_wait(
    make_keeper: MakeKeeper, environment: pytest.MonkeyPatch, *, status: int, content: bytes, fact: str, hint: str
) -> None:
    with Place((status, content), forever=True) as place:
        environment.setenv(INSTANCE, place.url)
        with raises_code(TransientError, CODE) as caught:
            make_keeper().get("work")
        assert fact in caught.value.message
        assert hint in str(caught.value.hint)
        assert "AWS_EC2_METADATA_DISABLED=true" in str(caught.value.hint)
        assert isinstance(caught.value, TransientError)
        assert (caught.value.local, caught.value.starting) == (True, False)
        place.failures.clear()
        assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIAHERE"


def test_metadata_that_is_turned_off_is_no_failure(make_keeper: MakeKeeper, environment: pytest.MonkeyPatch) -> None:
    with Place((403, b""), forever=True) as place:
        environment.setenv(INSTANCE, place.url)
        with raises_code(LoginRequired, "bedrock-no-aws-credentials"):
            make_keeper().get("work")


def test_metadata_without_a_token_where_one_is_required(profile: Profile, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_EC2_METADATA_V1_DISABLED", "true")
    environment.setenv(INSTANCE, ABSENT)
    assert "the instance metadata service cannot be reached" in failure(profile).message


def test_sign_in_with_another_tool_is_not_prevented(
    make_keeper: MakeKeeper, aws_home: AwsHome, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(INSTANCE, ABSENT)
    environment.setenv("AWS_PROFILE", "team")
    aws_home.config("[profile team]\nregion = eu-west-1\n")
    writes = (
        f"open({str(aws_home.credentials_file)!r}, 'w').write('[team]\\naws_access_key_id=A\\naws_secret_access_key=s')"
    )
    credential = make_keeper(auth_refresh=aws_home.program(writes)).get("work")
    assert credential.environment()["AWS_ACCESS_KEY_ID"] == "A"


def test_role_that_gets_its_keys_from_the_instance(
    make_profile: Callable[..., Profile], aws_home: AwsHome, environment: pytest.MonkeyPatch
) -> None:
    role = "role_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Ec2InstanceMetadata\n"
    aws_home.config(f"[profile team]\n{role}")
    environment.setenv(INSTANCE, ABSENT)
    failed = failure(make_profile(aws_profile="team"), explicit=True)
    assert "the instance metadata service cannot be reached" in failed.message


@pytest.mark.parametrize(
    ("url", "starting"),
    [
        ("http://169.254.170.2/v2/credentials/made-up", True),
        ("http://169.254.170.23/v1/credentials", True),
        ("http://[fd00:ec2::23]/v1/credentials", True),
        ("http://localhost:51679/creds", True),
        ("https://127.0.0.1/", True),
        ("https://keys.example.com/", False),
    ],
)
def test_only_what_is_near_is_known_to_start(url: str, *, starting: bool) -> None:
    for last in (LastAnswer(failure="EndpointConnectionError"), LastAnswer(status=500), LastAnswer(status=429)):
        error = container_failure(last, url)
        assert error is not None
        assert error.starting is starting
        assert "made-up" not in error.message
    for last in (LastAnswer(failure="ReadTimeoutError"), LastAnswer(status=400)):
        error = container_failure(last, url)
        assert error is not None
        assert not error.starting


@pytest.mark.parametrize("variable", [CONTAINER, "AWS_ENDPOINT_URL_STS"])
def test_clock_that_is_ahead_explains_new_keys_that_seem_to_have_ended(
    profile: Profile, aws_home: AwsHome, environment: pytest.MonkeyPatch, variable: str
) -> None:
    if variable != CONTAINER:
        aws_home.credentials("[base]\naws_access_key_id = A\naws_secret_access_key = s\n")
        aws_home.config("[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n")
    with Place(ahead=7200) as place:
        environment.setenv(variable, place.url)
        with raises_code(ProviderRefused, "bedrock-clock-skew") as caught:
            botocore_credentials.take(profile, explicit=False)
    assert "this machine's clock is 120 min ahead of AWS's" in caught.value.message


def test_new_keys_that_have_ended_without_such_a_clock(profile: Profile, environment: pytest.MonkeyPatch) -> None:
    with Place((200, keys(-60)), forever=True) as place:
        environment.setenv(CONTAINER, place.url)
        with raises_code(LoginRequired, "bedrock-aws-credentials-expired"):
            botocore_credentials.take(profile, explicit=False)


@pytest.mark.parametrize("content", [(200, keys(-60)), (403, b""), (404, b"")])
def test_mended_endpoint_is_noticed_soon_by_every_process(
    make_keeper: MakeKeeper, environment: pytest.MonkeyPatch, clock: ManualClock, content: tuple[int, bytes]
) -> None:
    with Place(content, forever=True) as place:
        environment.setenv(CONTAINER, place.url)
        first, second = make_keeper(), make_keeper()
        for keeper in (first, second):
            with pytest.raises(FreshkeyError):
                keeper.get("work")
        place.failures.clear()
        assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIAHERE"
        clock.advance(6)
        for keeper in (first, second):
            assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIAHERE"


def refusing(code: str, message: str) -> tuple[int, bytes]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return 403, f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{error}</ErrorResponse>'.encode()


LATE = "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)"


@pytest.mark.parametrize(
    "refusal", [refusing("ExpiredToken", "expired"), refusing("SignatureDoesNotMatch", LATE)], ids=["keys", "clock"]
)
def test_role_is_asked_for_again_soon_after_its_keys_or_the_clock_are_mended(
    make_keeper: MakeKeeper, aws_home: AwsHome, environment: pytest.MonkeyPatch, *, refusal: tuple[int, bytes]
) -> None:
    program = aws_home.process('print(\'{"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s"}\')')
    role = "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
    aws_home.config(f"[profile team]\n{role}[profile base]\ncredential_process = {program}\n")
    with Place(refusal, forever=True) as place:
        environment.setenv("AWS_ENDPOINT_URL_STS", place.url)
        with pytest.raises(FreshkeyError) as caught:
            make_keeper(aws_profile="team").get("work")
        assert caught.value.found_here
        place.failures.clear()
        assert make_keeper(aws_profile="team").get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIAROLE"


def test_what_was_not_asked_has_not_failed() -> None:
    assert instance_failure(LastAnswer()) is None
    assert container_failure(LastAnswer(), "http://localhost/") is None
