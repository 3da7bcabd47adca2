"""Translates errors of AWS services to freshkey's: who refused, what is wrong, and what to do next.

One table, `_ANSWERS`, from AWS's documents: the API references of STS ("Common errors" and each action), of the IAM
Identity Center portal and OIDC services, and of the AWS sign-in service; the retryable codes are those of botocore.
What botocore itself raises is in `freshkey_bedrock.botocore_errors`.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.plugin import retry_after
from freshkey_bedrock.aws_keys import RENEW
from freshkey_bedrock.clock_skew import agrees, blames_the_clock, seconds_behind, told


if TYPE_CHECKING:
    from botocore.exceptions import ClientError


SERVER_ERROR: Final = 500
_MAX_WORDS: Final = 300
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")


DEFAULT_LOGIN: Final = "aws sso login"
"""The command of the AWS CLI that signs most users in."""


@frozen(kw_only=True)
class Answer:
    """What an error code of AWS means.

    Attributes:
        kind: The class of error, which says what to do next.
        code: freshkey's code.
        why: What is wrong.
        hint: The next step; ``{login}`` is the command that signs in again.
        found_here: Whether it is mended on this machine, without a trace; see `FreshkeyError.found_here`.
    """

    kind: type[FreshkeyError]
    code: str
    why: str
    hint: str
    found_here: bool = False


_KEYS_EXPIRED: Final = Answer(
    kind=LoginRequired,
    code="bedrock-aws-credentials-expired",
    why="the credentials used for the request have expired",
    hint="Sign in again with the AWS CLI, for example: {login}",
    found_here=True,
)
_SESSION_ENDED: Final = Answer(
    kind=LoginRequired,
    code="bedrock-aws-sign-in-required",
    why="the session of the AWS CLI has ended",
    hint="Run: {login}",
)
_UNKNOWN_KEY: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the access key or its session token is not recognized",
    hint="Check that the key still exists and is active, that its session token belongs to it, and that it is of this "
    "AWS partition",
)
_WRONG_SECRET: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the secret key does not match the access key",
    hint="Copy both again from where they were issued",
)
_DENIED: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="access is denied",
    hint="Check the role, its trust policy, and the permissions of the credentials that assume it",
)
_NO_ROLE: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-sso-role-refused",
    why="you do not have this role",
    hint="Check sso_account_id and sso_role_name; the access portal lists your accounts and roles",
)
_NOT_ACTIVATED: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the region or service is not activated for this account",
    hint="Have an administrator activate the region (for STS: in the IAM console), or set region to an active one",
)
_POLICY: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the session policy or the session tags are malformed or too large",
    hint="Correct or shorten them in the AWS profile or in the tool that passes them",
)
_REQUEST: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the request is not accepted",
    hint="Check role_arn, role_session_name, duration_seconds and external_id in the AWS profile",
)
_IDENTITY_TOKEN: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the identity token is not accepted",
    hint="Have its issuer write a new token to the file, and check that the account trusts that issuer and audience",
)
_IDENTITY_TOKEN_EXPIRED: Final = Answer(
    kind=LoginRequired,
    code="bedrock-aws-credentials-expired",
    why="the identity token has expired",
    hint="Have its issuer write a new token to the file that AWS_WEB_IDENTITY_TOKEN_FILE or the AWS profile names",
    found_here=True,
)
_ISSUER_REFUSED: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the identity provider, not AWS, rejected the identity token",
    hint="Get a new token from the identity provider, and check the claims that it expects",
)
_ISSUER_UNREACHABLE: Final = Answer(
    kind=TransientError,
    code="bedrock-aws-unavailable",
    why="AWS could not reach the identity provider that issued the token",
    hint="Try again later; if it persists, check that the identity provider is reachable from AWS",
)
_BUSY: Final = Answer(
    kind=TransientError,
    code="bedrock-aws-unavailable",
    why="it is unavailable, or limits the rate of requests",
    hint="Try again later",
)
_WRONG_SSO_REGION: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the session belongs to another region",
    hint="Correct sso_region in the AWS profile",
)
_CLIENT_PERMISSION: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="your AWS identity may not use 'aws login'",
    hint="Have an administrator attach the policy SignInLocalDevelopmentAccess to it",
)

_ANSWERS: Final[dict[str, Answer]] = {
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), _KEYS_EXPIRED),
    **dict.fromkeys(("InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClient", "InvalidToken"), _UNKNOWN_KEY),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSignature", "AuthFailure", "IncompleteSignature"), _WRONG_SECRET),
    **dict.fromkeys(("AccessDenied", "Forbidden", "NotAuthorized", "UnauthorizedOperation"), _DENIED),
    **dict.fromkeys(("RegionDisabled", "OptInRequired", "InvalidRegion"), _NOT_ACTIVATED),
    **dict.fromkeys(("PackedPolicyTooLarge", "MalformedPolicyDocument", "MalformedPolicy"), _POLICY),
    **dict.fromkeys(("ValidationError", "Validation", "InvalidParameterValue", "InvalidRequest"), _REQUEST),
    "InvalidIdentityToken": _IDENTITY_TOKEN,
    "IDPRejectedClaim": _ISSUER_REFUSED,
    "IDPCommunicationError": _ISSUER_UNREACHABLE,
    "InvalidRequestRegion": _WRONG_SSO_REGION,
    **dict.fromkeys(
        ("Unauthorized", "InvalidGrant", "InvalidClient", "UnauthorizedClient", "TOKEN_EXPIRED"), _SESSION_ENDED
    ),
    **dict.fromkeys(("USER_CREDENTIALS_CHANGED", "AUTHCODE_EXPIRED"), _SESSION_ENDED),
    "INSUFFICIENT_PERMISSIONS": _CLIENT_PERMISSION,
    **dict.fromkeys(
        (
            *("Throttling", "Throttled", "RequestThrottled", "EC2Throttled", "TooManyRequests", "RequestLimitExceeded"),
            *("BandwidthLimitExceeded", "LimitExceeded", "SlowDown", "PriorRequestNotComplete", "ServiceQuotaExceeded"),
            *("ServiceUnavailable", "InternalFailure", "InternalServer", "InternalError", "RequestTimeout", "Internal"),
        ),
        _BUSY,
    ),
}
"""Keyed by AWS's code without ``Exception`` or ``Error``; the services add either to the same codes."""

_FOR_OPERATION: Final[dict[tuple[str, str], Answer]] = {
    ("AssumeRoleWithWebIdentity", "ExpiredToken"): _IDENTITY_TOKEN_EXPIRED,
    ("CreateToken", "ExpiredToken"): _SESSION_ENDED,
    ("CreateToken", "AccessDenied"): _SESSION_ENDED,
    ("CreateOAuth2Token", "AccessDenied"): _SESSION_ENDED,
    ("GetRoleCredentials", "Forbidden"): _NO_ROLE,
    ("GetRoleCredentials", "AccessDenied"): _NO_ROLE,
    ("GetRoleCredentials", "ResourceNotFound"): _NO_ROLE,
    ("GetRoleCredentials", "InvalidRequest"): _NO_ROLE,
    ("GetRoleCredentials", "401"): _SESSION_ENDED,
}
"""Meanings that differ for one operation."""

_PARTIES: Final = {
    "GetRoleCredentials": "the IAM Identity Center access portal",
    "CreateToken": "IAM Identity Center",
    "CreateOAuth2Token": "the AWS sign-in service",
}
_STS: Final = "AWS STS"

_OTHER: Final = Answer(
    kind=ProviderRefused,
    code="bedrock-aws-refused",
    why="the request is refused",
    hint="Check the role, its trust policy, and the credentials that assume it",
)


_NOT_AWS: Final = Answer(
    kind=TransientError,
    code="answered-in-between",
    why="this is not an answer of AWS; something in between answered",
    hint="Check the network, the proxy, and any login page of the network",
)


def explained(error: Exception, aws_profile: str, *, now: float | None = None) -> FreshkeyError:
    """Return the freshkey error for what botocore raised while it looked for credentials.

    Args:
        error: The exception.
        aws_profile: Name of the AWS profile that was used.
        now: Seconds since 1970-01-01T00:00:00Z when it was raised; now if None.
    """
    from botocore.exceptions import ClientError

    from freshkey_bedrock.botocore_errors import own_error, sign_in_command

    # botocore drops why the service of ``aws login`` refused.
    answer = error.__cause__ if isinstance(error.__cause__, ClientError) else error
    if isinstance(answer, ClientError):
        return client_error(answer, login=sign_in_command(aws_profile), now=now)
    return own_error(error, aws_profile)


def client_error(error: ClientError, *, login: str | None = DEFAULT_LOGIN, now: float | None = None) -> FreshkeyError:
    """Return the freshkey error for an AWS service that refused.

    Args:
        error: What botocore raised.
        login: The command that signs in again; None if the credentials come from no session of the AWS CLI.
        now: Seconds since 1970-01-01T00:00:00Z when it was raised; now if None.
    """
    now = time.time() if now is None else now
    answer = meaning_of(error, now)
    hint = RENEW if answer is _KEYS_EXPIRED and login is None else answer.hint.format(login=login or DEFAULT_LOGIN)
    message = f"{party_of(error)} responded to {error.operation_name} with {code_of(error)}: {answer.why}"
    if answer.kind is TransientError:
        wait = retry_after(_headers(error), now)
        local = answer is _NOT_AWS
        return TransientError(message, hint=hint, retry_after=wait, local=local, code=answer.code)
    refusal = answer.kind(message + words_of(error), hint=hint, code=answer.code)
    refusal.found_here = answer.found_here
    return refusal


def meaning_of(error: ClientError, now: float) -> Answer:
    """Return what an answer of AWS means.

    Args:
        error: What botocore raised.
        now: Seconds since 1970-01-01T00:00:00Z when it was raised.
    """
    code, message = code_of(error), _message(error)
    behind = seconds_behind(message, _headers(error), now)
    if blames_the_clock(code, message, behind):
        hint = "Set this machine's clock, then try again"
        if behind is not None and agrees(behind):
            hint = "Try again: the clock has just been set, or something held the request back on its way"
        return Answer(kind=ProviderRefused, code="bedrock-clock-skew", why=told(behind), hint=hint, found_here=True)
    plain, status = _plain(code), status_of(error)
    known = _FOR_OPERATION.get((str(error.operation_name), plain)) or _ANSWERS.get(plain)
    if known is not None:
        return known
    if plain.startswith("Expired"):
        return _KEYS_EXPIRED
    if status >= SERVER_ERROR or status in {408, 429} or "throttl" in code.lower():
        return _BUSY
    # If the answer has no code, botocore uses the status, or nothing.
    has_code = bool(error.response.get("Error", {}).get("Code")) and not code.isdigit()
    return _OTHER if has_code or not status else _NOT_AWS


def party_of(error: ClientError) -> str:
    """Return who refused."""
    return _PARTIES.get(str(error.operation_name), _STS)


def code_of(error: ClientError) -> str:
    """Return AWS's code for the error, safe to print."""
    code = _printable(error.response.get("Error", {}).get("Code") or "an error")
    reason = str(error.response.get("error", ""))
    # The sign-in service puts the reason into a member of its own.
    return reason if reason in _ANSWERS else code


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the response, 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def words_of(error: ClientError) -> str:
    """Return AWS's message if access was denied (it names principal and action); others may quote the request."""
    if _plain(code_of(error)) not in {"AccessDenied", "Forbidden"}:
        return ""
    words = _printable(_message(error))
    return f": {words}" if words else ""


def _plain(code: str) -> str:
    """Return a code without the suffix that only some services add."""
    return code if code in _ANSWERS else re.sub("(Exception|Error)$", "", code)


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message") or "")


def _headers(error: ClientError) -> dict[str, str]:
    headers: Any = error.response.get("ResponseMetadata", {}).get("HTTPHeaders") or {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _printable(text: object) -> str:
    return _UNPRINTABLE.sub(" ", str(text))[:_MAX_WORDS]
