"""Short-term keys made locally: contents, lifetime, and equality with those of AWS's own generator."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws_home import AwsHome
from freshkey import Keeper
from freshkey._commands.command import Command
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock.api_key.mint import detect, mint
from freshkey_bedrock.api_key.parse import PREFIX, term_of
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_testing import ManualClock
from freshkey_testing.guard import offline
from freshkey_testing.secret_scan import assert_no_secret, secrets_of
from raises_code import raises_code
from waiting import until


HOUR = 3600.0

MakeKeeper = Callable[..., Keeper]
MakeProfile = Callable[..., Profile]


@pytest.fixture
def signer(clock: ManualClock) -> AwsCredential:
    return AwsCredential(
        obtained=clock.now(),
        clock=clock,
        access_key_id="ASIAEXAMPLE",
        secret_access_key=Secret("secret/of+the=signer"),
        session_token=Secret("session/token+of=the&signer" * 20),
        region="eu-west-1",
    )


def url_of(key: BedrockApiKey) -> str:
    encoded = key.key.reveal().removeprefix(PREFIX)
    return base64.b64decode(encoded, validate=True).decode()


def as_aws_makes_it(signer: AwsCredential, seconds: int, monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> str:
    """Make a key with the steps of ``aws-bedrock-token-generator`` 1.1.0, at the time of the manual clock."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: clock.now().utc)
    token = signer.session_token.reveal() if signer.session_token else None
    request = AWSRequest(
        method="POST",
        url="https://bedrock.amazonaws.com/",
        headers={"host": "bedrock.amazonaws.com"},
        params={"Action": "CallWithBearerToken"},
    )
    keys = Credentials(signer.access_key_id, signer.secret_access_key.reveal(), token)
    SigV4QueryAuth(keys, "bedrock", signer.region, expires=seconds).add_auth(request)
    presigned = request.url.replace("https://", "") + "&Version=1"
    return "bedrock-api-key-" + base64.b64encode(presigned.encode()).decode()


@pytest.mark.parametrize("temporary", [True, False])
def test_key_equals_that_of_the_aws_generator(
    signer: AwsCredential, monkeypatch: pytest.MonkeyPatch, clock: ManualClock, *, temporary: bool
) -> None:
    signer = signer if temporary else attrs.evolve(signer, session_token=None)
    key = mint(signer, clock=clock)
    assert key.key.reveal() == as_aws_makes_it(signer, 43200, monkeypatch, clock)


def test_key_contains_region_and_expiration(signer: AwsCredential, clock: ManualClock) -> None:
    key = mint(signer, seconds=HOUR, clock=clock)
    address = urlsplit("https://" + url_of(key))
    query = parse_qs(address.query)
    assert (address.hostname, address.path) == ("bedrock.amazonaws.com", "/")
    assert query["Action"] == ["CallWithBearerToken"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert query["X-Amz-Expires"] == ["3600"]
    assert query["Version"] == ["1"]
    assert "/eu-west-1/bedrock/aws4_request" in query["X-Amz-Credential"][0]
    term = term_of(key.key)
    assert term is not None
    assert term.region == key.region == "eu-west-1"
    assert term.ends.timestamp() == pytest.approx(clock.now().wall + HOUR, abs=1)
    assert key.headers()["Authorization"] == f"Bearer {key.key.reveal()}"
    assert key.environment()["AWS_BEARER_TOKEN_BEDROCK"] == key.key.reveal()


@pytest.mark.parametrize(
    ("asked", "session", "life"),
    [
        (HOUR, None, HOUR),
        (12 * HOUR, None, 12 * HOUR),
        (100 * HOUR, None, 12 * HOUR),
        (12 * HOUR, HOUR, HOUR),
        (600.0, HOUR, 600.0),
        (90.9, 4000.5, 90.0),
    ],
)
def test_lifetime_is_the_minimum_of_request_session_and_twelve_hours(
    signer: AwsCredential, clock: ManualClock, *, asked: float, session: float | None, life: float
) -> None:
    key = mint(attrs.evolve(signer, lifetime=session), seconds=asked, clock=clock)
    assert key.lifetime == life
    assert f"X-Amz-Expires={life:.0f}&" in url_of(key)


def test_expired_session_cannot_sign_a_key(signer: AwsCredential, clock: ManualClock) -> None:
    ended = attrs.evolve(signer, lifetime=60.0)
    clock.advance(59.5)
    with raises_code(LoginRequired, "bedrock-aws-credentials-expired"):
        mint(ended, clock=clock)


def test_minting_sends_nothing_and_leaks_no_secret(
    signer: AwsCredential, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with offline() as attempts:
        key = mint(signer, clock=clock)
    assert not attempts
    assert_no_secret(repr(key) + caplog.text, secrets_of([signer, key]), "what is shown")


# --- the source -------------------------------------------------------------------------------------------------------


def test_source_is_detected_only_if_the_profile_selects_it(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIATHERE\naws_secret_access_key = s\n")
    assert detect(make_profile()) is None
    detected = detect(make_profile(source="short-term-key"))
    assert detected is not None
    assert (detected.kind, detected.origin) == (
        "short-term Bedrock API key",
        "memory, signed with AWS access key in AWS profile 'default'",
    )


def test_source_is_not_detected_without_aws_credentials(make_profile: MakeProfile) -> None:
    assert detect(make_profile(source="short-term-key")) is None


def test_keeper_makes_a_new_key_before_expiration(
    make_keeper: MakeKeeper, aws_home: AwsHome, clock: ManualClock
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIATHERE\naws_secret_access_key = s\n")
    keeper = make_keeper(source="short-term-key", short_term_key_seconds=1800.0)
    first = keeper.get("work")
    assert isinstance(first, BedrockApiKey)
    assert first.source == "short-term-key"
    clock.advance(1499)
    assert keeper.get("work") == first
    clock.advance(2)
    until(lambda: keeper.get("work") != first, "a proactive renewal")


def test_key_expires_with_the_session_that_signed_it(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    process = aws_home.rotating_process("canary-of-the-process", seconds=1200)
    aws_home.config(f"[profile team]\ncredential_process = {process}\n")
    keeper = make_keeper(source="short-term-key", aws_profile="team")
    lifetime = keeper.get("work").lifetime
    assert lifetime is not None
    assert 1100 < lifetime < 1260  # the process may take a while before it computes the expiration


def test_key_is_replaced_after_an_hour_if_the_session_expiration_is_unknown(
    make_keeper: MakeKeeper, aws_home: AwsHome, clock: ManualClock
) -> None:
    session = "[default]\naws_access_key_id = ASIA{0}\naws_secret_access_key = s\naws_session_token = t\n"
    aws_home.credentials(session.format("FIRST"))
    keeper = make_keeper(source="short-term-key")
    first = keeper.get("work")
    aws_home.credentials(session.format("SECOND"))
    clock.advance(HOUR - 1)
    assert keeper.get("work") == first
    clock.advance(2)
    until(lambda: keeper.get("work") != first, "a key of the new session")


def test_credential_export_takes_precedence_over_shared_files_as_signer(make_profile: MakeProfile) -> None:
    detected = detect(make_profile(source="short-term-key", credential_export=Command.of(["print-keys"])))
    assert detected is not None
    assert detected.origin == "memory, signed with AWS credentials in command 'print-keys'"


@pytest.mark.parametrize("seconds", [0, 59, 43201, float("nan")])
def test_lifetime_out_of_range_is_refused(make_profile: MakeProfile, seconds: float) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        make_profile(short_term_key_seconds=seconds)
    for fact in ("short_term_key_seconds", "60", "43200"):
        assert fact in caught.value.message
