"""How AWS refuses credentials, and that applications then get newer ones: `Keeper.auth` and `botocore_session`."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import boto3
import httpx
import pytest
from attrs import evolve, field, frozen
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config
from botocore.exceptions import ClientError

import freshkey_bedrock
from aws_home import AwsHome
from bedrock_runtime import MODEL, BedrockRuntime
from freshkey import Keeper
from freshkey.plugin import SYSTEM, Secret
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_testing import ManualClock


MakeKeeper = Callable[..., Keeper]

URL = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/invoke"
KEYS = AwsCredential(obtained=SYSTEM.now(), access_key_id="AKIA1", secret_access_key=Secret("s"), region="eu-west-1")


@frozen
class Reply:
    """A response as a credential sees it."""

    status: int = 403
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None
    method: str = "POST"
    url: str = URL

    def peek(self) -> bytes:
        assert self.body is not None, "status and headers decide"
        return self.body


def typed(value: str, status: int = 403) -> Reply:
    return Reply(status, httpx.Headers({"X-Amzn-ErrorType": value}))


REFUSED = [
    Reply(401),
    typed("ExpiredTokenException"),
    typed("ExpiredTokenException:http://internal.amazon.com/coral/com.amazon.coral.service/"),
    typed("com.amazon.coral.service#UnrecognizedClientException", 400),
    typed("ExpiredToken"),
    Reply(403, httpx.Headers({"x-amzn-query-error": "InvalidClientTokenId;Sender"})),
    Reply(body=b'{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"over"}', status=400),
    Reply(body=b'{"__type": "UnrecognizedClientException", "message": "unknown"}', status=400),
    Reply(body=b'\xef\xbb\xbf {"message": "over", "code": "ExpiredToken"}'),
    Reply(body=b'{"Error": {"Code": "InvalidClientTokenId", "Message": "unknown"}}'),
    Reply(body=b'{"__type": "ExpiredTokenException", "message": "cut sho'),
    Reply(body=b'<?xml version="1.0"?>\n<Error><Code>ExpiredToken</Code><Message>over</Message></Error>', status=400),
    Reply(body=b"<ErrorResponse><Error><Type>Sender</Type>\n<Code> InvalidClientTokenId </Code></Error>"),
    Reply(body=b"<Error><Code>InvalidAccessKeyId</Code></Error>"),
    Reply(body=b'{"message":"The security token included in the request is invalid."}'),
    Reply(body=b'{"Message":"The security token included in the request is expired"}'),
    Reply(body=b'{"Output":{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"x"},"Version":"1.0"}'),
    Reply(body=b'{"Output":{"message":"The security token included in the request is expired"},"Version":"1.0"}'),
    Reply(body=b"The security token included in the request is expired"),
    Reply(body=b'"The security token included in the request is invalid."', status=400),
    Reply(body=b'{"message":"The provided token has expired."}'),
    Reply(body=b'{"message":"The provided token is malformed or otherwise invalid."}', status=400),
    Reply(body=b'{"message":"ExpiredTokenException: The security token included in the request is expired"}'),
    Reply(body=b"UnrecognizedClientException: The security token included in the request is invalid."),
    Reply(
        body=b'{"error":{"message":"An error occurred (ExpiredTokenException) when calling the InvokeModel operation: '
        b'The security token included in the request is expired"}}',
        status=400,
    ),
]

EXPIRED_API_KEY = b'{"Message":"Bearer Token has expired"}'
WRONG_API_KEY = b'{"Message":"Authentication failed: Please make sure your API Key is valid."}'

NOT_REFUSED = [
    Reply(200),
    Reply(404),
    Reply(429),
    Reply(500),
    typed("AccessDeniedException"),
    typed("InvalidSignatureException"),
    typed("RequestExpired", 400),
    typed("ThrottlingException", 400),
    typed("AccessDenied:ExpiredTokenException"),
    Reply(body=b'{"__type":"AccessDeniedException","message":"the caller sent ExpiredTokenException"}'),
    Reply(body=b'{"message": "code: ExpiredToken"}'),
    Reply(body=b"<Error><Code>SignatureDoesNotMatch</Code><Message>ExpiredToken</Message></Error>"),
    Reply(body=b"<Error><Code>RequestTimeTooSkewed</Code></Error>"),
    Reply(body=b"<html><body>Forbidden by the network</body></html>"),
    Reply(body=b"", status=400),
    Reply(body=b"[" * 8192, status=400),
    Reply(body=b'["ExpiredTokenException"]', status=400),
    Reply(body=b"\xff\xfe\x00"),
    Reply(body=b'{"message":"The model says: The security token included in the request is invalid."}'),
    Reply(
        body=b'{"__type":"AccessDeniedException","message":"The security token included in the request is invalid."}'
    ),
    Reply(body=EXPIRED_API_KEY),
    Reply(body=b'{"Output":{"__type":"AccessDeniedException","message":"ExpiredTokenException: x"},"Version":"1.0"}'),
    Reply(body=b"AccessDeniedException: The security token included in the request is expired"),
    Reply(body=b"code: ExpiredToken"),
    Reply(body=b'{"message":"An error occurred (AccessDeniedException) when calling the InvokeModel operation: no"}'),
    Reply(body=b'{"message":"An error occurred (ThrottlingException) when calling it: ExpiredTokenException: x"}'),
    Reply(body=b'{"message":"The provided token count exceeds the limit"}', status=400),
    Reply(body=b'{"message":"The provided token has expired."}', status=404),
    Reply(body=b"Forbidden. The security token included in the request is expired"),
    Reply(body=b"<p>The security token included in the request is expired</p>"),
    Reply(body=b'{"message": "The security token included'),
]


@pytest.mark.parametrize("reply", REFUSED)
def test_refusal_of_credentials_is_recognized(reply: Reply) -> None:
    assert KEYS.judge(reply).refused
    assert BedrockApiKey(obtained=SYSTEM.now(), key=Secret("k")).judge(reply).refused


@pytest.mark.parametrize("reply", NOT_REFUSED)
def test_everything_else_is_for_the_caller(reply: Reply) -> None:
    """Newer credentials change neither permissions, nor the request, nor the clock."""
    assert not KEYS.judge(reply).refused


@pytest.mark.parametrize("headers", [{}, {"X-Amzn-ErrorType": "AccessDeniedException"}])
@pytest.mark.parametrize("body", [EXPIRED_API_KEY, WRONG_API_KEY])
def test_refusal_of_an_api_key_is_in_the_message(headers: Mapping[str, str], body: bytes) -> None:
    key = BedrockApiKey(obtained=SYSTEM.now(), key=Secret("k"))
    assert key.judge(Reply(headers=httpx.Headers(headers), body=body)).refused
    assert not key.judge(Reply(headers=httpx.Headers(headers), body=b'{"Message":"You do not have access"}')).refused
    assert not key.judge(Reply(500, body=body)).refused
    assert key.judge(Reply(body=json.loads(body)["Message"].encode())).refused


# --- applications ---------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(clock: ManualClock) -> Iterator[BedrockRuntime]:
    with BedrockRuntime(clock=clock) as running:
        yield running


@pytest.fixture
def keeper(make_keeper: MakeKeeper) -> Keeper:
    return make_keeper(source="default-chain")


def write(aws_home: AwsHome, keys: Mapping[str, str]) -> None:
    aws_home.credentials_file.write_text(
        "[default]\n"
        f"aws_access_key_id = {keys['accessKeyId']}\n"
        f"aws_secret_access_key = {keys['secretAccessKey']}\n"
        f"aws_session_token = {keys['sessionToken']}\n",
        "utf-8",
    )


def end_all(runtime: BedrockRuntime, clock: ManualClock) -> None:
    """Let the server forget the keys that it has issued, which their owner does not know."""
    for key in runtime.issued:
        runtime._ends[key] = clock.now().wall


def post(keeper: Keeper, runtime: BedrockRuntime, way: str) -> httpx.Response:
    url = f"{runtime.url}/model/{MODEL}/invoke"
    if way == "sync":
        with httpx.Client(auth=keeper.auth("work"), trust_env=False) as client:
            return client.post(url, content=b"{}")

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(auth=keeper.auth("work"), trust_env=False) as client:
            return await client.post(url, content=b"{}")

    return asyncio.run(send())


@pytest.mark.parametrize("way", ["sync", "async"])
def test_keys_that_were_replaced_are_looked_up_once_and_the_request_is_repeated_once(
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock, way: str
) -> None:
    write(aws_home, runtime.issue(1))
    assert post(keeper, runtime, way).status_code == 200
    clock.advance(60)
    end_all(runtime, clock)
    write(aws_home, runtime.issue(2))
    assert post(keeper, runtime, way).status_code == 200
    assert [call.status for call in runtime.calls] == [200, 403, 200]
    assert post(keeper, runtime, way).status_code == 200
    assert len(set(runtime.keys)) == 2


@pytest.mark.parametrize("way", ["sync", "async"])
def test_refusal_is_returned_if_the_source_has_nothing_newer(
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock, way: str
) -> None:
    write(aws_home, runtime.issue(1))
    clock.advance(60)
    end_all(runtime, clock)
    response = post(keeper, runtime, way)
    assert response.status_code == 403
    assert "expired" in response.json()["message"]
    assert len(runtime.calls) == 1


def client(session: Any, runtime: BedrockRuntime, **settings: Any) -> Any:
    config = Config(**({"retries": {"total_max_attempts": 1}, "proxies": {}} | settings))
    return boto3.Session(botocore_session=session).client("bedrock-runtime", endpoint_url=runtime.url, config=config)


def invoke(client: Any, body: Any = b"{}") -> None:
    client.invoke_model(modelId=MODEL, body=body)["body"].read()


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("body", [b"{}", io.BytesIO(b"{}")])
def test_botocore_signs_a_refused_request_again_with_newer_keys(  # noqa: PLR0917  fixtures
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock, mode: str, body: Any
) -> None:
    write(aws_home, runtime.issue(1))
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime, retries={"mode": mode})
    invoke(bedrock, body)
    clock.advance(60)
    end_all(runtime, clock)
    write(aws_home, runtime.issue(2))
    if isinstance(body, io.BytesIO):
        body.seek(0)
    invoke(bedrock, body)
    assert [call.status for call in runtime.calls] == [200, 403, 200]


def test_botocore_raises_the_refusal_if_the_source_has_nothing_newer(
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock
) -> None:
    write(aws_home, runtime.issue(1))
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    clock.advance(60)
    end_all(runtime, clock)
    with pytest.raises(ClientError, match="ExpiredToken"):
        invoke(bedrock)
    assert len(runtime.calls) == 1


def test_botocore_repeats_a_request_only_once(
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock
) -> None:
    write(aws_home, runtime.issue(1))
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    clock.advance(60)
    write(aws_home, runtime.issue(2))
    end_all(runtime, clock)
    with pytest.raises(ClientError, match="ExpiredToken"):
        invoke(bedrock)
    assert [call.status for call in runtime.calls] == [403, 403]


def test_botocore_does_not_look_for_keys_if_permissions_are_missing(
    keeper: Keeper, runtime: BedrockRuntime, aws_home: AwsHome, clock: ManualClock
) -> None:
    keys = runtime.issue(1)
    write(aws_home, keys | {"secretAccessKey": "wrong"})
    bedrock = client(freshkey_bedrock.botocore_session(keeper, "work"), runtime)
    clock.advance(60)
    write(aws_home, keys)
    with pytest.raises(ClientError, match="AccessDenied"):
        invoke(bedrock)
    assert [call.status for call in runtime.calls] == [403]


class TwoKeys:
    """A `CredentialSource` with a newer key for those who were refused."""

    def __init__(self) -> None:
        self.refused: list[Any] = []

    def get(self, profile: str | None = None, *, refused: AwsCredential | None = None, **_: Any) -> AwsCredential:
        if refused is not None:
            self.refused.append(refused.access_key_id)
        return evolve(KEYS, access_key_id="AKIA2") if self.refused else KEYS


@pytest.mark.parametrize(
    ("service", "act", "status", "refusal", "success"),
    [
        (
            "sts",
            lambda sts: sts.get_caller_identity(),
            403,
            b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
            b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>",
        ),
        (
            "dynamodb",
            lambda dynamodb: dynamodb.list_tables(),
            400,
            b'{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"no"}',
            b"{}",
        ),
        (
            "s3",
            lambda s3: s3.put_object(Bucket="b", Key="k", Body=io.BytesIO(b"content")),
            400,
            b"<Error><Code>ExpiredToken</Code><Message>over</Message></Error>",
            b"",
        ),
    ],
)
def test_clients_of_all_services_replace_refused_keys(
    service: str, act: Callable[[Any], object], status: int, refusal: bytes, success: bytes
) -> None:
    source, seen = TwoKeys(), []

    def send(request: Any, **_: Any) -> AWSResponse:
        seen.append(str(request.headers["Authorization"]).partition("Credential=")[2].partition("/")[0])
        code, body = (status, refusal) if len(seen) == 1 else (200, success)
        answer = AWSResponse(request.url, code, HeadersDict(), None)
        answer._content = body
        return answer

    session = freshkey_bedrock.botocore_session(source, "work")  # type: ignore[arg-type]
    session.get_component("event_emitter").register("before-send", send)
    act(boto3.Session(botocore_session=session).client(service))
    assert seen == ["AKIA1", "AKIA2"]
    assert source.refused == ["AKIA1"]


def test_requests_in_flight_name_the_key_that_signed_them() -> None:
    """A refusal that arrives after a renewal is not about the new key."""
    source = TwoKeys()
    session = freshkey_bedrock.botocore_session(source, "work")  # type: ignore[arg-type]
    context: dict[str, Any] = {}

    def send(request: Any, **_: Any) -> AWSResponse:
        if not context:
            context["renewed"] = source.get(refused=KEYS)
            session.get_credentials().get_frozen_credentials()
            answer = AWSResponse(request.url, 400, HeadersDict(), None)
            answer._content = b'{"__type":"ExpiredTokenException"}'
            return answer
        answer = AWSResponse(request.url, 200, HeadersDict(), None)
        answer._content = b"{}"
        return answer

    session.get_component("event_emitter").register("before-send", send)
    boto3.Session(botocore_session=session).client("dynamodb").list_tables()
    assert source.refused == ["AKIA1", "AKIA1"]


def test_botocore_works_after_the_wall_clock_was_set_forward() -> None:
    """botocore refuses credentials that have expired by the wall clock; freshkey does not, within one boot."""
    clock = ManualClock()
    keys = evolve(KEYS, obtained=clock.now(), lifetime=3600.0, clock=clock)
    clock.step_wall(7200)

    class Source:
        def get(self, profile: str | None = None, **_: Any) -> AwsCredential:
            return keys

    credentials: Any = freshkey_bedrock.botocore_session(Source(), "work").get_credentials()  # type: ignore[arg-type]
    assert credentials.get_frozen_credentials().access_key == "AKIA1"


# --- the body of a response -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("streams", [False, True])
def test_body_that_was_looked_into_is_still_complete(
    make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch, way: str, streams: bool
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    taken: list[int] = []
    parts = [json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode(), *[b" " * 4096] * 10]

    class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for part in parts:
                taken.append(len(part))
                yield part

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    transport = httpx.MockTransport(lambda request: httpx.Response(403, stream=Parts()))
    auth = make_keeper(source="default-chain").auth("work")

    def check(status: int, took: int, body: bytes) -> None:
        assert (status, body) == (403, b"".join(parts))
        assert took <= 3 if streams else took == len(parts)

    async def send() -> None:
        async with httpx.AsyncClient(auth=auth, transport=transport) as client:
            if not streams:
                response = await client.post(URL, content=b"{}")
                return check(response.status_code, len(taken), response.content)
            async with client.stream("POST", URL, content=b"{}") as response:
                took = len(taken)
                return check(response.status_code, took, await response.aread())

    if way == "async":
        return asyncio.run(send())
    with httpx.Client(auth=auth, transport=transport) as client:
        if not streams:
            response = client.post(URL, content=b"{}")
            return check(response.status_code, len(taken), response.content)
        with client.stream("POST", URL, content=b"{}") as response:
            took = len(taken)
            return check(response.status_code, took, response.read())
