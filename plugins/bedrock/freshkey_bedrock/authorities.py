"""The certificate authorities that botocore trusts: a file of them that is unusable, and certificates of others.

botocore reports both as a lost connection.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError, TransientError
from freshkey_bedrock.paths import path_flaw, wrong_path


AWS_VARIABLE: Final = "AWS_CA_BUNDLE"

OTHER_VARIABLE: Final = "REQUESTS_CA_BUNDLE"
"""botocore reads it, too, if there is no bundle of AWS's own."""

_OLD_TLS: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
"""OpenSSL's reasons for a version mismatch: detected locally, or reported by the server."""

_MAX_CAUSES: Final = 20


def unusable_authorities(section: Mapping[str, str], environ: Mapping[str, str]) -> ConfigurationError | None:
    """Return the error if the file of certificate authorities cannot be used; None if it can, or if none is named.

    Args:
        section: The AWS profile, whose ``ca_bundle`` counts if ``AWS_CA_BUNDLE`` is not set.
        environ: The environment.
    """
    where, path = _named(section, environ)
    if not path:
        return None
    if not os.path.lexists(path):
        return wrong_path(where, path_flaw(path) or "names a file that does not exist")
    flaw = _flaw(path)
    if flaw is None:
        return None
    hint = f"Name a file of certificates in PEM form in {where}"
    return ConfigurationError(f"the path in {where} {flaw}", hint=hint, code="bedrock-invalid-aws-config")


def tls_failure(
    error: object, where: str, section: Mapping[str, str], environ: Mapping[str, str]
) -> TransientError | None:
    """Return the error if TLS to a server failed for a reason that the user can do something about; otherwise None.

    Args:
        error: What botocore's exception is about.
        where: URL of the server, without secrets.
        section: The AWS profile.
        environ: The environment.
    """
    for cause in _causes(error):
        if why := _why_refused(cause):
            place, path = _named(section, environ)
            set_it = f"add its certificates to the file in {place}" if path else f"set {AWS_VARIABLE} to its PEM file"
            return TransientError(
                f"the certificate of {where} cannot be verified: {why}",
                hint=f"If your network uses its own certificate authority, {set_it}",
                local=True,
                code="tls-certificate-refused",
            )
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _OLD_TLS:
            return TransientError(
                f"{where} does not support TLS 1.2 or later",
                hint="Enable TLS 1.2 or later on that server or on the proxy in front of it",
                local=True,
                code="tls-version-refused",
            )
    return None


def _why_refused(cause: BaseException) -> str:
    """Return why a certificate was refused, or an empty text; never quotes the certificate."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return getattr(cause, "verify_message", "") or "it is not valid"
    # urllib3 compares the names itself.
    return "it is for another host" if type(cause).__name__ == "CertificateError" else ""


def _named(section: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what names the file of authorities, and its path; the path is empty if nothing does."""
    if path := environ.get(AWS_VARIABLE):
        return AWS_VARIABLE, path
    if path := section.get("ca_bundle"):
        return "ca_bundle of the AWS profile", path
    return OTHER_VARIABLE, environ.get(OTHER_VARIABLE, "")


def _flaw(path: str) -> str | None:
    """Return what is wrong with a file of authorities that exists, or None."""
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
