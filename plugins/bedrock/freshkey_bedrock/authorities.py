"""The certificate authorities that botocore trusts: a file of them that is unusable, and certificates of others.

botocore reports both as a lost connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError, TransientError, found_here
from freshkey.plugin import authorities_flaw, tls_failure


AWS_VARIABLE: Final = "AWS_CA_BUNDLE"

OTHER_VARIABLE: Final = "REQUESTS_CA_BUNDLE"
"""botocore reads it, too, if there is no bundle of AWS's own."""


def untrusted(
    error: object, where: str, section: Mapping[str, str], environ: Mapping[str, str]
) -> ConfigurationError | TransientError | None:
    """Return the error if TLS to a server failed for a reason that the user can do something about; otherwise None.

    Args:
        error: What botocore's exception is about.
        where: URL of the server, without secrets.
        section: The AWS profile, whose ``ca_bundle`` counts if ``AWS_CA_BUNDLE`` is not set.
        environ: The environment.
    """
    if not where.lower().startswith("https:"):  # no certificate is checked
        return None
    place, path = _named(section, environ)
    if path and (flaw := authorities_flaw(path)):
        hint = f"Name a file of certificates in PEM form in {place}"
        message = f"the path in {place} {flaw}"
        # The file may be completed at any moment.
        return found_here(ConfigurationError(message, hint=hint, code="bedrock-invalid-aws-config"))
    set_it = f"add its certificates to the file in {place}" if path else f"set {AWS_VARIABLE} to its PEM file"
    failure = tls_failure(error, where, f"If your network uses its own certificate authority, {set_it}")
    return found_here(failure) if failure else None


def _named(section: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what names the file of authorities, and its path; the path is empty if nothing does."""
    if path := environ.get(AWS_VARIABLE):
        return AWS_VARIABLE, path
    if path := section.get("ca_bundle"):
        return "ca_bundle of the AWS profile", path
    return OTHER_VARIABLE, environ.get(OTHER_VARIABLE, "")
