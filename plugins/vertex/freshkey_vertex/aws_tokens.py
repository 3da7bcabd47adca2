"""Tokens that botocore would send as they are in a file: with a byte order mark and a line break."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from freshkey.plugin import NotRegularError, TooLongError, is_jwt, read_unchangeable
from freshkey_vertex.aws_errors import unusable
from freshkey_vertex.credentials_file import MAX_BYTES, without_byte_order_mark


_CONTAINER_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_CONTAINER_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  name of a variable
_URL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"

_PLAIN: Final = re.compile(r"(?i:https?)://(?:\[([0-9A-Fa-f:]+)\]|([0-9A-Za-z.-]+))(?::[0-9]+)?(?:[/?#].*)?", re.DOTALL)
"""Libraries disagree about the host of other URLs, such as one with a backslash before ``@``."""

_POD_IDENTITY: Final = "fd00:ec2::23"
"""The IPv6 address of EKS Pod Identity, which only the machine's own containers reach."""


class TokenFile:
    """Reads an identity token in place of botocore's ``FileWebIdentityTokenLoader``.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> str:
        """Return the token.

        Raises:
            ConfigurationError: The file contains none.
            OSError: It cannot be read.
        """
        where = "AWS_WEB_IDENTITY_TOKEN_FILE or web_identity_token_file"
        token = _read(self._path, "AWS identity token file", where)
        if not is_jwt(token):
            # Whatever the file is, such as a private key, it must not be sent anywhere.
            flaw = "the AWS identity token file is not an identity token (a JSON Web Token), so it was not sent"
            raise unusable(flaw, f"Check {where}")
        return token


def container_headers(environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Return what authorizes a request at the container's endpoint; the file comes first.

    Raises the errors of `TokenFile`.
    """
    token, where = environ.get(_CONTAINER_TOKEN, "").strip(), _CONTAINER_TOKEN
    if path := environ.get(_CONTAINER_FILE):
        where = _CONTAINER_FILE
        token = _read(path, f"file in {where}", where)
        if not is_jwt(token) and _leads_away(environ):
            # One line of any file, such as a deploy key, would go to whatever host the other variable names.
            flaw = "is not an identity token (a JSON Web Token), so it was not sent to another machine"
            hint = f"Set {_URL} to the address that ECS or EKS gave, or pass the token in {_CONTAINER_TOKEN}"
            raise unusable(f"the file in {where} {flaw}", hint)
    if not (token.isascii() and token.isprintable()):
        flaw = f"the token in {where} contains line breaks or other characters that a token does not have"
        raise unusable(flaw, "Have its issuer write the token again, alone")
    return {"Authorization": token} if token else None


def _leads_away(environ: Mapping[str, str]) -> bool:
    """Return whether the container's endpoint is on another machine."""
    relative = environ.get(_RELATIVE)  # botocore appends it to this address, which it may turn into another one
    plain = _PLAIN.fullmatch(f"http://169.254.170.2{relative}" if relative else environ.get(_URL, ""))
    host = (plain[1] or plain[2]) if plain else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host != "localhost"
    return not (address.is_loopback or address.is_link_local or str(address) == _POD_IDENTITY)


def _read(path: str, what: str, where: str) -> str:
    flaw = "is empty"
    try:
        if token := without_byte_order_mark(read_unchangeable(where, Path(path), MAX_BYTES)).decode().strip():
            return token
    except UnicodeDecodeError:
        flaw = "is not text"
    except NotRegularError:
        flaw = "is not a regular file"
    except TooLongError:
        flaw = f"is larger than {MAX_BYTES} bytes"
    raise unusable(f"the {what} {flaw}", f"Check {where}")
