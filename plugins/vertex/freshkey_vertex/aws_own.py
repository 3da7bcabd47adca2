"""What AWS's tools read because a variable names it must be the user's own, or trusted; and they must ask over https.

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


_PATHS: Final = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "",
    "AWS_CA_BUNDLE": "",
    "AWS_DATA_PATH": "~/.aws/models",
    "BOTO_CONFIG": "~/.boto",
    "AWS_CREDENTIAL_FILE": "",
    "AWS_LOGIN_CACHE_DIRECTORY": "~/.aws/login/cache",
}
"""What botocore opens, by variable, with its usual place."""

_MAX_VALUE: Final = 16 * 1024

_HOME: Final = "USERPROFILE" if sys.platform == "win32" else "HOME"

VARIABLES: Final = (
    *_PATHS,
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_ENDPOINT_URL"),
    *("AWS_ENDPOINT_URL_*", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_STS_REGIONAL_ENDPOINTS"),
    *("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_CSM_ENABLED", "AWS_CSM_HOST", "AWS_CSM_PORT"),
    *("AWS_ROLE_ARN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "BOTOCORE_EXPERIMENTAL__PLUGINS",
)
"""Variables that move a file or an endpoint of AWS, choose an identity, or name code that botocore imports."""


def ensure_own(profile: Profile, environ: Mapping[str, str] = os.environ) -> None:
    """Raise unless the files that botocore reads are the user's own or trusted.

    Raises:
        TrustNeeded: One is in the current project.
        ConfigurationError: A variable is too long, or another user can change one.
    """
    for variable in VARIABLES:
        if len(environ.get(variable, "")) > _MAX_VALUE:  # botocore would take a time that grows with its square
            message = f"the value of {variable} is longer than {_MAX_VALUE} characters"
            raise ConfigurationError(message, hint=f"Correct {variable}", code="vertex-no-identity-token")
    for variable, path in _named(environ):
        profile.ensure_own(variable if environ.get(variable) else _HOME, path)


def ensure_https(url: str) -> None:
    """Raise unless botocore may send a request for keys to a URL.

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
        f"an AWS endpoint was not asked for keys: {flaw}",
        hint="Use https in AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS and endpoint_url of the AWS config file",
        code="invalid-url",
    )


def _named(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for variable, usual in _PATHS.items():
        named = variable_paths(variable, environ.get(variable, ""))
        # botocore expands some of them, and opens others as they are written: a folder can be called "~".
        yield from ((variable, Path(one)) for one in named)
        for one in named or [usual]:
            expanded = os.path.expanduser(os.path.expandvars(one))  # noqa: PTH111  like botocore
            if expanded and expanded not in named:
                yield variable, Path(expanded)
