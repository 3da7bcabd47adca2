"""Hosts: those of this machine, those that a credential is bound to, and a profile that may call them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from freshkey.model.credential import Credential
from freshkey.model.profile import Profile


LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names of this machine."""


def for_credential(profile: Profile, credential: object) -> Profile:
    """Return a profile that also sends to the endpoints that a credential is bound to.

    A sign-in whose token endpoint came from an issuer's metadata is renewed and revoked there, whether or not anybody
    has asked that issuer since this process started.
    """
    if not isinstance(credential, Credential):
        return profile
    urls = (*credential.binding.values(), getattr(credential, "revocation_endpoint", None))
    return profile.with_hosts([host for url in urls if isinstance(url, str) and (host := host_of(url))])


def host_of(url: str) -> str | None:
    """Return the host of a URL in lower case; None if it has none, such as a client ID, or cannot be parsed."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
