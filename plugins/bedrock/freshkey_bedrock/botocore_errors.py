"""Translates errors that botocore itself raises: about files, settings, the network, and sessions of the AWS CLI."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
    describe_raise,
    found_here,
)
from freshkey.plugin import NotRegularError, TooLongError, install_command, read_bounded, shown_path
from freshkey_bedrock.authorities import untrusted
from freshkey_bedrock.aws_keys import RENEW
from freshkey_bedrock.cli_caches import cli_command
from freshkey_bedrock.clock_skew import MIN_SKEW, seconds_behind, told
from freshkey_bedrock.ini_file import malformed, parse
from freshkey_bedrock.overlooked import misplaced, missing_files, overlooked
from freshkey_bedrock.paths import flaw_of_opened, url_flaw
from freshkey_bedrock.shared_config import MAX_FILE_SIZE, profile_section, read_files, signed_in_profile, source_chain


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def own_error(error: Exception, aws_profile: str) -> FreshkeyError:
    """Return the freshkey error for an exception that is not an answer of an AWS service.

    Args:
        error: The exception.
        aws_profile: Name of the AWS profile that was used.
    """
    for kind in type(error).__mro__:
        if kind.__name__ in _KNOWN and kind.__module__.startswith("botocore"):
            return _KNOWN[kind.__name__](_facts(error), aws_profile)
    if _seems_expired(error):
        command = sign_in_command(aws_profile)
        message = f"the AWS credentials of profile {aws_profile!r} have expired"
        hint = f"Run: {command}" if command else RENEW
        return found_here(LoginRequired(message, hint=hint, code="bedrock-aws-credentials-expired"))
    if isinstance(error, OSError):
        return _unreadable(error, aws_profile)
    return _unexpected(error, aws_profile)


def clock_ahead(error: Exception | None, sent: str, arrived: float) -> ProviderRefused | None:
    """Return the error for new keys that seem to have expired, if this machine's clock explains it; otherwise None.

    Args:
        error: What botocore raised.
        sent: The header ``Date`` of the last answer.
        arrived: When that answer arrived, in seconds since 1970-01-01T00:00:00Z.
    """
    behind = seconds_behind("", {"date": sent}, arrived) if _seems_expired(error) else None
    if behind is None or behind > -MIN_SKEW:
        return None
    message = f"new AWS credentials seem to have expired, because {told(behind)}"
    hint = "Set this machine's clock, then try again"
    return found_here(ProviderRefused(message, hint=hint, code="bedrock-clock-skew"))


def _seems_expired(error: Exception | None) -> bool:
    """Return whether botocore got new keys that had already expired by this machine's clock."""
    return isinstance(error, RuntimeError) and "still expired" in str(error)


def sign_in_command(aws_profile: str) -> str | None:
    """Return the command of the AWS CLI that signs in for an AWS profile, if a session of the AWS CLI signs for it."""
    session = _session(aws_profile)
    return cli_command(session[1], session[0]) if session else None


def _session(aws_profile: str) -> tuple[str, str] | None:
    try:
        return signed_in_profile(aws_profile, read_files())
    except ConfigurationError:
        return None


def _section(aws_profile: str) -> Mapping[str, str]:
    try:
        return profile_section(aws_profile) or {}
    except ConfigurationError:
        return {}


def _facts(error: Exception) -> Mapping[str, Any]:
    return getattr(error, "kwargs", None) or {}


def _check(aws_profile: str) -> str:
    return f"Check it with the AWS CLI. Run: {cli_command('sts get-caller-identity', aws_profile)}"


def _unreadable(error: OSError, aws_profile: str) -> FreshkeyError:
    written = flaw_of_opened(error.filename, os.environ) if isinstance(error.filename, str) else None
    if written is not None:
        return written
    shown = shown_path(error.filename) if isinstance(error.filename, str) else None
    named = "" if shown is None else f" {shown!r}"
    return ConfigurationError(
        f"cannot read a file{named} that AWS profile {aws_profile!r} uses: {error.strerror}",
        hint="Check the paths in ~/.aws/config and in AWS_WEB_IDENTITY_TOKEN_FILE",
        code="bedrock-invalid-aws-config",
    )


def _unexpected(error: Exception, aws_profile: str) -> FreshkeyError:
    """Return the error for what botocore does not expect either; in a session of the AWS CLI it is damage."""
    modules = set(_modules(error))
    if "botocore.parsers" in modules:
        return garbled()
    # For Windows, botocore splits commands itself.
    if "shlex" in modules or str(error).startswith("No closing quotation"):
        name = source_chain(aws_profile, read_files())[-1]
        message = f"credential_process of AWS profile {name!r} has a quote that is not closed"
        return _invalid(message, "Close it, or put a backslash before it")
    if "botocore.endpoint" in modules and str(error).startswith("Invalid endpoint: "):
        return _wrong_endpoint(str(error).removeprefix("Invalid endpoint: "))
    session = _session(aws_profile)
    if session is not None:
        return _no_session(session, "is damaged")
    return ConfigurationError(
        f"botocore cannot use the configuration of AWS profile {aws_profile!r} ({describe_raise(error)})",
        hint=_check(aws_profile),
        code="bedrock-invalid-aws-config",
    )


def _wrong_endpoint(url: str) -> ConfigurationError:
    variables = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL") and os.environ[name] == url)
    where = variables[0] if variables else "endpoint_url in the AWS config file"
    return _invalid(f"the URL in {where} {url_flaw(url)}", f"Write the whole URL in {where}")


def _invalid(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, hint=hint, code="bedrock-invalid-aws-config")


def _modules(error: Exception) -> Iterator[str]:
    """Yield the modules through which an exception was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield str(frame.f_globals.get("__name__"))


def garbled() -> TransientError:
    """Return the error for a successful answer that no AWS service sends."""
    return TransientError(
        "the response is not an answer of AWS; something in between answered",
        local=True,
        hint="Check the network, the proxy, and any login page of the network",
        code="answered-in-between",
    )


def _no_session(session: tuple[str, str], what: str) -> LoginRequired:
    name, command = session
    kind = "IAM Identity Center" if command == "sso login" else "'aws login'"
    return LoginRequired(
        f"the {kind} session of AWS profile {name!r} {what}",
        hint=f"Run: {cli_command(command, name)}",
        code="bedrock-aws-sign-in-required",
    )


def _not_found(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    name = facts.get("profile", aws_profile)
    return ConfigurationError(
        "; ".join(filter(None, (f"AWS profile {name!r} does not exist", misplaced(str(name)), missing_files()))),
        hint="Run aws configure list-profiles, and correct aws_profile, AWS_PROFILE or source_profile",
        code="bedrock-unknown-aws-profile",
    )


def _malformed(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    """Return the error for a file that only botocore reads, such as ``~/.boto``."""
    path = Path(str(facts.get("path", "?")))
    try:
        parse(read_bounded(path, MAX_FILE_SIZE), path)
    except ConfigurationError as error:
        return error
    except (OSError, NotRegularError, TooLongError):
        pass
    return malformed(path, None, "it cannot be parsed", "Each profile is a [section] with lines of key = value")


def _partial(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    missing = facts.get("cred_var", "secret key")
    return ConfigurationError(
        f"incomplete configuration of AWS profile {aws_profile!r}: {facts.get('provider', 'AWS')} has no {missing}",
        hint=f"Set {missing}",
        code="bedrock-invalid-aws-config",
    )


def _sso(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return _no_session(_session(aws_profile) or (aws_profile, "sso login"), "is missing or has expired")


def _aws_login(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    name, _ = _session(aws_profile) or (aws_profile, "")
    return _no_session((name, "login"), "is missing or has expired")


def _missing(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"AWS profile {aws_profile!r} needs an optional botocore dependency that is not installed"
    return ConfigurationError(
        message, hint=f"Run: {install_command('freshkey-bedrock[login]')}", code="missing-package"
    )


def _region(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return ConfigurationError(
        f"AWS has no region {facts.get('region_name', '')!r}",
        hint="Use a region name such as us-east-1",
        code="bedrock-invalid-region",
    )


def _unreachable(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    return _no_connection(facts, aws_profile, local=True)


def _lost(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    return _no_connection(facts, aws_profile, local=False)


def _no_connection(facts: Mapping[str, Any], aws_profile: str, *, local: bool) -> FreshkeyError:
    where = _without_query(str(facts.get("endpoint_url") or facts.get("proxy_url") or "AWS"))
    if (failure := untrusted(facts.get("error"), where, _section(aws_profile), os.environ)) is not None:
        return failure
    hint = "Check the network, the proxy, and the region"
    return TransientError(f"cannot reach {where}", hint=hint, code="connection-failed", local=local)


def _without_query(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def _garbled(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    return garbled()


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
    message = f"{message}: {said}" if said else message
    if flaw := _flaw_of_source(aws_profile):
        return _invalid(f"{message.removesuffix('.')}; {flaw}", "Correct that")
    return _invalid(message, _check(aws_profile))


def _flaw_of_source(aws_profile: str) -> str:
    """Return what is overlooked in the AWS profile at the end of ``source_profile``, or an empty text."""
    try:
        files = read_files()
    except ConfigurationError:
        return ""
    last = source_chain(aws_profile, files)[-1]
    return misplaced(last) if files.section(last) is None else overlooked(last)


def _parameter(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:
    """Return the error for a value that botocore does not send; its own message may quote the value."""
    found = re.search(r"parameter ([A-Za-z]{1,40})\b", str(facts.get("report", "")))
    what = f"{found[1]} of AWS profile {aws_profile!r}" if found else f"a value of AWS profile {aws_profile!r}"
    file = "; check the file in web_identity_token_file" if found and found[1] == "WebIdentityToken" else ""
    return ConfigurationError(
        f"{what} is empty, too short, too long or malformed{file}",
        hint=_check(aws_profile),
        code="bedrock-invalid-aws-config",
    )


def _loop(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    message = f"the source_profile chain of AWS profile {aws_profile!r} is circular"
    return ConfigurationError(
        message, hint="Correct source_profile in ~/.aws/config", code="bedrock-invalid-aws-config"
    )


def _metadata_endpoint(facts: Mapping[str, Any], aws_profile: str) -> FreshkeyError:  # noqa: ARG001  one signature for all
    variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    where = variable if os.environ.get(variable) else "ec2_metadata_service_endpoint in the AWS config file"
    return _invalid(f"the URL in {where} {url_flaw(str(facts.get('endpoint', '')))}", f"Write the whole URL in {where}")


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
    "InvalidIMDSEndpointError": _metadata_endpoint,
    "ConnectionError": _unreachable,
    "HTTPClientError": _lost,
    "ResponseParserError": _garbled,
    "MetadataRetrievalError": _retrieval,
    "CredentialRetrievalError": _retrieval,
    "InfiniteLoopConfigError": _loop,
    "ParamValidationError": _parameter,
    "BotoCoreError": _other,
}
"""Keyed by name and looked up along the MRO, because older botocore releases lack some of these classes."""
