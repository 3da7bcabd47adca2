"""Translates what botocore raises into freshkey's errors, without its messages: they quote files and answers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    TransientError,
    found_here,
)
from freshkey.oauth import TRANSIENT_STATUSES, shown_code
from freshkey.plugin import path_flaw, shell_quoted
from freshkey_vertex import aws_clock
from freshkey_vertex.aws_authorities import untrusted


if TYPE_CHECKING:
    from botocore.session import Session

_BUSY: Final = re.compile("Throttl|TooManyRequests|SlowDown|LimitExceeded")
_ENDED: Final = re.compile("Expired|TokenRefreshRequired")

_LOST: Final = frozenset({"HTTPClientError", "ConnectionError"})
_UNAVAILABLE: Final = _LOST | {"ResponseParserError", "MetadataRetrievalError", "CredentialRetrievalError"}
_SIGN_IN: Final = frozenset({"SSOError", "TokenRetrievalError", "LoginError"})
"""Names of botocore's errors, looked up along the MRO: older releases lack some of these classes."""

_MAX_SOURCES: Final = 8

_CHECK: Final = "Check the AWS configuration: aws sts get-caller-identity"
_PATHS: Final = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE")


def explained(error: Exception, session: Session, *, dated: tuple[str, float], starting: bool) -> FreshkeyError:
    """Return the error for an exception of botocore.

    Args:
        error: The exception.
        session: The session that raised it.
        dated: The header ``Date`` of the last answer, and when it arrived, by this machine's clock.
        starting: Whether the container's endpoint has probably not started.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    facts: Mapping[str, Any] = getattr(error, "kwargs", None) or {}
    if names & _LOST and (failure := untrusted(facts, session, os.environ)) is not None:
        return failure
    if names & _UNAVAILABLE:
        return unavailable(starting=starting and facts.get("provider") == "container-role")
    if "ClientError" in names:
        return _refused(getattr(error, "response", {}))
    if names & _SIGN_IN:
        return _sign_in_required(*(_signed_in(session) or (session.profile or "default", "sso login")))
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return aws_clock.ahead(*dated) or expired("the AWS keys have expired")
    return _unusable_because(error, names, facts, session)


def _unusable_because(
    error: Exception, names: set[str], facts: Mapping[str, Any], session: Session
) -> ConfigurationError | LoginRequired:
    messages = {
        "ProfileNotFound": f"AWS profile {facts.get('profile')!r} does not exist",
        "PartialCredentialsError": f"AWS keys are incomplete: {facts.get('provider')} has no {facts.get('cred_var')}",
        "ConfigParseError": f"the AWS file {facts.get('path')} cannot be parsed",
        "InvalidConfigError": f"the AWS configuration is incomplete: {facts.get('error_msg')}",
    }
    if known := names & messages.keys():
        return unusable(messages[known.pop()])
    if isinstance(error, OSError):
        return _unopened(error)
    if "BotoCoreError" not in names and (signed_in := _signed_in(session)) is not None:
        return _sign_in_required(*signed_in, "is damaged")  # botocore checks only that the file is there
    return unusable(f"the AWS configuration cannot be used ({type(error).__name__})")


def unusable(message: str, hint: str = _CHECK) -> ConfigurationError:
    """Return the error for a configuration that yields no keys."""
    return found_here(ConfigurationError(message, hint=hint, code="vertex-no-identity-token"))


def none_found() -> ProviderRefused:
    """Return the error if there are no keys."""
    message = "no AWS credentials found to confirm the identity in the credentials file"
    return found_here(ProviderRefused(message, hint=_CHECK, code="vertex-no-identity-token"))


def expired(message: str) -> LoginRequired:
    """Return the error for keys that have ended."""
    hint = "Renew them with the tool that issued them"
    return found_here(LoginRequired(message, hint=hint, code="vertex-aws-keys-expired"))


def unavailable(*, starting: bool = False) -> TransientError:
    """Return the error for a place that does not respond, or not with keys."""
    return TransientError(
        "AWS credentials are not available right now",
        hint="Check that the place responds: aws sts get-caller-identity",
        local=True,
        starting=starting,
        code="vertex-aws-keys-unavailable",
    )


def _sign_in_required(aws_profile: str, command: str, what: str = "is missing or has expired") -> LoginRequired:
    chosen = "" if aws_profile == "default" else f" --profile {shell_quoted(aws_profile)}"
    return LoginRequired(
        f"the 'aws {command}' session of AWS profile {aws_profile!r} {what}",
        hint=f"Run: aws {command}{chosen}",
        code="vertex-aws-sign-in-required",
    )


def _signed_in(session: Session) -> tuple[str, str] | None:
    """Return the AWS profile whose session of the AWS CLI is used, along ``source_profile``, and its command."""
    name = str(session.profile or "default")
    try:
        profiles = session.full_config["profiles"]
        for _ in range(_MAX_SOURCES):
            section = profiles.get(name, {})
            if not (section.get("role_arn") and section.get("source_profile")):
                break
            name = section["source_profile"]
    except Exception:  # noqa: BLE001  the file is malformed, and that is not the error to explain
        return None
    if section.get("sso_session") or section.get("sso_start_url"):
        return name, "sso login"
    return (name, "login") if section.get("login_session") else None


def _unopened(error: OSError) -> ConfigurationError:
    # Only the name of a variable is shown: the configuration may have anything in place of a path.
    opened = error.filename if isinstance(error.filename, str) else ""
    # What opens a file may have written its path with other slashes.
    variable = next((name for name in _PATHS if opened and Path(os.environ.get(name, "")) == Path(opened)), None)
    if flaw := path_flaw(opened):
        where = variable or "web_identity_token_file of the AWS profile"
        return unusable(f"the path in {where} {flaw}", f"Write the whole path in {where}")
    return unusable(f"cannot use a file that {variable or 'the AWS configuration'} names: {error.strerror}")


def _refused(answer: Mapping[str, Any]) -> FreshkeyError:
    """Return the error for an answer of AWS that is not keys."""
    error, facts = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code, status = str(error.get("Code", "")), int(facts.get("HTTPStatusCode", 0))
    headers = {str(name).lower(): str(value) for name, value in (facts.get("HTTPHeaders") or {}).items()}
    if (skewed := aws_clock.refused(code, str(error.get("Message", "")), headers, time.time())) is not None:
        return skewed
    busy = status in TRANSIENT_STATUSES or status >= 500 or _BUSY.search(code)  # noqa: PLR2004  RFC 9110, section 15.6
    if busy or code.isdigit():  # botocore's code for an answer without one: AWS always has one
        return unavailable()
    said = f"{shown_code(code)} (status {status})"
    if _ENDED.search(code):
        return expired(f"the AWS keys or identity token that assume the role have expired: {said}")
    return ProviderRefused(
        f"AWS did not issue keys: {said}",
        hint="Check the role and its trust policy, and the identity token or keys that assume it",
        code="vertex-no-identity-token",
    )
