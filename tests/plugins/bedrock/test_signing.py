"""Signatures: AWS's test vectors, botocore's headers, and servers that refuse modified requests."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from counterparts.moto import REGION, Moto
from freshkey import Keeper
from freshkey.clock import Moment
from freshkey.errors import ConfigurationError, CredentialExpired
from freshkey.secret import Secret
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.signing import signed_headers
from freshkey_testing import ManualClock
from raises_code import raises_code
from sigv4_judge import Judge, canonical, signature


SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwt"
    "hAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVX"
    "AkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

VECTORS = {
    "get-vanilla": ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-value": (
        "GET",
        "/?Param1=value2&Param1=value1",
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    "get-vanilla-query-order-encoded": (
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "get-vanilla-query-unreserved": (
        "GET",
        f"/?{UNRESERVED}={UNRESERVED}",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-unreserved": (
        "GET",
        f"/{UNRESERVED}",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": ("GET", "/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-space": ("GET", "/example space/", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    "get-relative": ("GET", "/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slashes": ("GET", "//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    "get-special-character": (
        "GET",
        "/example/$delete",
        "a853c9b21b528b19643d00910d35b83a10c366a10833ceefb45edd6c80e40f27",
    ),
    "post-vanilla": ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        "POST",
        "/?Param1=value1",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
}


def credential(
    secret: str = SUITE_SECRET, token: str | None = None, region: str = "us-east-1", **more: Any
) -> AwsCredential:
    return AwsCredential(
        obtained=Moment(0.0, 0.0, "boot"),
        access_key_id="AKIDEXAMPLE",
        secret_access_key=Secret(secret),
        session_token=Secret(token) if token else None,
        region=region,
        **more,
    )


# --- AWS's test vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
def test_aws_vector(name: str) -> None:
    method, target, expected = VECTORS[name]
    url = f"https://example.amazonaws.com{target}"
    headers = signed_headers(credential(), method, url, b"", now=SUITE_TIME, service="service")
    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={expected}",
    }


def test_aws_vector_with_a_session_token() -> None:  # post-sts-header-before
    url = "https://example.amazonaws.com/"
    headers = signed_headers(credential(token=SUITE_TOKEN), "POST", url, b"", now=SUITE_TIME, service="service")
    assert headers["X-Amz-Security-Token"] == SUITE_TOKEN
    assert headers["Authorization"].endswith(
        "SignedHeaders=host;x-amz-date;x-amz-security-token, "
        "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    )


def test_verifier_accepts_aws_vectors() -> None:
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    for name in ("get-vanilla", "get-vanilla-query-order-value", "get-unreserved", "post-vanilla-query"):
        method, target, expected = VECTORS[name]
        request = canonical(method, target, headers, "host;x-amz-date", b"")
        assert signature(SUITE_SECRET, "20150830T123600Z", "us-east-1", request, "service") == expected


# --- requests to Bedrock ----------------------------------------------------------------------------------------------

MODELS = (
    "anthropic.claude-sonnet-4-20250514-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0",
    "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:provisioned-model/a b+c",
)
PATHS = ("invoke", "invoke-with-response-stream")
BODIES = (b"", b'{"anthropic_version": "bedrock-2023-05-31", "messages": []}', bytes(range(256)))


def target_of(model: str, path: str, *, escape: bool = True) -> str:
    return f"/model/{quote(model, safe='' if escape else ':')}/{path}"


@pytest.fixture(params=[(model, path, body) for model in MODELS for path in PATHS for body in BODIES])
def request_to_sign(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    model, path, body = request.param
    return target_of(model, path), body


@pytest.mark.parametrize("token", [None, SUITE_TOKEN])
def test_headers_equal_those_of_botocore(
    request_to_sign: tuple[str, bytes], token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    target, body = request_to_sign
    clock = ManualClock(wall=SUITE_TIME.timestamp())
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: SUITE_TIME.replace(tzinfo=None))
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com{target}"
    theirs = AWSRequest(method="POST", url=url, data=body)
    botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", SUITE_SECRET, token), "bedrock", "eu-west-1").add_auth(theirs)
    ours = credential(token=token, region="eu-west-1", clock=clock).headers("POST", url, body)
    assert ours == dict(theirs.headers.items())


@pytest.mark.parametrize(("model", "path"), [(model, path) for model in MODELS[:2] for path in PATHS])
def test_headers_match_a_boto3_client(model: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses a complete boto3 client, which has its own way of encoding the model ID in the path."""
    import boto3
    import botocore.auth

    sent: list[Any] = []

    def keep(request: Any, **_rest: object) -> None:
        sent.append(request)
        raise InterruptedError

    client = boto3.Session("AKIDEXAMPLE", SUITE_SECRET, SUITE_TOKEN, region_name="eu-west-1").client("bedrock-runtime")
    client.meta.events.register("before-send.bedrock-runtime.*", keep)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: SUITE_TIME.replace(tzinfo=None))
    call = client.invoke_model if path == "invoke" else client.invoke_model_with_response_stream
    with pytest.raises(InterruptedError):
        call(modelId=model, body=BODIES[2])
    theirs = sent[0]
    clock = ManualClock(wall=SUITE_TIME.timestamp())
    ours = credential(token=SUITE_TOKEN, region="eu-west-1", clock=clock).headers("POST", theirs.url, theirs.body)
    assert urlsplit(theirs.url).path == target_of(model, path)
    text = {name.lower(): _text(value) for name, value in theirs.headers.items()}
    assert text["x-amz-date"] == ours["X-Amz-Date"]
    assert text["x-amz-security-token"] == ours["X-Amz-Security-Token"]
    signed = text["authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert signed == canonical_names(signed)
    request = canonical(
        "POST", target_of(model, path), {"host": urlsplit(theirs.url).netloc, **text}, signed, BODIES[2]
    )
    assert text["authorization"].endswith(signature(SUITE_SECRET, ours["X-Amz-Date"], "eu-west-1", request))


def canonical_names(signed: str) -> str:
    return ";".join(sorted(signed.split(";")))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


# --- servers that verify signatures -----------------------------------------------------------------------------------


def send(port: int, target: str, headers: dict[str, str], body: bytes, method: str = "POST") -> int:
    """Send a request without any normalization of its target."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge({"AKIDEXAMPLE": (SUITE_SECRET, SUITE_TOKEN)}) as running:
        yield running


def test_independent_verifier_accepts_the_signature(judge: Judge, request_to_sign: tuple[str, bytes]) -> None:
    target, body = request_to_sign
    url = f"http://127.0.0.1:{judge.port}{target}"
    headers = credential(token=SUITE_TOKEN, region=REGION).headers("POST", url, body)
    assert send(judge.port, target, headers, body) == 200


def test_unescaped_model_id_is_signed_as_sent(judge: Judge) -> None:
    target = target_of(MODELS[0], "invoke", escape=False)
    assert ":" in target
    headers = credential(token=SUITE_TOKEN).headers("POST", f"http://127.0.0.1:{judge.port}{target}", b"{}")
    assert send(judge.port, target, headers, b"{}") == 200
    assert send(judge.port, target_of(MODELS[0], "invoke"), headers, b"{}") == 403


def changed(text: str, at: int) -> str:
    other = "1" if text[at] != "1" else "2"
    return text[:at] + other + text[at + 1 :]


def test_changing_any_byte_invalidates_the_signature(judge: Judge) -> None:
    target, body = target_of(MODELS[0], "invoke"), b'{"a": 1}'
    headers = credential(token=SUITE_TOKEN).headers("POST", f"http://127.0.0.1:{judge.port}{target}", body)
    assert send(judge.port, target, headers, body) == 200
    for at in range(len(target) - 1):
        assert send(judge.port, "/" + changed(target[1:], at), headers, body) == 403, at
    for at in range(len(body)):
        assert send(judge.port, target, headers, changed(body.decode(), at).encode()) == 403, at
    for name, value in headers.items():
        for at in range(0, len(value), 1 if name != "X-Amz-Security-Token" else 17):
            assert send(judge.port, target, headers | {name: changed(value, at)}, body) == 403, (name, at)
    assert send(judge.port, target, headers, body + b" ") == 403
    assert send(judge.port, target, headers, body, "PUT") == 403


@pytest.mark.parametrize("model", MODELS[:2])
def test_httpx_client_signs_through_the_keeper(
    judge: Judge, model: str, make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SUITE_SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SUITE_TOKEN)
    with httpx.Client(auth=make_keeper().auth("work"), base_url=f"http://127.0.0.1:{judge.port}") as client:
        for path in PATHS:
            for body in BODIES:
                answer = client.post(target_of(model, path), content=body, headers={"Accept": "*/*", "X-Other": "1"})
                assert (answer.status_code, answer.text) == (200, "{}")
        streamed = client.post(target_of(model, PATHS[1]), content=iter([b"one ", b"two"]))
        assert streamed.status_code == 200, streamed.text


@pytest.mark.counterpart
def test_moto_accepts_the_signature_and_refuses_modified_requests() -> None:
    body = b'{"anthropic_version": "bedrock-2023-05-31"}'
    with Moto() as moto:
        keys = moto.user("signer")
        moto.check_signatures()
        port = int(moto.url.rpartition(":")[2])
        signer = AwsCredential(
            obtained=Moment(0.0, 0.0, "boot"),
            access_key_id=keys.access_key_id,
            secret_access_key=Secret(keys.secret_access_key),
            region=REGION,
        )
        for model in MODELS[:2]:
            target = target_of(model, "invoke")
            # moto selects the service by host name, and uses the path unmodified.
            host = f"bedrock-runtime.{REGION}.amazonaws.com"
            headers = signer.headers("POST", f"https://{host}{target}", body) | {"Host": host}
            assert send_to_host(port, target, headers, body) == 200
            for at in range(0, len(body), 5):
                assert send_to_host(port, target, headers, changed(body.decode(), at).encode()) == 403
            wrong = headers | {"Authorization": changed(headers["Authorization"], -2)}
            assert send_to_host(port, target, wrong, body) == 403
            assert send_to_host(port, target_of(changed(model, 3), "invoke"), headers, body) == 403


def send_to_host(port: int, target: str, headers: dict[str, str], body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "/model/x/invoke", "model", "https://"])
def test_signing_requires_an_absolute_url(url: str) -> None:
    with raises_code(ConfigurationError, "bedrock-no-request-url"):
        credential().headers("POST", url, b"")


def test_expired_credentials_do_not_sign() -> None:
    clock = ManualClock()
    ended = AwsCredential(
        obtained=clock.now(),
        lifetime=60.0,
        access_key_id="AKIDEXAMPLE",
        secret_access_key=Secret(SUITE_SECRET),
        region=REGION,
        clock=clock,
    )
    clock.advance(61)
    with pytest.raises(CredentialExpired):
        ended.headers("POST", "https://example.amazonaws.com/", b"")
