"""Says what botocore's errors mean to whoever waits for credentials: what is wrong, and what to do next."""

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
    """Return the error for something that botocore raised while it looked for credentials.

    Args:
        error: What it raised.
        aws_profile: Name of the profile of AWS's tools that was used.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return client_error(error)
    for kind in type(error).__mro__:
        if kind.__name__ in _KNOWN and kind.__module__.startswith("botocore"):
            return _KNOWN[kind.__name__](_facts(error), aws_profile)
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return LoginRequired(
            f"the AWS credentials of profile {aws_profile!r} have expired", hint=_login("sso login", aws_profile)
        )
    if isinstance(error, OSError):
        what = f"a file that AWS profile {aws_profile!r} names cannot be read: {error.strerror}"
        return ConfigurationError(what)
    return ConfigurationError(
        f"botocore cannot use what AWS's configuration says for profile {aws_profile!r} ({describe_raise(error)})",
        hint=_check(aws_profile),
    )


def client_error(error: ClientError) -> FreshkeyError:
    """Return the error for a service of AWS that refused to hand out credentials."""
    code, words = code_of(error), words_of(error)
    what = f"AWS answers {code} to {error.operation_name}"
    if code in EXPIRED:
        return LoginRequired(
            f"{what}: the credentials that it was asked with have expired", hint="Sign in with AWS's tools"
        )
    if code in BUSY or status_of(error) >= SERVER_ERROR:
        return TransientError(what)
    return ProviderRefused(
        f"{what}{words}", hint="Look at the role, its trust policy and the credentials it is assumed with"
    )


def code_of(error: ClientError) -> str:
    """Return AWS's name for the error, safe to print."""
    return _UNPRINTABLE.sub(" ", str(error.response.get("Error", {}).get("Code", "an error")))[:_MAX_WORDS]


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer, 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def words_of(error: ClientError) -> str:
    """Return what AWS says of a denial, which names who may not do what; other texts may quote the request."""
    if code_of(error) not in DENIED:
        return ""
    words = _UNPRINTABLE.sub(" ", str(error.response.get("Error", {}).get("Message", "")))[:_MAX_WORDS]
    return f": {words}" if words else ""


# --- what botocore raises itself --------------------------------------------------------------------------------------


def _facts(error: Exception) -> Mapping[str, Any]:
    return getattr(error, "kwargs", None) or {}


def _login(command: str, aws_profile: str) -> str:
    return f"Run: aws {command}" + (f" --profile {shlex.quote(aws_profile)}" if aws_profile != "default" else "")


def _check(aws_profile: str) -> str:
    return f"See what AWS's tools say. {_login('sts get-caller-identity', aws_profile)}"


def _not_found(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    name = facts.get("profile", aws_profile)
    return ConfigurationError(
        f"AWS's files have no profile {name!r}",
        hint="Look at aws configure list-profiles, and correct aws_profile or AWS_PROFILE",
    )


def _malformed(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return ConfigurationError(
        f"the file {facts.get('path', '?')} is malformed, so AWS's tools cannot read it", hint="Mend it"
    )


def _partial(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    where = facts.get("provider", "AWS's configuration")
    return ConfigurationError(f"{where} has no {facts.get('cred_var', 'secret key')} for AWS profile {aws_profile!r}")


def _sso(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the sign-in of AWS profile {aws_profile!r} at IAM Identity Center is missing or has expired"
    return LoginRequired(message, hint=_login("sso login", aws_profile))


def _aws_login(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the session of aws login for AWS profile {aws_profile!r} is missing or has expired"
    return LoginRequired(message, hint=_login("login", aws_profile))


def _missing(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"AWS profile {aws_profile!r} needs a part of botocore that is not installed"
    return ConfigurationError(message, hint="Run: python3 -m pip install 'freshkey-bedrock[login]'")


def _region(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return ConfigurationError(f"AWS has no region {facts.get('region_name', '')!r}", hint="Write it as eu-west-1")


def _unreachable(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    where = facts.get("endpoint_url") or facts.get("proxy_url") or "AWS"
    hint = "Look at the network, the proxy and the region"
    return TransientError(f"{_without_query(str(where))} cannot be reached", hint=hint)


def _without_query(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def _retrieval(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    where = facts.get("provider", "where AWS's configuration points")
    if where == "custom-process":
        message = f"the credential_process of AWS profile {aws_profile!r} printed no credentials that AWS's tools take"
        return ProtocolError(message, hint='It prints {"Version": 1, "AccessKeyId": …, "SecretAccessKey": …}')
    return TransientError(f"no credentials came from {where} for AWS profile {aws_profile!r}")


def _other(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    said = facts.get("error_msg", "")
    message = f"AWS profile {aws_profile!r} cannot be used"
    return ConfigurationError(f"{message}: {said}" if said else message, hint=_check(aws_profile))


def _loop(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the role of AWS profile {aws_profile!r} is assumed with a profile that leads back to it"
    return ConfigurationError(message, hint="Correct source_profile")


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
"""By name, looked up from the class of an error upwards: older releases of botocore lack some."""
