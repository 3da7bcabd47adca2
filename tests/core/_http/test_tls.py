"""Why TLS failed, from exceptions of any HTTP library, and files of authorities that cannot be used."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

import pytest

from certificates import Authority
from freshkey.plugin import authorities_flaw, tls_context, tls_failure


class CertificateError(Exception):
    """As urllib3 raises it."""


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "canary")
    error.reason = reason
    return error


def wrapped(error: BaseException) -> BaseException:
    """Return an error as urllib3 wraps it: in an attribute and in arguments."""
    retries = RuntimeError("canary")
    retries.reason = OSError(error)  # type: ignore[attr-defined]
    return retries


@pytest.mark.parametrize(
    ("error", "code", "fact"),
    [
        (ssl.SSLCertVerificationError(1, "canary"), "tls-certificate-refused", "of host cannot be verified"),
        (wrapped(CertificateError("canary")), "tls-certificate-refused", "it is for another host"),
        (ssl_error("UNSUPPORTED_PROTOCOL"), "tls-version-refused", "host does not support TLS 1.2"),
        (wrapped(ssl_error("TLSV1_ALERT_PROTOCOL_VERSION")), "tls-version-refused", "host does not support TLS 1.2"),
    ],
)
def test_reason_is_found_and_not_quoted(error: object, code: str, fact: str) -> None:
    failure = tls_failure(error, "host", "hint")
    assert failure is not None
    assert (failure.code, failure.local) == (code, True)
    assert fact in failure.message
    assert "canary" not in str(failure)


def test_other_trouble_is_nothing_of_tls() -> None:
    endless = RuntimeError()
    endless.__cause__ = endless.__context__ = RuntimeError(endless)
    unhashable = RuntimeError()
    unhashable.reason = {}  # type: ignore[attr-defined]
    for error in (ssl.SSLError(1, "wrong version number"), ConnectionResetError(), endless, unhashable, "text", None):
        assert tls_failure(error, "host", "hint") is None


@pytest.mark.parametrize(
    ("written", "flaw"),
    [
        ("{}/ca.pem", "names a file that does not exist"),
        ("~/ca.pem", "begins with ~, which only a shell replaces"),
        ('"{}/ca.pem"', "is in quotes, which only a shell removes"),
        ("{}", "names something other than a file"),
        ("{}/empty", "names a file without a certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
    ],
)
def test_file_of_authorities_that_cannot_be_used(tmp_path: Path, written: str, flaw: str) -> None:
    (tmp_path / "empty").touch()
    assert authorities_flaw(written.format(tmp_path)) == flaw
    assert authorities_flaw(str(Authority(tmp_path).file)) is None


def test_each_directory_of_authorities_is_loaded_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TRU-13: OpenSSL is given what was checked, and splits nothing itself."""
    loaded: list[dict[str, str]] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda _self, **given: loaded.append(given))
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _self: loaded.append({"default": "yes"}))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "a"))
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(tmp_path), "", "/etc"]))
    tls_context()
    assert loaded == [{"cafile": str(tmp_path / "a")}, {"capath": str(tmp_path)}, {"capath": "/etc"}]
    loaded.clear()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep)
    tls_context()
    assert loaded == []  # no authority is trusted, rather than others than those that were named


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows lists the certificates of its stores")
def test_a_damaged_certificate_in_the_stores_of_windows_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = ssl.PEM_cert_to_DER_cert(Authority(tmp_path).file.read_text())
    listed = [(b"damaged", "x509_asn", True), (authority, "x509_asn", {ssl.Purpose.SERVER_AUTH.oid})]
    monkeypatch.setattr(ssl, "enum_certificates", lambda store: listed if store == "ROOT" else [])
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    assert authority in tls_context().get_ca_certs(binary_form=True)


def test_a_file_of_authorities_may_have_a_name_in_any_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Authority(tmp_path).file
    certificate = ssl.PEM_cert_to_DER_cert(made.read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(made.rename(tmp_path / "Zertifikate für wörk.pem")))

    assert tls_context().get_ca_certs(binary_form=True) == [certificate]
