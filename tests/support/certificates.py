"""A test certificate authority, and its certificates: valid, expired, or for another host."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


_DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority that is trusted only through `file`.

    Attributes:
        file: The authority's certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("freshkey test authority")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _builder(self._name, self._name, self._key)
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def context(self, address: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """Return the TLS settings for a server at `address`."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("freshkey test server"), self._name, key, expired=expired)
        subject = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed = builder.add_extension(subject, critical=False).sign(self._key, hashes.SHA256())
        return self._context(signed, key)

    def self_signed(self) -> ssl.SSLContext:
        """Return the TLS settings for a server with a self-signed certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("freshkey test stranger")
        subject = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = _builder(name, name, key).add_extension(subject, critical=False).sign(key, hashes.SHA256())
        return self._context(signed, key)

    def _context(self, signed: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
        file = self._folder / "server.pem"
        plain = serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        file.unlink()
        return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool = False
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 9 * _DAY)
        .not_valid_after(now - _DAY if expired else now + _DAY)
    )
