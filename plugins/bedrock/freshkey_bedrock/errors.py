"""Translates botocore's errors to freshkey's: what is wrong, and what to do next."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
    describe_raise,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.exceptions import ClientError

EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
BUSY: Final = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServiceUnavailable"}
)
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "ForbiddenException"})

SERVER_ERROR: Final = 500
_MAX_WORDS: Final = 300
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")


def explained(error: Exception, aws_profile: str) -> FreshkeyError:
    """Return the freshkey error for what botocore raised while it looked for credentials.

    Args:
        error: The exception.
        aws_profile: Name of the AWS profile that was used.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return client_error(error)
    for kind in type(error).__mro__:
        if kind.__name__ in _KNOWN and kind.__module__.startswith("botocore"):
            return _KNOWN[kind.__name__](_facts(error), aws_profile)
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return LoginRequired(
            f"the AWS credentials of profile {aws_profile!r} have expired",
            hint=_login("sso login", aws_profile),
            code="bedrock-aws-credentials-expired",
        )
    if isinstance(error, OSError):
        return ConfigurationError(
            f"cannot read a file that AWS profile {aws_profile!r} uses: {error.strerror}",
            hint="Check the paths in ~/.aws/config and in AWS_WEB_IDENTITY_TOKEN_FILE",
            code="bedrock-invalid-aws-config",
        )
    return ConfigurationError(
        f"botocore cannot use the configuration of AWS profile {aws_profile!r} ({describe_raise(error)})",
        hint=_check(aws_profile),
        code="bedrock-invalid-aws-config",
    )


def client_error(error: ClientError) -> FreshkeyError:
    """Return the freshkey error for an AWS service that refused to issue credentials."""
    code, words = code_of(error), words_of(error)
    what = f"AWS responded to {error.operation_name} with {code}"
    if code in EXPIRED:
        return LoginRequired(
            f"{what}: the credentials used for the request have expired",
            hint="Sign in again with the AWS CLI, for example: aws sso login",
            code="bedrock-aws-credentials-expired",
        )
    if code in BUSY or status_of(error) >= SERVER_ERROR:
        return TransientError(what, code="bedrock-aws-unavailable")
    return ProviderRefused(
        f"{what}{words}",
        hint="Check the role, its trust policy, and the credentials that assume it",
        code="bedrock-aws-refused",
    )


def code_of(error: ClientError) -> str:
    """Return AWS's code for the error, safe to print."""
    return _UNPRINTABLE.sub(" ", str(error.response.get("Error", {}).get("Code", "an error")))[:_MAX_WORDS]


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the response, 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def words_of(error: ClientError) -> str:
    """Return AWS's message if access was denied (it names principal and action); others may quote the request."""
    if code_of(error) not in DENIED:
        return ""
    words = _UNPRINTABLE.sub(" ", str(error.response.get("Error", {}).get("Message", "")))[:_MAX_WORDS]
    return f": {words}" if words else ""


# --- errors that botocore itself raises -------------------------------------------------------------------------------


def _facts(error: Exception) -> Mapping[str, Any]:
    return getattr(error, "kwargs", None) or {}


def _login(command: str, aws_profile: str) -> str:
    return f"Run: aws {command}" + (f" --profile {shlex.quote(aws_profile)}" if aws_profile != "default" else "")


def _check(aws_profile: str) -> str:
    return f"Check it with the AWS CLI. {_login('sts get-caller-identity', aws_profile)}"


def _not_found(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    name = facts.get("profile", aws_profile)
    return ConfigurationError(
        f"AWS profile {name!r} does not exist",
        hint="Run aws configure list-profiles, and correct aws_profile, AWS_PROFILE or source_profile",
        code="bedrock-unknown-aws-profile",
    )


def _malformed(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return ConfigurationError(
        f"cannot parse the AWS file {facts.get('path', '?')}",
        hint="Fix it; each profile is a [section] with lines of key = value",
        code="bedrock-invalid-aws-config",
    )


def _partial(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    missing = facts.get("cred_var", "secret key")
    return ConfigurationError(
        f"incomplete configuration of AWS profile {aws_profile!r}: {facts.get('provider', 'AWS')} has no {missing}",
        hint=f"Set {missing}",
        code="bedrock-invalid-aws-config",
    )


def _sso(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the IAM Identity Center session of AWS profile {aws_profile!r} is missing or has expired"
    return LoginRequired(message, hint=_login("sso login", aws_profile), code="bedrock-aws-sign-in-required")


def _aws_login(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the 'aws login' session of AWS profile {aws_profile!r} is missing or has expired"
    return LoginRequired(message, hint=_login("login", aws_profile), code="bedrock-aws-sign-in-required")


def _missing(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"AWS profile {aws_profile!r} needs an optional botocore dependency that is not installed"
    return ConfigurationError(
        message, hint="Run: python3 -m pip install 'freshkey-bedrock[login]'", code="missing-package"
    )


def _region(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return ConfigurationError(
        f"AWS has no region {facts.get('region_name', '')!r}",
        hint="Use a region name such as us-east-1",
        code="bedrock-invalid-region",
    )


def _unreachable(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    where = facts.get("endpoint_url") or facts.get("proxy_url") or "AWS"
    hint = "Check the network, the proxy, and the region"
    return TransientError(f"cannot reach {_without_query(str(where))}", hint=hint, code="connection-failed")


def _without_query(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def _retrieval(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    where = facts.get("provider", "the configured provider")
    if where == "custom-process":
        message = f"the credential_process of AWS profile {aws_profile!r} did not print valid credentials"
        return ProtocolError(
            message,
            hint='Make it print {"Version": 1, "AccessKeyId": …, "SecretAccessKey": …}',
            code="invalid-command-output",
        )
    return TransientError(
        f"{where} returned no credentials for AWS profile {aws_profile!r}", code="bedrock-aws-unavailable"
    )


def _other(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    said = facts.get("error_msg", "")
    message = f"AWS profile {aws_profile!r} cannot be used"
    return ConfigurationError(
        f"{message}: {said}" if said else message, hint=_check(aws_profile), code="bedrock-invalid-aws-config"
    )


def _loop(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the source_profile chain of AWS profile {aws_profile!r} is circular"
    return ConfigurationError(
        message, hint="Correct source_profile in ~/.aws/config", code="bedrock-invalid-aws-config"
    )


_KNOWN: Final[dict[str, Callable[[Mapping[str, Any], str], FreshkeyError]]] = {
    "ProfileNotFound": _not_found,
    "ConfigParseError": _malformed,
    "PartialCredentialsError": _partial,
    "SSOError": _sso,
    "TokenRetrievalError": _sso,
    "LoginError": _aws_login,
    "MissingDependencyException": _missing,
    "UnknownRegionError": _region,
    "InvalidRegionError": _region,
    "ConnectionError": _unreachable,
    "HTTPClientError": _unreachable,
    "MetadataRetrievalError": _retrieval,
    "CredentialRetrievalError": _retrieval,
    "InfiniteLoopConfigError": _loop,
    "BotoCoreError": _other,
}
"""Keyed by name and looked up along the MRO, because older botocore releases lack some of these classes."""
