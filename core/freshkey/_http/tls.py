"""TLS: the settings of every connection that freshkey makes, and why one failed."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from freshkey._files.path_text import path_flaw
from freshkey._files.variable_paths import variable_paths
from freshkey.errors import TransientError


_OLD_TLS: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
"""OpenSSL's reasons for a version mismatch: detected locally, or reported by the server."""

_MAX_CAUSES: Final = 20
_SERVERS: Final = ssl.Purpose.SERVER_AUTH


def tls_context(*, authorities: bool = True) -> ssl.SSLContext:
    """Return the TLS settings of a client, which never writes session keys to a file.

    Every context is built here: `ssl.create_default_context` and urllib3's own would write the session keys to the
    file that ``SSLKEYLOGFILE`` names, and whoever reads them reads the tokens in the recorded traffic.

    Args:
        authorities: Whether to trust the system's and Mozilla's authorities, or those that ``SSL_CERT_FILE`` and
            ``SSL_CERT_DIR`` name; otherwise the caller adds its own.

    Raises:
        OSError: The authorities that the environment names cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if authorities and (file or folder):
        if file:
            context.load_verify_locations(cafile=file)
        for one in variable_paths("SSL_CERT_DIR", folder or ""):  # OpenSSL would split it, too: at what was checked
            context.load_verify_locations(capath=one)
    elif authorities:
        import certifi  # a dependency of httpx; on some systems OpenSSL finds no authorities

        _load_system_authorities(context)
        context.load_verify_locations(certifi.where())
    return context


def _load_system_authorities(context: ssl.SSLContext) -> None:
    if sys.platform == "win32":
        # Not load_default_certs: one damaged certificate in the stores of Windows would make all of it fail.
        for store in ("CA", "ROOT"):
            with suppress(PermissionError):
                for certificate, encoding, trusted_for in ssl.enum_certificates(store):
                    if encoding == "x509_asn" and (trusted_for is True or _SERVERS.oid in (trusted_for or ())):
                        with suppress(ssl.SSLError):
                            context.load_verify_locations(cadata=certificate)
        context.set_default_verify_paths()
    else:
        context.load_default_certs()


def tls_failure(error: object, server: str, hint: str) -> TransientError | None:
    """Return the error if TLS to a server failed for a reason that the user can do something about; otherwise None.

    Args:
        error: What an HTTP library raised, or what it says caused that.
        server: The server's host or URL, without secrets.
        hint: What to do if the certificate is one of the user's own network.
    """
    for cause in _causes(error):
        if why := _why_refused(cause):
            message = f"the certificate of {server} cannot be verified: {why}"
            # Local: the network may inspect TLS, or this process lacks the setting that another has.
            return TransientError(message, local=True, hint=hint, code="tls-certificate-refused")
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _OLD_TLS:
            message = f"{server} does not support TLS 1.2 or later"
            hint = "Enable TLS 1.2 or later on that server or on the proxy in front of it"
            return TransientError(message, local=True, hint=hint, code="tls-version-refused")
    return None


def authorities_flaw(path: str) -> str | None:
    """Return why a file of certificate authorities cannot be used, as a predicate that does not quote it, or None.

    Args:
        path: The path, as a variable or setting has it.
    """
    if not os.path.lexists(path):
        return path_flaw(path) or "names a file that does not exist"
    if not Path(path).is_file():
        return "names something other than a file"
    try:
        tls_context(authorities=False).load_verify_locations(path)
    except ssl.SSLError:
        return "names a file without a certificate in PEM form (-----BEGIN CERTIFICATE-----)"
    except OSError as error:
        return f"names a file that cannot be read: {error.strerror}"
    return None


def _why_refused(cause: BaseException) -> str:
    """Return why a certificate was refused, or an empty text; never quotes the certificate."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return getattr(cause, "verify_message", "") or "it is not valid"
    # urllib3 compares the names itself.
    return "it is for another host" if type(cause).__name__ == "CertificateError" else ""


def _causes(error: object) -> Iterator[BaseException]:
    """Yield an exception and what caused it; urllib3 keeps causes in arguments, too."""
    rest, seen = [error], 0
    while rest and seen < _MAX_CAUSES:
        one = rest.pop(0)
        if isinstance(one, BaseException):
            seen += 1
            yield one
            rest += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
