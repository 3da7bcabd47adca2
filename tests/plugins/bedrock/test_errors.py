"""Translation of errors of AWS services and botocore."""

from __future__ import annotations

import pytest
from botocore import exceptions

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey_bedrock.errors import explained


SIGN_IN = "bedrock-aws-sign-in-required"
INVALID = "bedrock-invalid-aws-config"


def answer(code: str, status: int, message: str = "because") -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "AssumeRole")


@pytest.mark.parametrize(
    ("aws_code", "status", "kind", "code"),
    [
        ("ExpiredToken", 403, LoginRequired, "bedrock-aws-credentials-expired"),
        ("ExpiredTokenException", 400, LoginRequired, "bedrock-aws-credentials-expired"),
        ("Throttling", 400, TransientError, "bedrock-aws-unavailable"),
        ("TooManyRequestsException", 429, TransientError, "bedrock-aws-unavailable"),
        ("InternalFailure", 500, TransientError, "bedrock-aws-unavailable"),
        ("Whatever", 503, TransientError, "bedrock-aws-unavailable"),
        ("AccessDenied", 403, ProviderRefused, "bedrock-aws-refused"),
        ("InvalidClientTokenId", 403, ProviderRefused, "bedrock-aws-refused"),
        ("MalformedPolicyDocument", 400, ProviderRefused, "bedrock-aws-refused"),
    ],
)
def test_error_of_an_aws_service(aws_code: str, status: int, kind: type[FreshkeyError], code: str) -> None:
    error = explained(answer(aws_code, status), "team")
    assert type(error) is kind
    assert error.code == code
    assert aws_code in error.message
    assert "AssumeRole" in error.message


def test_access_denied_quotes_the_message_and_other_errors_do_not() -> None:
    words = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole\x1b[2J" + "x" * 1000
    denied = str(explained(answer("AccessDenied", 403, words), "team"))
    assert "user/me is not authorized to perform: sts:AssumeRole" in denied
    assert "\x1b" not in denied
    assert len(denied) < 500
    assert "made up" not in str(explained(answer("SignatureDoesNotMatch", 403, "made up"), "team"))


def test_empty_error_response_is_a_refusal() -> None:
    error = explained(exceptions.ClientError({}, "AssumeRole"), "team")
    assert isinstance(error, ProviderRefused)
    assert error.code == "bedrock-aws-refused"


@pytest.mark.parametrize(
    ("raised", "kind", "code", "fact"),
    [
        (exceptions.UnauthorizedSSOTokenError(), LoginRequired, SIGN_IN, "aws sso login --profile team"),
        (exceptions.SSOTokenLoadError(error_msg="x"), LoginRequired, SIGN_IN, "aws sso login --profile team"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), LoginRequired, SIGN_IN, "aws sso login"),
        (exceptions.LoginRefreshRequired(), LoginRequired, SIGN_IN, "aws login --profile team"),
        (exceptions.LoginTokenLoadError(error_msg="x"), LoginRequired, SIGN_IN, "aws login --profile team"),
        (
            RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
            LoginRequired,
            "bedrock-aws-credentials-expired",
            "'team'",
        ),
        (
            exceptions.ConnectTimeoutError(endpoint_url="https://sts.x/?secret"),
            TransientError,
            "connection-failed",
            "https://sts.x/",
        ),
        (
            exceptions.ReadTimeoutError(endpoint_url="https://sts.x/"),
            TransientError,
            "connection-failed",
            "https://sts.x/",
        ),
        (
            exceptions.ProxyConnectionError(proxy_url="http://me:pw@proxy:1"),
            TransientError,
            "connection-failed",
            "http://proxy:1",
        ),
        (exceptions.MetadataRetrievalError(error_msg="x"), TransientError, "bedrock-aws-unavailable", "'team'"),
        (
            exceptions.CredentialRetrievalError(provider="assume-role", error_msg="x"),
            TransientError,
            "bedrock-aws-unavailable",
            "assume-role",
        ),
        (
            exceptions.CredentialRetrievalError(provider="custom-process", error_msg="x"),
            ProtocolError,
            "invalid-command-output",
            "credential_process",
        ),
        (exceptions.ProfileNotFound(profile="x"), ConfigurationError, "bedrock-unknown-aws-profile", "'x'"),
        (exceptions.ConfigParseError(path="/aws/config"), ConfigurationError, INVALID, "/aws/config"),
        (exceptions.UnknownCredentialError(name="x"), ConfigurationError, INVALID, "'team'"),
        (FileNotFoundError(2, "No such file"), ConfigurationError, INVALID, "No such file"),
        (KeyError("whatever"), ConfigurationError, INVALID, "KeyError"),
        (RuntimeError("whatever"), ConfigurationError, INVALID, "RuntimeError"),
    ],
)
def test_error_of_botocore(raised: Exception, kind: type[FreshkeyError], code: str, fact: str) -> None:
    error = explained(raised, "team")
    assert type(error) is kind
    assert error.code == code
    assert fact in str(error)
    assert "secret" not in str(error)
    assert "pw" not in str(error)


def test_hint_omits_the_default_profile() -> None:
    assert str(explained(exceptions.UnauthorizedSSOTokenError(), "default")).endswith("Run: aws sso login")


def test_command_in_a_hint_is_quoted_for_the_shell() -> None:
    for error in (exceptions.SSOError(), exceptions.UnauthorizedSSOTokenError()):
        assert explained(error, "my team; reboot").hint == "Run: aws sso login --profile 'my team; reboot'"


def test_circular_roles_name_source_profile() -> None:
    loop = exceptions.InfiniteLoopConfigError(source_profile="team", visited_profiles=["team"])
    error = explained(loop, "team")
    assert error.code == INVALID
    assert "source_profile" in str(error.hint)


def test_unknown_error_names_an_aws_command_to_run() -> None:
    for error in (exceptions.InvalidDefaultsMode(mode="x", valid_modes=[]), ValueError("made up")):
        shown = str(explained(error, "team"))
        assert "'team'" in shown
        assert shown.endswith("Run: aws sts get-caller-identity --profile team")
