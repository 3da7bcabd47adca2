"""Checking credentials with STS: each response, and no response, has a distinct result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aws_home import AwsHome
from counterparts.moto import REGION, Moto
from freshkey.clock import SYSTEM, Moment
from freshkey.errors import ConfigurationError
from freshkey.model.credential import Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock import describe
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from loopback_server import Exchange, LoopbackServer
from raises_code import raises_code
from waiting import until


SECRET = "made-up/secret/key"
IDENTITY = Identity(organization="123456789012")

XML = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"""
CALLER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>AIDAME</UserId><Account>123456789012</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


class Sts(LoopbackServer):
    """Returns a configurable response; as a proxy, refuses to connect."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.body = CALLER
        self.silent = False
        self.asked: list[str] = []
        self.over = threading.Event()

    def refuses(self, status: int, code: str, message: str = "no") -> None:
        self.status, self.body = status, XML.format(code=code, message=message)

    def serve(self, exchange: Exchange) -> None:
        if exchange.command == "CONNECT":
            self.asked.append(f"CONNECT {exchange.path}")
            exchange.answer(502)
            return
        exchange.body()
        self.asked.append(f"{exchange.command} {exchange.path} {exchange.headers.get('Authorization', '')}")
        if self.silent:
            self.over.wait(60)
        exchange.answer(self.status, self.body.encode(), {"Content-Type": "text/xml"})


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    with Sts() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        yield sts
        sts.over.set()


def credential(**more: Any) -> AwsCredential:
    given = {"access_key_id": "AKIAME", "secret_access_key": Secret(SECRET), "session_token": None, "region": REGION}
    return AwsCredential(obtained=SYSTEM.now(), identity=IDENTITY, **{**given, **more})


def inspect(profile: Profile, held: Credential) -> Inspection:
    answer = describe(profile=profile, credential=held)
    assert isinstance(answer, Inspection)
    return answer


def test_identity_of_valid_credentials(profile: Profile, sts: Sts) -> None:
    answer = inspect(profile, credential())
    assert answer.validity is Validity.VALID
    assert answer.identity == Identity(
        account="AIDAME",
        organization="123456789012",
        display_name="arn:aws:iam::123456789012:user/me",
        extra={"arn": "arn:aws:iam::123456789012:user/me"},
    )
    assert len(sts.asked) == 1
    assert f"/{REGION}/sts/aws4_request" in sts.asked[0]


@pytest.mark.parametrize(
    ("refusal", "validity", "fact"),
    [
        ((403, "ExpiredToken"), Validity.EXPIRED, "expired"),
        ((400, "ExpiredTokenException"), Validity.EXPIRED, "expired"),
        ((403, "InvalidClientTokenId"), Validity.REFUSED, "access key"),
        ((403, "SignatureDoesNotMatch"), Validity.REFUSED, "secret key"),
        ((403, "RequestExpired"), Validity.REFUSED, "clock"),
        ((403, "UnrecognizedClientException"), Validity.REFUSED, "not recognized"),
        ((400, "MalformedSomething"), Validity.REFUSED, "refused"),
        ((403, "AccessDenied"), Validity.REFUSED, ": because"),
        ((400, "Throttling"), Validity.UNREACHABLE, "temporarily unavailable"),
        ((503, "ServiceUnavailable"), Validity.UNREACHABLE, "temporarily unavailable"),
        ((500, "InternalFailure"), Validity.UNREACHABLE, "temporarily unavailable"),
    ],
)
def test_each_sts_error_has_a_distinct_result(
    profile: Profile, sts: Sts, refusal: tuple[int, str], validity: Validity, fact: str
) -> None:
    sts.refuses(*refusal, "because")
    answer = inspect(profile, credential())
    assert answer.validity is validity
    assert fact in answer.detail
    assert f"({refusal[1]})" in answer.detail
    assert answer.identity == IDENTITY
    assert len(sts.asked) == 1


def test_request_quoted_by_sts_is_not_shown(profile: Profile, sts: Sts) -> None:
    sts.refuses(403, "SignatureDoesNotMatch", f"The canonical string is {SECRET}")
    assert SECRET not in repr(inspect(profile, credential()))


def test_expired_credentials_are_not_sent(profile: Profile, sts: Sts) -> None:
    now = SYSTEM.now()
    ended = credential()
    ended = AwsCredential(
        obtained=Moment(now.wall - 100, now.elapsed - 100, now.boot_id),
        lifetime=60.0,
        access_key_id=ended.access_key_id,
        secret_access_key=ended.secret_access_key,
        region=REGION,
    )
    answer = inspect(profile, ended)
    assert answer.validity is Validity.EXPIRED
    assert f"{datetime.now(UTC):%Y-%m-%d}" in answer.detail
    assert sts.asked == []


def test_api_key_cannot_be_checked_and_is_not_sent(profile: Profile, sts: Sts) -> None:
    answer = inspect(profile, BedrockApiKey(obtained=SYSTEM.now(), key=Secret("ABSK" + "x" * 100)))
    assert answer.validity is Validity.UNCHECKABLE
    assert "STS" in answer.detail
    assert sts.asked == []


def test_unreachable_sts_names_region_and_host(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    answer = inspect(profile, credential())
    assert answer.validity is Validity.UNREACHABLE
    assert "http://127.0.0.1:9" in answer.detail
    assert REGION in answer.detail


def test_silent_server_is_abandoned_at_the_deadline(make_profile: Callable[..., Profile], sts: Sts) -> None:
    sts.silent = True
    began = time.monotonic()
    answer = inspect(make_profile(deadline=0.5), credential())
    assert time.monotonic() - began < 30
    assert answer.validity is Validity.UNREACHABLE
    assert "0.5 s" in answer.detail
    until(lambda: sts.asked, "the request")  # the abandoned call goes on, and must not send it in the next test


def test_request_goes_to_the_credentials_region_through_the_proxy(
    profile: Profile, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")
    monkeypatch.setenv("HTTPS_PROXY", sts.url.replace("http://", "http://user:password@"))
    answer = inspect(profile, credential(region="ap-southeast-2"))
    assert sts.asked == ["CONNECT sts.ap-southeast-2.amazonaws.com:443"]
    assert answer.validity is Validity.UNREACHABLE
    assert "password" not in answer.detail


def test_unknown_region_is_an_error(profile: Profile, sts: Sts) -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-region") as caught:
        inspect(profile, credential(region="xx-nowhere-9"))
    assert caught.value.profile == "work"
    assert "'xx-nowhere-9'" in caught.value.message
    assert sts.asked == []


def test_missing_aws_profile_is_an_error(make_profile: Callable[..., Profile], sts: Sts, aws_home: AwsHome) -> None:
    aws_home.credentials("[other]\n")
    with raises_code(ConfigurationError, "bedrock-unknown-aws-profile") as caught:
        inspect(make_profile(aws_profile="team"), credential())
    assert caught.value.profile == "work"
    assert "'team'" in caught.value.message
    assert sts.asked == []


@pytest.mark.counterpart
def test_moto_identifies_valid_keys_and_refuses_others(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    with Moto() as moto:
        keys = moto.user("me")
        moto.check_signatures()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.url)
        ours = credential(access_key_id=keys.access_key_id, secret_access_key=Secret(keys.secret_access_key))
        answer = inspect(profile, ours)
        assert answer.validity is Validity.VALID
        assert answer.identity is not None
        assert answer.identity.extra["arn"] == "arn:aws:iam::123456789012:user/me"
        others = credential(access_key_id=keys.access_key_id, secret_access_key=Secret("of another user"))
        assert inspect(profile, others).validity is Validity.REFUSED
        assert inspect(profile, credential()).validity is Validity.REFUSED
