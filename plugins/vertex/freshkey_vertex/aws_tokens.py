"""Tokens that botocore would send as they are in a file: with a byte order mark and a line break."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.plugin import NotRegularError, TooLongError, is_jwt, read_bounded
from freshkey_vertex.aws_errors import unusable
from freshkey_vertex.credentials_file import MAX_BYTES, without_byte_order_mark


_CONTAINER_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_CONTAINER_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  name of a variable


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
    if not (token.isascii() and token.isprintable()):
        flaw = f"the token in {where} contains line breaks or other characters that a token does not have"
        raise unusable(flaw, "Have its issuer write the token again, alone")
    return {"Authorization": token} if token else None


def _read(path: str, what: str, where: str) -> str:
    flaw = "is empty"
    try:
        if token := without_byte_order_mark(read_bounded(Path(path), MAX_BYTES)).decode().strip():
            return token
    except UnicodeDecodeError:
        flaw = "is not text"
    except NotRegularError:
        flaw = "is not a regular file"
    except TooLongError:
        flaw = f"is larger than {MAX_BYTES} bytes"
    raise unusable(f"the {what} {flaw}", f"Check {where}")
