"""The certificate authorities that botocore trusts: a file of them that is unusable, and certificates of others.

botocore reports both as a lost connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from freshkey.errors import ConfigurationError, TransientError, found_here
from freshkey.plugin import authorities_flaw, tls_failure


if TYPE_CHECKING:
    from botocore.session import Session

_VARIABLE: Final = "AWS_CA_BUNDLE"
_OTHER: Final = "REQUESTS_CA_BUNDLE"
"""botocore reads it, too, if there is no bundle of AWS's own."""


def untrusted(
    facts: Mapping[str, Any], session: Session, environ: Mapping[str, str]
) -> ConfigurationError | TransientError | None:
    """Return the error if TLS to a server failed for a reason that the user can do something about; otherwise None.

    Args:
        facts: The members of botocore's exception.
        session: botocore's session, whose profile may name a file of certificate authorities.
        environ: The environment.
    """
    url = urlsplit(str(facts.get("endpoint_url") or facts.get("proxy_url")))
    if url.scheme != "https":  # no certificate is checked
        return None
    where, path = _named(session, environ)
    if path and (flaw := authorities_flaw(path)):
        hint = f"Name a file of certificates in PEM form in {where}"
        return found_here(ConfigurationError(f"the path in {where} {flaw}", hint=hint, code="vertex-no-identity-token"))
    set_it = f"add its certificates to the file in {where}" if path else f"set {_VARIABLE} to its PEM file"
    hint = f"If your network uses its own certificate authority, {set_it}"
    failure = tls_failure(facts.get("error"), url.hostname or "AWS", hint)
    return found_here(failure) if failure else None


def _named(session: Session, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what names the file of authorities, and its path; the path is empty if nothing does."""
    if path := environ.get(_VARIABLE):
        return _VARIABLE, path
    if path := session.get_config_variable("ca_bundle"):
        return "ca_bundle of the AWS profile", str(path)
    return _OTHER, environ.get(_OTHER, "")
