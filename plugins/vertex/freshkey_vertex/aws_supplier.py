"""Finds AWS keys for a federation file in all places that AWS's own tools look.

google-auth looks only in two variables and on the EC2 metadata server, so a workload on ECS, Fargate or EKS, or a
developer with a profile, would not be found. botocore's chain finds them all; it is an optional dependency.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from google.auth.aws import (
    AwsSecurityCredentials,
    AwsSecurityCredentialsSupplier,
    _DefaultAwsSecurityCredentialsSupplier,
)

from freshkey.errors import ConfigurationError, FreshkeyError, ProviderRefused
from freshkey.plugin import install_command
from freshkey_vertex import aws_ends
from freshkey_vertex.aws_chain import Lookup, checked
from freshkey_vertex.aws_errors import none_found, unavailable
from freshkey_vertex.aws_machine import metadata_disabled, on_instance
from freshkey_vertex.aws_providers import ended
from freshkey_vertex.botocore_tls import use_own_tls
from freshkey_vertex.credentials_file import LINK_LOCAL_HOSTS
from freshkey_vertex.versions import AWS_FILES


if TYPE_CHECKING:
    from google.auth.external_account import SupplierContext
    from google.auth.transport import Request

_T = TypeVar("_T")

DEADLINE: Final = 20.0
"""Seconds to wait for botocore's chain, which may ask a metadata server, STS or a helper command."""

PLACES: Final = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",  # ECS, Fargate
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",  # EKS Pod Identity, App Runner, IoT Greengrass
    "AWS_WEB_IDENTITY_TOKEN_FILE",  # EKS roles for service accounts
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)
"""Variables that name a place which google-auth does not know (AWS SDKs and Tools Reference Guide, "Standardized
credential providers")."""

_THREAD_NAME: Final = "freshkey aws keys"
_LOGGERS: Final = ("auth", "client", "credentials", "endpoint", "hooks", "httpsession", "parsers", "tokens", "utils")
"""botocore's loggers that may not exist yet when the chain starts."""

_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def needs_botocore(environ: Mapping[str, str]) -> bool:
    """Return whether AWS keys may be in a place that google-auth does not know.

    Raises:
        ConfigurationError: They certainly are, and botocore is not installed; or those in the environment are unusable.
        LoginRequired: Those in the environment have ended, and botocore is not installed.
    """
    installed = find_spec("botocore") is not None
    if all(environ.get(name) for name in _KEYS):
        end = aws_ends.of_environment(environ)
        if end is not None and end.passed:
            if not installed:
                raise ended("in the environment", end)
            return True
        key_id, secret = (environ[name] for name in _KEYS)
        checked((key_id, secret, environ.get("AWS_SESSION_TOKEN")), "the environment")
        return False
    place = next((name for name in PLACES if environ.get(name)), None)
    if place is None:
        return installed and any(_is_file(environ.get(name) or usual) for name, usual in AWS_FILES.items())
    if not installed:
        raise ConfigurationError(
            f"{place} is set, but reading AWS credentials from there needs botocore, which is not installed",
            hint=f"Run: {install_command('freshkey-vertex[aws]')}",
            code="vertex-botocore-missing",
        )
    return True


def ensure_metadata_enabled(source: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Check that google-auth may ask the metadata server of an instance, if it has no keys.

    Raises:
        ProviderRefused: The user has turned that off, as for AWS's own tools.
    """
    near = urlsplit(str(source.get("url") or "")).hostname in LINK_LOCAL_HOSTS
    if near and metadata_disabled(environ) and not all(environ.get(name) for name in _KEYS):
        raise none_found()


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


class BotocoreSupplier(AwsSecurityCredentialsSupplier):
    """Supplies the keys and the region that botocore's default chain finds, each time anew.

    Both methods raise freshkey's errors: `TransientError` if a place does not respond, `LoginRequired` if the user must
    sign in to AWS, and others if there is nothing.

    Args:
        source: The ``credential_source`` of the credentials file.
    """

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source
        self._region: str | None = None

    def get_aws_security_credentials(
        self,
        context: SupplierContext,  # noqa: ARG002  google-auth's signature
        request: Request,  # noqa: ARG002  botocore does its own I/O
    ) -> AwsSecurityCredentials:
        """Return the current keys."""
        return AwsSecurityCredentials(*_within_deadline(Lookup.keys, self._region))

    def get_aws_region(self, context: SupplierContext, request: Request) -> str:
        """Return the region, which determines the STS endpoint that Google asks."""
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _within_deadline(Lookup.region)
        if named or (named := self._region_of_machine(context, request)):
            self._region = named  # google-auth asks for it first
            return named
        raise ProviderRefused(
            "no AWS region is configured, so the identity cannot be confirmed",
            hint="Set AWS_REGION",
            code="vertex-no-identity-token",
        )

    def _region_of_machine(self, context: SupplierContext, request: Request) -> str | None:
        """Return the region that ``region_url`` answers, as google-auth would; a container has no such service."""
        url = self._source.get("region_url")
        if not url or (urlsplit(url).hostname in LINK_LOCAL_HOSTS and not on_instance(os.environ)):
            return None
        region: str = _DefaultAwsSecurityCredentialsSupplier(self._source).get_aws_region(context, request)
        return region


def _within_deadline(question: Callable[[Lookup], _T], region: str | None = None) -> _T:
    """Return what `question` returns; botocore itself sets no time limit for helper commands."""
    outcome: queue.SimpleQueue[_T | FreshkeyError] = queue.SimpleQueue()
    found: _T | FreshkeyError
    _silence_botocore()
    use_own_tls(_THREAD_NAME)
    try:
        threading.Thread(target=lambda: outcome.put(_attempt(question, region)), name=_THREAD_NAME, daemon=True).start()
        found = outcome.get(timeout=DEADLINE)
    except (queue.Empty, RuntimeError):
        found = unavailable()
    if isinstance(found, FreshkeyError):
        raise found
    return found


def _silence_botocore() -> None:
    """Suppress botocore's log messages on that thread: they quote identity tokens, and STS's answers with the keys."""
    known = [name for name in [*logging.root.manager.loggerDict] if name.partition(".")[0] in {"botocore", "urllib3"}]
    for name in {*known, *(f"botocore.{name}" for name in _LOGGERS)}:
        logging.getLogger(name).addFilter(_elsewhere)


def _elsewhere(record: logging.LogRecord) -> bool:  # noqa: ARG001  the signature of a logging filter
    return threading.current_thread().name != _THREAD_NAME


def _attempt(question: Callable[[Lookup], _T], region: str | None) -> _T | FreshkeyError:
    lookup = Lookup(region)
    try:
        return question(lookup)
    except FreshkeyError as error:
        return error.for_another_caller()  # without the frames that hold keys
    except Exception as error:  # noqa: BLE001  botocore raises many things for broken files; their messages quote them
        return lookup.explained(error)
