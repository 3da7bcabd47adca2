"""Why TLS to AWS failed: a file of certificate authorities that is unusable, or a certificate of another authority.

botocore reports both as a lost connection.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from freshkey.errors import FreshkeyError, TransientError
from freshkey_vertex.paths import path_flaw


if TYPE_CHECKING:
    from botocore.session import Session

_VARIABLE: Final = "AWS_CA_BUNDLE"
_OTHER: Final = "REQUESTS_CA_BUNDLE"
"""botocore reads it, too, if there is no bundle of AWS's own."""

_MAX_CAUSES: Final = 20


def bundle_flaw(session: Session, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what names the file of certificate authorities, and what is wrong with it; None if nothing is.

    Args:
        session: botocore's session, whose profile may name the file.
        environ: The environment.
    """
    where, path = _named(session, environ)
    flaw = _flaw(path) if path else None
    return (where, flaw) if flaw else None


def untrusted(facts: Mapping[str, Any], session: Session, environ: Mapping[str, str]) -> FreshkeyError | None:
    """Return the error for a certificate that cannot be verified; None if something else failed.

    Args:
        facts: The members of botocore's exception.
        session: botocore's session, whose profile may name a file of certificate authorities.
        environ: The environment.
    """
    why = next(filter(None, map(_why_refused, _causes(facts.get("error")))), None)
    if why is None:
        return None
    where, path = _named(session, environ)
    set_it = f"add its certificates to the file in {where}" if path else f"set {_VARIABLE} to its PEM file"
    return TransientError(
        f"the certificate of {urlsplit(str(facts.get('endpoint_url'))).hostname or 'AWS'} cannot be verified: {why}",
        hint=f"If your network uses its own certificate authority, {set_it}",
        local=True,
        code="tls-certificate-refused",
    )


def _why_refused(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return getattr(cause, "verify_message", "") or "it is not valid"
    # urllib3 compares the names itself.
    return "it is for another host" if type(cause).__name__ == "CertificateError" else ""


def _named(session: Session, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what names the file of authorities, and its path; the path is empty if nothing does."""
    if path := environ.get(_VARIABLE):
        return _VARIABLE, path
    if path := session.get_config_variable("ca_bundle"):
        return "ca_bundle of the AWS profile", str(path)
    return _OTHER, environ.get(_OTHER, "")


def _flaw(path: str) -> str | None:
    if not os.path.lexists(path):
        return path_flaw(path) or "names a file that does not exist"
    if not Path(path).is_file():
        return "names something other than a file"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "names a file without a certificate in PEM form (-----BEGIN CERTIFICATE-----)"
    except OSError as error:
        return f"names a file that cannot be read: {error.strerror}"
    return None


def _causes(error: object) -> Iterator[BaseException]:
    """Yield an exception and what caused it; urllib3 keeps causes in arguments, too."""
    rest, seen = [error], 0
    while rest and seen < _MAX_CAUSES:
        one = rest.pop(0)
        if isinstance(one, BaseException):
            seen += 1
            yield one
            rest += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
