"""The files that AWS's tools read because a variable names them: they must be the user's own, or trusted.

See docs/decisions.md, "What a variable names inside a project is the project's".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile, checked_url, variable_paths
from freshkey_bedrock.paths import NOT_EXPANDED, expanded, wrong_path
from freshkey_bedrock.shared_config import config_file, credentials_file


_SHARED: Final = {"AWS_CONFIG_FILE": config_file, "AWS_SHARED_CREDENTIALS_FILE": credentials_file}
_OTHERS: Final = {
    "AWS_DATA_PATH": "~/.aws/models",
    "BOTO_CONFIG": "~/.boto",
    "AWS_CREDENTIAL_FILE": "",
    "AWS_LOGIN_CACHE_DIRECTORY": "~/.aws/login/cache",
    "AWS_SSO_CACHE_DIRECTORY": "~/.aws/sso/cache",
}
"""What else botocore and the AWS CLI open, by variable, with its usual place."""

_HOME: Final = "USERPROFILE" if sys.platform == "win32" else "HOME"

MAX_LIST: Final = 16 * 1024
"""Longest value in characters of a variable that names files or servers."""

VARIABLES: Final = (
    *(*_SHARED, *NOT_EXPANDED, *_OTHERS),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_ENDPOINT_URL"),
    *("AWS_ENDPOINT_URL_*", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_STS_REGIONAL_ENDPOINTS"),
    *("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_CSM_ENABLED", "AWS_CSM_HOST", "AWS_CSM_PORT"),
    *("AWS_ROLE_ARN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "BOTOCORE_EXPERIMENTAL__PLUGINS",
)
"""Variables that move a file or an endpoint, choose an identity, or name code that botocore imports."""


def ensure_own(profile: Profile, environ: Mapping[str, str] = os.environ) -> None:
    """Raise unless the files that botocore and the AWS CLI read are the user's own or trusted.

    Raises:
        TrustNeeded: One is in the current project.
        ConfigurationError: A path is not written as one.
    """
    for variable in VARIABLES:
        if len(environ.get(variable, "")) > MAX_LIST:  # botocore would expand it, in a time that grows with its square
            raise wrong_path(variable, f"is longer than {MAX_LIST} characters")
    for variable, path in _named(environ):
        profile.ensure_own(variable if environ.get(variable) else _HOME, path)


def ensure_https(url: str) -> None:
    """Raise unless botocore may send a request for credentials to a URL.

    Raises:
        ConfigurationError: It is not https, and leads to another machine. The message never quotes the URL.
    """
    try:
        checked_url(url.partition("?")[0], allow_insecure_loopback=True)
    except ConfigurationError as error:
        flaw = error.message
    else:
        return
    raise ConfigurationError(
        f"an AWS endpoint was not asked for credentials: {flaw}",
        hint="Use https in AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS and endpoint_url of the AWS config file",
        code="invalid-url",
    )


def _named(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for variable, place in _SHARED.items():
        yield variable, place(environ)
    for variable in NOT_EXPANDED:
        if path := environ.get(variable):
            yield variable, Path(path)
    for variable, usual in _OTHERS.items():
        yield from ((variable, expanded(one)) for one in variable_paths(variable, environ.get(variable, "")))
        if usual and (variable == "AWS_DATA_PATH" or not environ.get(variable)):  # botocore adds to these
            yield variable, expanded(usual)
