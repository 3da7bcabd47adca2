"""Tokens that botocore would read and send as they are: an identity token, and what authorizes at a container endpoint.

Editors and shells add a line break or a byte order mark, and neither belongs to the token.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import ensure_unchangeable, is_jwt
from freshkey_bedrock.ini_file import decoded
from freshkey_bedrock.machine_credentials import is_near
from freshkey_bedrock.paths import named_by


CONTAINER_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  name of a variable
CONTAINER_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105  name of a variable
CONTAINER_URL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
CONTAINER_PATH: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"

_MAX: Final = 128 * 1024
"""Bytes; STS accepts identity tokens of 20,000 characters."""


class IdentityToken:
    """Replaces botocore's ``FileWebIdentityTokenLoader``.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> str:
        """Return the token; an empty one is left to botocore.

        Raises:
            ConfigurationError: The file contains something else.
            OSError: It cannot be read.
        """
        where = f"the file in {named_by(self._path, os.environ)}"
        token = _read(self._path, where)
        if not token.isascii() or re.search(r"[\s\"']", token):
            raise _malformed(where, "contains more than a token: spaces, line breaks, quotes or other characters")
        if token and not is_jwt(token):
            # Whatever the file is, such as a private key, it must not be sent anywhere.
            raise _malformed(where, "is not an identity token (a JSON Web Token), so it was not sent")
        return token


def container_headers(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return what authorizes a request at the container endpoint; the file comes first.

    Raises:
        ConfigurationError: It cannot be sent in a header, or is in a file that may be another's secret.
        OSError: The file cannot be read.
    """
    where, token = CONTAINER_TOKEN, environ.get(CONTAINER_TOKEN, "").strip()
    if path := environ.get(CONTAINER_TOKEN_FILE):
        where = f"the file in {CONTAINER_TOKEN_FILE}"
        token = _read(path, where)
        if token and not is_jwt(token) and _leads_away(environ):
            # One line of any file, such as a deploy key, would go to whatever host the other variable names.
            what = "is not an identity token (a JSON Web Token), so it was not sent to another machine"
            hint = f"Set {CONTAINER_URL} to the address that ECS or EKS gave, or pass the token in {CONTAINER_TOKEN}"
            raise ConfigurationError(f"{where} {what}", hint=hint, code="bedrock-invalid-aws-config")
    if not token:
        return None
    if not (token.isascii() and token.isprintable()):
        raise _malformed(where, "contains line breaks or other characters that a token does not have")
    return {"Authorization": token}


def _leads_away(environ: Mapping[str, str]) -> bool:
    """Return whether the container endpoint is on another machine."""
    relative = environ.get(CONTAINER_PATH)  # botocore appends it to this address, which it may turn into another one
    return not is_near(f"http://169.254.170.2{relative}" if relative else environ.get(CONTAINER_URL, ""))


def _read(path: str, where: str) -> str:
    ensure_unchangeable(where.removeprefix("the file in "), path)
    with open(path, "rb") as file:  # noqa: PTH123  the path is opened, and quoted in errors, as it is written
        content = file.read(_MAX)
    try:
        return decoded(content).strip()
    except UnicodeDecodeError:
        pass
    raise _malformed(where, "contains something other than text")


def _malformed(where: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where} {what}", hint="Have its issuer write the token again, alone", code="bedrock-invalid-aws-config"
    )
