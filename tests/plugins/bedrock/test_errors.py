"""What the errors of AWS's services and of botocore become."""

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
