"""What AWS's tools read because a variable names it must be the user's own, or trusted; and they must ask over https.

See docs/decisions.md, "What a variable names inside a project is the project's".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile, checked_url


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

VARIABLES: Final = (
    *_PATHS,
    "AWS_ROLE_ARN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_*",
)
"""Variables that move a file or an endpoint of AWS, or choose an identity."""


def ensure_own(profile: Profile, environ: Mapping[str, str] = os.environ) -> None:
    """Raise unless the files that botocore reads are the user's own or trusted.

    Raises:
        TrustNeeded: One is in the current project.
    """
    for variable, path in _named(environ):
        profile.ensure_own(variable if environ.get(variable) else "HOME", path)


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
        written = environ.get(variable) or usual
        for one in written.split(os.pathsep) if variable == "AWS_DATA_PATH" else [written]:
            if one:
                yield variable, Path(os.path.expanduser(os.path.expandvars(one)))  # noqa: PTH111  like botocore
