"""Translation of errors of AWS services and botocore."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

import pytest
from botocore import exceptions

from aws_home import AwsHome
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
QUOTE = '"' if sys.platform == "win32" else "'"


def answer(
    code: str,
    status: int,
    message: str = "because",
    *,
    operation: str = "AssumeRole",
    headers: Mapping[str, str] | None = None,
    reason: str = "",
) -> exceptions.ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": dict(headers or {})}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata, "error": reason}
    return exceptions.ClientError(response, operation)


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
        ("PackedPolicyTooLarge", 400, ProviderRefused, "bedrock-aws-refused"),
        ("RegionDisabledException", 403, ProviderRefused, "bedrock-aws-refused"),
        ("UnrecognizedClientException", 403, ProviderRefused, "bedrock-aws-refused"),
        ("InvalidIdentityToken", 400, ProviderRefused, "bedrock-aws-refused"),
        ("IDPRejectedClaim", 403, ProviderRefused, "bedrock-aws-refused"),
        ("IDPCommunicationError", 400, TransientError, "bedrock-aws-unavailable"),
        ("ThrottlingException", 400, TransientError, "bedrock-aws-unavailable"),
        ("ProvisionedThrottleThrottled", 400, TransientError, "bedrock-aws-unavailable"),
        ("SlowDownException", 400, TransientError, "bedrock-aws-unavailable"),
        ("ExpiredTradeInTokenException", 400, LoginRequired, "bedrock-aws-credentials-expired"),
        ("RequestExpired", 400, ProviderRefused, "bedrock-clock-skew"),
        ("RequestTimeTooSkewed", 403, ProviderRefused, "bedrock-clock-skew"),
        ("RequestInTheFuture", 403, ProviderRefused, "bedrock-clock-skew"),
    ],
)
def test_error_of_an_aws_service(aws_code: str, status: int, kind: type[FreshkeyError], code: str) -> None:
    error = explained(answer(aws_code, status), "team")
    assert type(error) is kind
    assert error.code == code
    assert aws_code in error.message
    assert "AssumeRole" in error.message


@pytest.mark.parametrize(
    ("operation", "aws_code", "party", "kind", "code"),
    [
        ("GetRoleCredentials", "ForbiddenException", "access portal", ProviderRefused, "bedrock-sso-role-refused"),
        ("GetRoleCredentials", "ResourceNotFoundException", "portal", ProviderRefused, "bedrock-sso-role-refused"),
        ("GetRoleCredentials", "UnauthorizedException", "access portal", LoginRequired, SIGN_IN),
        ("CreateToken", "InvalidGrantException", "IAM Identity Center", LoginRequired, SIGN_IN),
        ("CreateToken", "ExpiredTokenException", "IAM Identity Center", LoginRequired, SIGN_IN),
        ("AssumeRoleWithWebIdentity", "ExpiredTokenException", "STS", LoginRequired, "bedrock-aws-credentials-expired"),
        ("AssumeRoleWithWebIdentity", "AccessDenied", "STS", ProviderRefused, "bedrock-aws-refused"),
        ("GetCallerIdentity", "InvalidClientTokenId", "AWS STS", ProviderRefused, "bedrock-aws-refused"),
    ],
)
def test_party_that_refused_is_named(
    operation: str, aws_code: str, party: str, *, kind: type[FreshkeyError], code: str
) -> None:
    error = explained(answer(aws_code, 400, operation=operation), "team")
    assert type(error) is kind
    assert error.code == code
    assert party in error.message
    assert error.hint


@pytest.mark.parametrize("reason", ["TOKEN_EXPIRED", "USER_CREDENTIALS_CHANGED", "AUTHCODE_EXPIRED"])
def test_ended_session_of_aws_login(reason: str) -> None:
    raised = exceptions.LoginError()
    raised.__cause__ = answer("AccessDeniedException", 400, operation="CreateOAuth2Token", reason=reason)
    error = explained(raised, "team")
    assert error.code == SIGN_IN
    assert reason in error.message
    assert "sign-in service" in error.message


def test_missing_permission_for_aws_login_is_a_refusal() -> None:
    raised = exceptions.LoginError()
    refusal = answer("AccessDeniedException", 400, operation="CreateOAuth2Token", reason="INSUFFICIENT_PERMISSIONS")
    raised.__cause__ = refusal
    error = explained(raised, "team")
    assert isinstance(error, ProviderRefused)
    assert "SignInLocalDevelopmentAccess" in str(error.hint)


EXPIRED = "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)"
LATE = "Request has expired. Timestamp date is 2026-01-01T00:00:00Z. Current date is 2026-01-01T00:30:00.123Z."
EARLY = "Signature not yet current: 20260101T020000Z is still later than 20260101T000500Z (20260101T000000Z + 5 min.)"


@pytest.mark.parametrize("aws_code", ["SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"])
@pytest.mark.parametrize(
    ("message", "fact"), [(EXPIRED, "20 min behind"), (EARLY, "120 min ahead of"), (LATE, "30 min behind")]
)
def test_clock_is_read_from_the_message(aws_code: str, message: str, fact: str) -> None:
    error = explained(answer(aws_code, 403, message), "team")
    assert error.code == "bedrock-clock-skew"
    assert f"this machine's clock is {fact} AWS's" in error.message
    assert "Set this machine's clock" in str(error.hint)


@pytest.mark.parametrize(
    ("seconds", "fact"), [(400, "400 s behind"), (-7200, "120 min ahead of"), (86_400, "24.0 h behind")]
)
@pytest.mark.parametrize(
    "aws_code",
    ["SignatureDoesNotMatch", "IncompleteSignature", "RequestTimeTooSkewed", "requestTimeTooSkewed"],
)
def test_clock_is_read_from_the_date_of_the_answer(aws_code: str, seconds: int, fact: str) -> None:
    now = 1_767_225_600.0
    headers = {"Date": formatdate(now + seconds, usegmt=True)}
    error = explained(answer(aws_code, 403, headers=headers), "team", now=now)
    assert error.code == "bedrock-clock-skew"
    assert fact in error.message


def test_refusal_for_a_clock_that_is_right_again_does_not_ask_to_set_it() -> None:
    now = 1_767_225_600.0
    error = explained(
        answer("RequestExpired", 400, headers={"date": formatdate(now + 3, usegmt=True)}), "team", now=now
    )
    assert error.code == "bedrock-clock-skew"
    assert "now agrees with AWS's" in error.message
    assert str(error.hint).startswith("Try again")


def test_wrong_secret_is_not_blamed_on_a_right_clock() -> None:
    now = 1_767_225_600.0
    headers = {"date": formatdate(now + 3, usegmt=True)}
    error = explained(answer("SignatureDoesNotMatch", 403, headers=headers), "team", now=now)
    assert error.code == "bedrock-aws-refused"
    assert "secret key" in error.message


def test_expired_keys_are_renewed_with_the_tool_that_issued_them(aws_home: AwsHome) -> None:
    role = "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
    aws_home.config(f"[profile team]\n{role}")
    aws_home.credentials("[base]\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = t\n")
    hint = str(explained(answer("ExpiredToken", 403), "team").hint)
    assert "the tool that issued them" in hint
    assert "sso" not in hint
    aws_home.config(f"[profile team]\n{role}[profile base]\nsso_session = corp\n")
    assert "aws sso login --profile base" in str(explained(answer("ExpiredToken", 403), "team").hint)


@pytest.mark.parametrize(
    "aws_code", ["RequestExpired", "RequestTimeTooSkewed", "ExpiredToken", "ExpiredTokenException"]
)
@pytest.mark.parametrize("operation", ["AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"])
def test_what_is_mended_on_this_machine_is_looked_at_again_soon(aws_code: str, operation: str) -> None:
    assert explained(answer(aws_code, 403, operation=operation), "team").found_here


@pytest.mark.parametrize("aws_code", ["AccessDenied", "SignatureDoesNotMatch", "InvalidClientTokenId", "Throttling"])
def test_what_is_mended_at_aws_is_not_asked_for_again_at_once(aws_code: str) -> None:
    assert not explained(answer(aws_code, 403), "team").found_here


def test_new_keys_that_have_expired_are_looked_up_again_soon() -> None:
    assert explained(RuntimeError("the refreshed credentials are still expired."), "team").found_here
    assert not explained(RuntimeError("whatever"), "team").found_here


def test_wait_that_aws_asks_for_is_passed_on() -> None:
    error = explained(answer("Throttling", 400, headers={"retry-after": "9"}), "team")
    assert isinstance(error, TransientError)
    assert error.retry_after == 9


@pytest.mark.parametrize("status", [302, 403, 404, 407, 511])
def test_answer_without_a_code_comes_from_something_in_between(status: int) -> None:
    error = explained(answer(str(status), status), "team")
    assert isinstance(error, TransientError)
    if status < 500:
        assert error.code == "answered-in-between"


def test_no_connection_is_local_and_a_lost_answer_is_not() -> None:
    refused = explained(exceptions.EndpointConnectionError(endpoint_url="https://sts.x/"), "team")
    lost = explained(exceptions.ReadTimeoutError(endpoint_url="https://sts.x/"), "team")
    assert isinstance(refused, TransientError)
    assert isinstance(lost, TransientError)
    assert (refused.local, lost.local) == (True, False)


def test_file_that_only_botocore_reads_is_explained_too(tmp_path: Path) -> None:
    path = tmp_path / ".boto"
    path.write_text("[Credentials]\n[Credentials]\n")
    error = explained(exceptions.ConfigParseError(path=str(path)), "team")
    assert error.code == INVALID
    assert f"{path}, line 2: section [Credentials] is there twice" in error.message


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
        (exceptions.ConfigParseError(path="/aws/config"), ConfigurationError, INVALID, str(Path("/aws/config"))),
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
        assert explained(error, "my team; reboot").hint == f"Run: aws sso login --profile {QUOTE}my team; reboot{QUOTE}"


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
